//! The conditions of a rule, and its exceptions, which have the same form.

use super::country::Country;
use super::facts::{Facts, Name};
use super::pattern::Pattern;
use super::ranges::{AddressRange, PortRange};
use super::window::Window;

/// The attribute of a user that says which tenant the archive belongs to, besides what a name says.
const TENANT: &str = "tenant";

/// The words for how a client logs in, or where its request names a user.
pub const MECHANISMS: [&str; 20] = [
    "plain",
    "login",
    "cram-md5",
    "digest-md5",
    "scram-sha-1",
    "scram-sha-1-plus",
    "scram-sha-256",
    "scram-sha-256-plus",
    "xoauth2",
    "oauthbearer",
    "external",
    "basic",
    "bearer",
    "path",
    "query",
    "host",
    "form",
    "header",
    "client-certificate",
    "cookie",
];

/// A list of values for each kind of fact; an empty one says nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conditions {
    /// What is spoken.
    pub protocols: Vec<Box<str>>,
    /// The client's address.
    pub addresses: Vec<AddressRange>,
    /// The client's port.
    pub source_ports: Vec<PortRange>,
    /// How it logs in.
    pub mechanisms: Vec<Box<str>>,
    /// The users, with their domains.
    pub users: Vec<Pattern>,
    /// The users' domains.
    pub domains: Vec<Pattern>,
    /// The tenants.
    pub tenants: Vec<Pattern>,
    /// The attributes of the archive's user, by their names in lower case.
    pub attributes: Vec<(Box<str>, Vec<Pattern>)>,
    /// The time.
    pub times: Vec<Window>,
    /// The country of the address.
    pub countries: Vec<Country>,
    /// Whether it has a certificate.
    pub client_certificate: Option<bool>,
}

/// Which of the names that a login shows must match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Any,
    All,
}

impl Conditions {
    /// Whether all of them hold.
    pub(super) fn all_hold(&self, facts: &Facts<'_>, which: Which) -> bool {
        self.each(facts, which).into_iter().flatten().all(|holds| holds)
            && self.attributes_hold(facts).all(|holds| holds)
    }

    /// Whether one of them holds.
    pub(super) fn any_holds(&self, facts: &Facts<'_>, which: Which) -> bool {
        self.each(facts, which).into_iter().flatten().any(|holds| holds)
            || self.attributes_hold(facts).any(|holds| holds)
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether any of them looks at what the directory says.
    pub(super) fn look_at_entry(&self) -> bool {
        !self.tenants.is_empty() || !self.attributes.is_empty()
    }

    /// Whether any of them looks at who logs in, or how.
    pub(super) fn look_at_login(&self) -> bool {
        self.look_at_entry()
            || !self.users.is_empty()
            || !self.domains.is_empty()
            || !self.mechanisms.is_empty()
            || self.client_certificate.is_some()
    }

    /// The same without what looks at the directory.
    pub(super) fn without_entry(&self) -> Self {
        Self { tenants: Vec::new(), attributes: Vec::new(), ..self.clone() }
    }

    /// The same without what looks at who logs in, or how.
    pub(super) fn without_login(&self) -> Self {
        Self {
            users: Vec::new(),
            domains: Vec::new(),
            mechanisms: Vec::new(),
            client_certificate: None,
            ..self.without_entry()
        }
    }

    /// The same without the pattern that every login matches, since each has a user.
    pub(super) fn without_all(&self) -> Self {
        match self.users.iter().any(|pattern| pattern.as_str() == "*") {
            true => Self { users: Vec::new(), ..self.clone() },
            false => self.clone(),
        }
    }

    /// Whether each condition but the attributes holds; `None`: there is no such condition.
    fn each(&self, facts: &Facts<'_>, which: Which) -> [Option<bool>; 10] {
        let given = |is_given: bool, holds: &dyn Fn() -> bool| is_given.then(holds);
        let named = |patterns: &[Pattern], holds: &dyn Fn(&Name, &[Pattern]) -> bool| {
            given(!patterns.is_empty(), &|| match which {
                Which::Any => facts.names.iter().any(|name| holds(name, patterns)),
                Which::All => !facts.names.is_empty() && facts.names.iter().all(|name| holds(name, patterns)),
            })
        };
        let is_one = |value: Option<&str>, patterns: &[Pattern]| {
            value.is_some_and(|value| patterns.iter().any(|pattern| pattern.matches(value)))
        };
        [
            given(!self.protocols.is_empty(), &|| {
                self.protocols.iter().any(|word| **word == *facts.protocol)
            }),
            given(!self.addresses.is_empty(), &|| {
                self.addresses.iter().any(|range| range.contains(facts.client.ip()))
            }),
            given(!self.source_ports.is_empty(), &|| {
                self.source_ports.iter().any(|range| range.contains(facts.client.port()))
            }),
            given(!self.mechanisms.is_empty(), &|| {
                facts.mechanism.is_some_and(|used| self.mechanisms.iter().any(|word| **word == *used))
            }),
            named(&self.users, &|name, patterns| is_one(name.user.as_deref(), patterns)),
            named(&self.domains, &|name, patterns| is_one(name.domain(), patterns)),
            given(!self.tenants.is_empty(), &|| {
                let holds = |name: &Name| is_one(name.tenant.as_deref(), &self.tenants);
                is_one(facts.attributes.get(TENANT), &self.tenants)
                    || match which {
                        Which::Any => facts.names.iter().any(holds),
                        Which::All => !facts.names.is_empty() && facts.names.iter().all(holds),
                    }
            }),
            given(!self.times.is_empty(), &|| self.times.iter().any(|window| window.contains(facts.now))),
            given(!self.countries.is_empty(), &|| {
                facts.country.is_some_and(|country| self.countries.contains(&country))
            }),
            self.client_certificate.map(|wanted| wanted == facts.has_certificate),
        ]
    }

    /// Whether the condition on each attribute holds.
    fn attributes_hold(&self, facts: &Facts<'_>) -> impl Iterator<Item = bool> {
        self.attributes.iter().map(|(name, patterns)| {
            let value = facts.attributes.get(name);
            value.is_some_and(|value| patterns.iter().any(|pattern| pattern.matches(value)))
        })
    }
}
