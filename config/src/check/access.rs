//! `[access]` and `[[access_rule]]`.

use super::Faults;
use crate::named::Named;
use crate::raw::{Item, Located, Section};
use crate::shown;
use crate::snapshot::{Access, Protocol};
use std::str::FromStr;
use std::time::Duration;
use usher_policy::access::{Action, Conditions, Country, MECHANISMS, Pattern, Rule, Rules, Window};
use usher_policy::identity::Domains;

/// What can be listened to, as rules name it.
const PROTOCOLS: [Protocol; 4] = [Protocol::Imap, Protocol::Imaps, Protocol::Https, Protocol::Tcp];
/// Longest time for which logins are remembered.
const REMEMBERED_CAP: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const RANGE: &str =
    "write an address, a network such as \"192.0.2.0/24\", or a range such as \"192.0.2.7-192.0.2.20\"";

pub(super) fn check(file: &mut Section<'_>, domains: &Domains, faults: &mut Faults) -> Access {
    let mut access = Access::default();
    if let Some(mut section) = file.single("access", faults) {
        let countries: Option<Located<String>> = section.optional("countries", faults);
        access.countries = countries.map(|file| Named { path: file.value.into(), span: file.span });
        let remember: Option<Located<String>> = section.optional("remember", faults);
        match remember.map(|written| (remembered(&written.value), written)) {
            Some((Some(time), _)) => access.remember = time,
            Some((None, written)) => faults.push(written.fault(
                "`remember` in [access] has an invalid value",
                "write a duration such as \"24h\", at most \"7d\", or \"0s\" to remember no logins",
            )),
            None => {}
        }
        if let Some(most) = section.optional("remembered_logins", faults) {
            access.remembered_logins = most.value;
        }
        access.hash = section.optional("hash", faults).is_some_and(|hash| hash.value);
        section.finish(faults);
    }
    let mut rules: Vec<Rule> = Vec::new();
    for section in file.many("access_rule", faults) {
        let span = section.span.clone();
        let Some(rule) = rule(section, domains, faults) else { continue };
        let names_country =
            [&rule.conditions, &rule.exceptions].iter().any(|those| !those.countries.is_empty());
        if names_country && access.countries.is_none() {
            faults.push(crate::fault::Fault::new(
                span.clone(),
                "this rule names countries, but no file says where they are",
                "add `countries = \"/var/lib/GeoIP/GeoLite2-Country.mmdb\"` to [access]",
            ));
        }
        rules.push(rule);
    }
    access.rules = Rules::new(rules).into();
    access
}

/// For how long logins are remembered.
fn remembered(written: &str) -> Option<Duration> {
    if written == "0s" {
        return Some(Duration::ZERO);
    }
    shown::duration::parse(written).filter(|time| *time <= REMEMBERED_CAP)
}

fn rule(mut section: Section<'_>, domains: &Domains, faults: &mut Faults) -> Option<Rule> {
    let name: Option<Located<String>> = section.required("name", "\"what it is for\"", faults);
    let actions = [("deny", Action::Deny), ("allow", Action::Allow)];
    section.demand("action", "\"deny\"", faults);
    let action = section.word("action", &actions, faults);
    let enabled = section.optional("enabled", faults).is_none_or(|enabled| enabled.value);
    let apply_to_live = section.optional("apply_to_live", faults).is_some_and(|applies| applies.value);
    let mut reader = Reader { section: &mut section, domains, faults };
    let conditions = reader.conditions(&CONDITIONS);
    let exceptions = reader.conditions(&EXCEPTIONS);
    section.finish(faults);
    let name = name?.value.into();
    Some(Rule { name, action: action?, enabled, apply_to_live, conditions, exceptions })
}

/// The keys of conditions, or of exceptions.
struct Keys {
    protocols: &'static str,
    addresses: &'static str,
    source_ports: &'static str,
    mechanisms: &'static str,
    users: &'static str,
    domains: &'static str,
    tenants: &'static str,
    attributes: &'static str,
    times: &'static str,
    countries: &'static str,
    client_certificate: &'static str,
}

const CONDITIONS: Keys = Keys {
    protocols: "protocols",
    addresses: "addresses",
    source_ports: "source_ports",
    mechanisms: "mechanisms",
    users: "users",
    domains: "domains",
    tenants: "tenants",
    attributes: "attributes",
    times: "times",
    countries: "countries",
    client_certificate: "client_certificate",
};

const EXCEPTIONS: Keys = Keys {
    protocols: "except_protocols",
    addresses: "except_addresses",
    source_ports: "except_source_ports",
    mechanisms: "except_mechanisms",
    users: "except_users",
    domains: "except_domains",
    tenants: "except_tenants",
    attributes: "except_attributes",
    times: "except_times",
    countries: "except_countries",
    client_certificate: "except_client_certificate",
};

/// Reads the conditions of one rule.
struct Reader<'r, 't> {
    section: &'r mut Section<'t>,
    domains: &'r Domains,
    faults: &'r mut Faults,
}

impl Reader<'_, '_> {
    fn conditions(&mut self, keys: &Keys) -> Conditions {
        let domains = self.domains;
        Conditions {
            protocols: self.words(keys.protocols, &PROTOCOLS.map(Protocol::name)),
            addresses: self.parsed(keys.addresses, RANGE),
            source_ports: self.parsed(keys.source_ports, "write a port, or a range such as \"1024-65535\""),
            mechanisms: self.words(keys.mechanisms, &MECHANISMS),
            users: self.patterns(keys.users, |text| domains.pattern(text)),
            domains: self.patterns(keys.domains, |text| domains.domain_pattern(text)),
            tenants: self.patterns(keys.tenants, Pattern::new),
            attributes: self.attributes(keys.attributes),
            times: self.texts(keys.times, |text| {
                let instead =
                    "write days, hours and a time zone, such as \"mon-fri 08:00-18:00 Europe/Berlin\"";
                Window::parse(text)
                    .map_err(|what| (format!("not a time of the week: {what}"), instead.to_owned()))
            }),
            countries: self
                .parsed::<Country>(keys.countries, "write the two letters of a country, such as \"DE\""),
            client_certificate: self
                .section
                .optional(keys.client_certificate, self.faults)
                .map(|wanted| wanted.value),
        }
    }

    /// The values in the list `key`; an empty list is a fault, because it could mean anybody or nobody.
    fn texts<T>(&mut self, key: &'static str, read: impl Fn(&str) -> Result<T, (String, String)>) -> Vec<T> {
        let Some(items) = self.section.given_list(key, self.faults) else { return Vec::new() };
        self.read(&items, read)
    }

    fn read<T>(&mut self, items: &[Item<'_>], read: impl Fn(&str) -> Result<T, (String, String)>) -> Vec<T> {
        let mut values = Vec::new();
        for item in items {
            let Some(text) = item.text(self.faults) else { continue };
            match read(&text.value) {
                Ok(value) => values.push(value),
                Err((what, instead)) => self.faults.push(text.fault(what, instead)),
            }
        }
        values
    }

    fn parsed<T: FromStr>(&mut self, key: &'static str, instead: &str) -> Vec<T> {
        self.texts(key, |text| {
            let what = || (format!("`{key}` cannot have \"{}\"", text.escape_debug()), instead.to_owned());
            text.parse().map_err(|_| what())
        })
    }

    fn words(&mut self, key: &'static str, known: &[&str]) -> Vec<Box<str>> {
        self.texts(key, |text| {
            let word = text.to_ascii_lowercase();
            let what = || {
                (
                    format!("`{key}` cannot have \"{}\"", text.escape_debug()),
                    format!("write {}", known.join(", ")),
                )
            };
            known.contains(&word.as_str()).then_some(word.into()).ok_or_else(what)
        })
    }

    fn patterns(&mut self, key: &'static str, pattern: impl Fn(&str) -> Pattern) -> Vec<Pattern> {
        self.texts(key, |text| match text.trim().is_empty() {
            true => {
                Err((format!("`{key}` has an empty pattern"), "write a name; `*` stands for any text".into()))
            }
            false => Ok(pattern(text)),
        })
    }

    fn attributes(&mut self, key: &'static str) -> Vec<(Box<str>, Vec<Pattern>)> {
        let Some(table) = self.section.table(key, "{ department = [\"sales*\"] }", self.faults) else {
            return Vec::new();
        };
        let mut attributes = Vec::new();
        for (name, items) in table.lists(self.faults) {
            let patterns = self.read(&items, |text| Ok(Pattern::new(text)));
            attributes.push((name.to_lowercase().into(), patterns));
        }
        attributes
    }
}
