//! What Exchange documents of its client access rules, case by case, and that the index changes nothing.

use super::*;
use proptest::prelude::*;
use std::net::SocketAddr;

/// 12:00 UTC on a Thursday.
const NOON: i64 = 1_795_694_400;

#[derive(Debug)]
struct Login {
    protocol: &'static str,
    client: &'static str,
    mechanism: Option<&'static str>,
    names: Vec<Name>,
    attributes: Attributes,
    country: Option<&'static str>,
    has_certificate: bool,
}

impl Login {
    fn of(user: &str) -> Self {
        let name = Name { user: (!user.is_empty()).then(|| user.into()), tenant: None };
        Self {
            protocol: "imaps",
            client: "192.0.2.7:50000",
            mechanism: Some("plain"),
            names: if user.is_empty() { Vec::new() } else { vec![name] },
            attributes: Attributes::default(),
            country: None,
            has_certificate: false,
        }
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            protocol: self.protocol,
            client: self.client.parse().unwrap_or_else(|_| panic!("{}", self.client)),
            mechanism: self.mechanism,
            names: &self.names,
            attributes: &self.attributes,
            now: NOON,
            country: self.country.and_then(|country| country.parse().ok()),
            has_certificate: self.has_certificate,
        }
    }
}

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::new(text)).collect()
}

fn words(words: &[&str]) -> Vec<Box<str>> {
    words.iter().map(|word| (*word).into()).collect()
}

fn ranges(ranges: &[&str]) -> Vec<AddressRange> {
    ranges.iter().map(|text| text.parse().unwrap_or_else(|_| panic!("{text}"))).collect()
}

fn rule(action: Action, conditions: Conditions) -> Rule {
    let exceptions = Conditions::default();
    Rule { name: "rule".into(), action, enabled: true, apply_to_live: false, conditions, exceptions }
}

fn deny(conditions: Conditions) -> Rule {
    rule(Action::Deny, conditions)
}

fn allow(conditions: Conditions) -> Rule {
    rule(Action::Allow, conditions)
}

fn except(rule: Rule, exceptions: Conditions) -> Rule {
    Rule { exceptions, ..rule }
}

fn users(texts: &[&str]) -> Conditions {
    Conditions { users: patterns(texts), ..Conditions::default() }
}

fn addresses(texts: &[&str]) -> Conditions {
    Conditions { addresses: ranges(texts), ..Conditions::default() }
}

fn attribute(name: &str, values: &[&str]) -> Conditions {
    Conditions { attributes: vec![(name.into(), patterns(values))], ..Conditions::default() }
}

fn decided(rules: &[Rule], login: &Login) -> Option<usize> {
    let verdict = Rules::new(rules.to_vec()).decide(&login.facts());
    verdict.denies().then(|| verdict.by.unwrap_or(usize::MAX))
}

#[test]
fn as_exchange_documents_it() {
    let anna = || Login::of("anna@example.com");
    let none = Conditions::default;
    let both = |users: Conditions, others: Conditions| Conditions { users: users.users, ..others };
    let inside = || addresses(&["192.0.2.0/24"]);
    let outside = || addresses(&["198.51.100.0/24"]);
    for (what, rules, login, denied_by) in [
        ("no rules", vec![], anna(), None),
        ("no rule matches: allowed", vec![deny(users(&["bob@*"]))], anna(), None),
        ("a rule without conditions matches everything", vec![deny(none())], anna(), Some(0)),
        ("values of a condition are alternatives", vec![deny(users(&["bob@*", "anna@*"]))], anna(), Some(0)),
        ("conditions must all hold", vec![deny(both(users(&["anna@*"]), outside()))], anna(), None),
        ("conditions that all hold", vec![deny(both(users(&["anna@*"]), inside()))], anna(), Some(0)),
        ("the first match decides", vec![allow(users(&["anna@*"])), deny(none())], anna(), None),
        ("the first match decides", vec![deny(none()), allow(users(&["anna@*"]))], anna(), Some(0)),
        ("the place is the priority", vec![deny(outside()), deny(inside())], anna(), Some(1)),
        ("a disabled rule matches nothing", vec![Rule { enabled: false, ..deny(none()) }], anna(), None),
        ("an exception that holds", vec![except(deny(none()), inside())], anna(), None),
        ("an exception that does not hold", vec![except(deny(none()), outside())], anna(), Some(0)),
        (
            "one exception of several is enough",
            vec![except(deny(none()), both(users(&["bob@*"]), inside()))],
            anna(),
            None,
        ),
        (
            "after an exception, the next rule decides",
            vec![except(deny(none()), inside()), deny(users(&["anna*"]))],
            anna(),
            Some(1),
        ),
        (
            "an exception to an allowing rule",
            vec![except(allow(none()), inside()), deny(none())],
            anna(),
            Some(1),
        ),
        (
            "who names nobody matches no user",
            vec![deny(users(&["*"])), deny(Conditions { domains: patterns(&["*"]), ..none() })],
            Login::of(""),
            None,
        ),
        (
            "a domain",
            vec![deny(Conditions { domains: patterns(&["example.com"]), ..none() })],
            anna(),
            Some(0),
        ),
        (
            "a protocol",
            vec![deny(Conditions { protocols: words(&["imap", "https"]), ..none() })],
            Login { protocol: "https", ..anna() },
            Some(0),
        ),
        (
            "a mechanism",
            vec![deny(Conditions { mechanisms: words(&["login"]), ..none() })],
            Login { mechanism: Some("login"), ..anna() },
            Some(0),
        ),
        (
            "a port",
            vec![deny(Conditions {
                source_ports: vec!["1-1023".parse().unwrap_or_else(|_| panic!())],
                ..none()
            })],
            anna(),
            None,
        ),
        (
            "an attribute",
            vec![deny(attribute("department", &["sales*"]))],
            Login { attributes: [("Department", "Sales EMEA")].into_iter().collect(), ..anna() },
            Some(0),
        ),
        (
            "an attribute that is not there matches nothing, not even *",
            vec![deny(attribute("department", &["*"]))],
            anna(),
            None,
        ),
        (
            "all attributes must hold",
            vec![deny(Conditions {
                attributes: vec![
                    ("city".into(), patterns(&["bonn"])),
                    ("company".into(), patterns(&["acme"])),
                ],
                ..none()
            })],
            Login { attributes: [("city", "Bonn"), ("company", "Other")].into_iter().collect(), ..anna() },
            None,
        ),
        (
            "a tenant of the name",
            vec![deny(Conditions { tenants: patterns(&["ac*"]), ..none() })],
            Login { names: vec![Name { user: None, tenant: Some("acme".into()) }], ..anna() },
            Some(0),
        ),
        (
            "a tenant of the directory",
            vec![deny(Conditions { tenants: patterns(&["ac*"]), ..none() })],
            Login { attributes: [("tenant", "Acme")].into_iter().collect(), ..anna() },
            Some(0),
        ),
        (
            "the time",
            vec![deny(Conditions {
                times: vec![Window::parse("thu 11:00-13:00").unwrap_or_else(|e| panic!("{e}"))],
                ..none()
            })],
            anna(),
            Some(0),
        ),
        (
            "a country",
            vec![deny(Conditions { countries: vec!["NZ".parse().unwrap_or_else(|()| panic!())], ..none() })],
            Login { country: Some("nz"), ..anna() },
            Some(0),
        ),
        (
            "no country is known",
            vec![deny(Conditions { countries: vec!["NZ".parse().unwrap_or_else(|()| panic!())], ..none() })],
            anna(),
            None,
        ),
        (
            "no certificate",
            vec![deny(Conditions { client_certificate: Some(false), ..none() })],
            anna(),
            Some(0),
        ),
        (
            "a certificate",
            vec![deny(Conditions { client_certificate: Some(false), ..none() })],
            Login { has_certificate: true, ..anna() },
            None,
        ),
        ("IPv4 in IPv6", vec![deny(inside())], Login { client: "[::ffff:192.0.2.7]:9", ..anna() }, Some(0)),
    ] {
        assert_eq!(decided(&rules, &login), denied_by, "{what}");
    }
}

#[test]
fn whoever_opens_anothers_archive_is_seen_too() {
    let name = |user: &str| Name { user: Some(user.into()), tenant: None };
    let login =
        |names: &[&str]| Login { names: names.iter().map(|user| name(user)).collect(), ..Login::of("x") };
    let both = login(&["anna@example.com", "admin"]);
    assert_eq!(decided(&[deny(users(&["anna*"]))], &both), Some(0));
    assert_eq!(decided(&[deny(users(&["admin"]))], &both), Some(0));
    // Neither name alone opens a door.
    assert_eq!(decided(&[allow(users(&["anna*"])), deny(Conditions::default())], &both), Some(1));
    assert_eq!(decided(&[allow(users(&["anna*", "admin"])), deny(Conditions::default())], &both), None);
    assert_eq!(decided(&[except(deny(Conditions::default()), users(&["admin"]))], &both), Some(0));
    assert_eq!(decided(&[except(deny(Conditions::default()), users(&["*"]))], &both), None);
}

#[test]
fn what_is_not_known_yet_denies_nobody() {
    let none = Conditions::default;
    let login = Login::of("anna@example.com");
    for (rules, by_address, by_name) in [
        (vec![deny(addresses(&["192.0.2.0/24"]))], true, true),
        (vec![deny(users(&["anna*"]))], false, true),
        (vec![deny(users(&["*"]))], true, true),
        (vec![deny(attribute("city", &["bonn"]))], false, false),
        // Who may be excepted is not known yet.
        (vec![except(deny(none()), users(&["bob*"]))], false, true),
        (vec![except(deny(none()), attribute("city", &["bonn"]))], false, false),
        (vec![except(deny(none()), Conditions { tenants: patterns(&["acme"]), ..none() })], false, false),
        // Who may be allowed before is not known yet.
        (vec![allow(users(&["bob*"])), deny(none())], false, true),
        (vec![allow(attribute("city", &["bonn"])), deny(none())], false, false),
        (vec![except(allow(none()), addresses(&["192.0.2.0/24"])), deny(none())], true, true),
        (vec![except(allow(users(&["*"])), attribute("city", &["bonn"])), deny(none())], false, false),
    ] {
        let made = Rules::new(rules.clone());
        assert_eq!(made.decide_by_address(&login.facts()).denies(), by_address, "by address: {rules:?}");
        assert_eq!(made.decide_by_name(&login.facts()).denies(), by_name, "by name: {rules:?}");
    }
}

fn some_conditions() -> impl Strategy<Value = Conditions> {
    let pick =
        |all: &'static [&'static str], most| prop::collection::vec(prop::sample::select(all), 0..=most);
    (
        pick(&["anna@a.test", "*@a.test", "b*", "*", "*@b.test", "*nn*"], 2),
        pick(&["a.test", "*.test", "b.test"], 1),
        pick(&["192.0.2.7", "192.0.2.0/24", "192.0.2.5-192.0.2.9", "2001:db8::/32", "0.0.0.0/0"], 2),
        pick(&["imap", "imaps"], 1),
        pick(&["plain", "login"], 1),
        pick(&["x", "x*", "y"], 1),
    )
        .prop_map(|(users, domains, addresses, protocols, mechanisms, city)| Conditions {
            users: patterns(&users),
            domains: patterns(&domains),
            addresses: ranges(&addresses),
            protocols: words(&protocols),
            mechanisms: words(&mechanisms),
            attributes: if city.is_empty() { Vec::new() } else { vec![("city".into(), patterns(&city))] },
            ..Conditions::default()
        })
}

fn some_rule() -> impl Strategy<Value = Rule> {
    let plain = (any::<bool>(), prop::bool::weighted(0.9), some_conditions());
    (plain, prop::option::weighted(0.3, some_conditions())).prop_map(
        |((denies, enabled, conditions), exceptions)| Rule {
            enabled,
            exceptions: exceptions.unwrap_or_default(),
            ..rule(if denies { Action::Deny } else { Action::Allow }, conditions)
        },
    )
}

fn some_login() -> impl Strategy<Value = Login> {
    let names = prop::collection::vec(
        prop::sample::select(&["anna@a.test", "bob@b.test", "b", "hanna@b.test"][..]),
        0..=2,
    );
    let clients = &["192.0.2.7:1", "192.0.2.77:1", "[2001:db8::1]:1", "198.51.100.1:1"][..];
    (
        names,
        prop::sample::select(clients),
        any::<bool>(),
        any::<bool>(),
        prop::sample::select(&["", "x", "xy", "y"][..]),
    )
        .prop_map(|(names, client, secure, plain, city)| Login {
            protocol: if secure { "imaps" } else { "imap" },
            client,
            mechanism: Some(if plain { "plain" } else { "login" }),
            names: names.into_iter().map(|user| Name { user: Some(user.into()), tenant: None }).collect(),
            attributes: if city.is_empty() {
                Attributes::default()
            } else {
                [("city", city)].into_iter().collect()
            },
            country: None,
            has_certificate: false,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// The index finds what a look at every rule finds, and what is decided early is never wrong.
    #[test]
    fn the_index_changes_nothing(rules in prop::collection::vec(some_rule(), 0..12), login in some_login()) {
        let made = Rules::new(rules.clone());
        let first = rules.iter().find(|rule| rule.matches(&login.facts()));
        let denied = first.is_some_and(|rule| rule.action == Action::Deny);
        prop_assert_eq!(made.decide(&login.facts()).denies(), denied);
        prop_assert_eq!(made.matching(&login.facts()).first().map(|at| &rules[*at]), first);
        let strangers = Login { attributes: Attributes::default(), ..login };
        if made.decide_by_name(&strangers.facts()).denies() {
            for city in ["", "x", "xy", "y", "z"] {
                let attributes: Attributes = if city.is_empty() { Attributes::default() } else { [("city", city)].into_iter().collect() };
                let facts = Facts { attributes: &attributes, ..strangers.facts() };
                prop_assert!(made.decide(&facts).denies());
            }
        }
        let address: SocketAddr = strangers.facts().client;
        if made.decide_by_address(&strangers.facts()).denies() {
            for user in ["anna@a.test", "bob@b.test", "z"] {
                let other = Login { client: strangers.client, protocol: strangers.protocol, ..Login::of(user) };
                prop_assert_eq!(other.facts().client, address);
                prop_assert!(made.decide(&other.facts()).denies());
            }
        }
    }
}
