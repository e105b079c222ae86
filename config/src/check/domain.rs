//! `[[domain]]`.

use super::{Faults, is_host_name, mechanisms};
use crate::raw::{Located, Section};
use crate::snapshot::{DomainMechanisms, OAuth};
use usher_policy::ArchiveKey;
use usher_policy::identity::{DefaultFor, Domains};

/// What `[[domain]]` says.
#[derive(Default)]
pub(super) struct Checked {
    pub(super) domains: Domains,
    pub(super) oauth: Vec<OAuth>,
    pub(super) mechanisms: Vec<DomainMechanisms>,
}

pub(super) fn check(file: &mut Section<'_>, faults: &mut Faults) -> Checked {
    let mut checked = Checked::default();
    for mut section in file.many("domain", faults) {
        let oauth =
            section.table("oauth", "{ issuer = \"https://id.example.com\", claim = \"email\" }", faults);
        let name: Option<Located<String>> = section.optional("name", faults);
        if let (Some(oauth), Some(name)) = (oauth, &name) {
            checked.oauth.extend(issuer(oauth, &name.value, faults));
        }
        if let (Some(mechanisms), Some(name)) = (mechanisms(&mut section, faults), &name) {
            let domain = name.value.clone();
            checked.mechanisms.push(DomainMechanisms { domain, mechanisms });
        }
        one(section, &mut checked.domains, faults);
    }
    // As names are compared.
    let canonical = |domains: &Domains, name: &str| match domains.domain(name.as_bytes()) {
        Some(ArchiveKey::Domain(domain)) => domain,
        _ => name.to_lowercase(),
    };
    let Checked { domains, oauth, mechanisms } = &mut checked;
    oauth.iter_mut().for_each(|oauth| oauth.domain = canonical(domains, &oauth.domain));
    mechanisms.iter_mut().for_each(|limited| limited.domain = canonical(domains, &limited.domain));
    checked
}

/// Who issues the tokens of a domain's users.
fn issuer(mut section: Section<'_>, domain: &str, faults: &mut Faults) -> Option<OAuth> {
    let issuer: Option<Located<String>> = section.required("issuer", "\"https://id.example.com\"", faults);
    let claim: Option<Located<String>> = section.optional("claim", faults);
    let scope: Option<Located<String>> = section.optional("scope", faults);
    let mut url = |key| {
        let url: Located<String> = section.optional(key, faults)?;
        tell_if_no_url(&url, faults);
        Some(url.value)
    };
    let (auth_url, token_url) = (url("auth_url"), url("token_url"));
    section.finish(faults);
    let issuer = issuer?;
    tell_if_no_url(&issuer, faults);
    let claim = claim.map_or_else(|| "email".to_owned(), |claim| claim.value);
    let scope = scope.map(|scope| scope.value);
    Some(OAuth { domain: domain.to_owned(), issuer: issuer.value, claim, scope, auth_url, token_url })
}

fn tell_if_no_url(written: &Located<String>, faults: &mut Faults) {
    if !written.value.starts_with("https://") || written.value.contains(char::is_whitespace) {
        faults.push(
            written.fault("not the address of an issuer", "write one such as \"https://id.example.com\""),
        );
    }
}

fn one(mut section: Section<'_>, domains: &mut Domains, faults: &mut Faults) {
    let name: Option<Located<String>> = section.required("name", "\"example.com\"", faults);
    let aliases: Vec<_> =
        section.list("aliases", faults).iter().filter_map(|alias| alias.text(faults)).collect();
    let mut separators = vec!['@'];
    for item in section.list("separators", faults) {
        let Some(text) = item.text(faults) else { continue };
        let mut chars = text.value.chars();
        match (chars.next(), chars.next()) {
            (Some(one), None) if one.is_ascii_punctuation() && !matches!(one, '.' | '-' | '_') => {
                separators.push(one)
            }
            _ => faults.push(text.fault("not a separator", "write one character such as \"#\" or \"%\"")),
        }
    }
    let default_for: Vec<_> =
        section.list("default_for", faults).iter().filter_map(|way| way.text(faults)).collect();
    section.finish(faults);
    let Some(name) = name else { return };
    for alias in std::iter::once(&name).chain(&aliases) {
        let is_name =
            alias.value.split('.').all(|label| !label.is_empty()) && !alias.value.contains(['@', ' ']);
        if !is_name {
            faults.push(alias.fault("not a domain", "write a domain such as \"example.com\""));
        } else if !domains.add(&alias.value, &name.value, &separators) {
            let what = format!("the domain \"{}\" is listed twice", alias.value.escape_debug());
            faults.push(alias.fault(what, "remove one of the two, or a user could have two homes"));
        }
    }
    for way in default_for {
        let parsed = match way.value.as_str() {
            "any" => Some(DefaultFor::Any),
            other => match other.parse::<std::net::IpAddr>() {
                Ok(address) => Some(DefaultFor::Local(address.to_canonical())),
                Err(_) if is_host_name(other) => Some(DefaultFor::ServerName(other.to_ascii_lowercase())),
                Err(_) => None,
            },
        };
        match parsed {
            None => faults.push(way.fault(
                "not a valid value for `default_for`",
                "write \"any\", an address of this server, or a name that clients ask for (SNI)",
            )),
            Some(parsed) => {
                if !domains.add_default(parsed, &name.value) {
                    let what = format!("bare names from \"{}\" have two domains", way.value.escape_debug());
                    faults.push(way.fault(what, "keep it in one [[domain]] only"));
                }
            }
        }
    }
}
