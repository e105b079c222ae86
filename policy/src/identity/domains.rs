//! From the name that somebody types to the key of their archive: normalised once, here and nowhere else.

use super::archive_key::{ArchiveKey, KEY_CAP};
use super::login_name::{LoginForms, LoginName};
use crate::access::{Name, Pattern};
use crate::fold::fold;
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::net::IpAddr;

/// Which connections a default domain for bare names (names without a domain) applies to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DefaultFor {
    /// All other connections.
    Any,
    /// On connections to this address of usher's.
    Local(IpAddr),
    /// On TLS connections that asked for this name (SNI).
    ServerName(String),
}

/// The domains that the operator has configured.
#[derive(Debug, Clone, Default)]
pub struct Domains {
    /// Names and aliases, with the separators that may precede them.
    known: HashMap<String, Known, RandomState>,
    /// All separators of all domains.
    separators: Vec<char>,
    defaults: HashMap<DefaultFor, String, RandomState>,
    forms: LoginForms,
}

/// Whom a typed name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The key of the archive.
    pub key: ArchiveKey,
    /// What else the name says.
    pub says: Says,
}

/// What a typed name says besides whose archive it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Says {
    /// Nothing: it is the user's own.
    Own,
    /// Which user of the tenant logs in.
    TenantAnd(String),
    /// Who logs in for the user, or opens the mailbox: for the host to read.
    More,
}

#[derive(Debug, Clone)]
struct Known {
    name: String,
    separators: Vec<char>,
}

/// How a client connected, which decides the domain of a bare name.
#[derive(Debug, Clone, Copy, Default)]
pub struct Arrival<'a> {
    /// The address of usher's that the client connected to.
    pub local: Option<IpAddr>,
    /// The name it asked for with SNI.
    pub server_name: Option<&'a str>,
}

impl Domains {
    /// Adds a name or alias of the domain `name`. False when it is known already.
    pub fn add(&mut self, alias: &str, name: &str, separators: &[char]) -> bool {
        let known = Known { name: fold(name), separators: separators.to_vec() };
        for separator in separators {
            if !self.separators.contains(separator) {
                self.separators.push(*separator);
            }
        }
        self.known.insert(fold(alias), known).is_none()
    }

    /// Makes `name` the default domain for such connections. False if there already is one.
    pub fn add_default(&mut self, default_for: DefaultFor, name: &str) -> bool {
        self.defaults.insert(default_for, fold(name)).is_none()
    }

    /// Sets how names are written that are more than a name.
    pub fn set_forms(&mut self, forms: LoginForms) {
        self.forms = forms;
    }

    /// What separates a user from a master user, if anything does.
    pub fn master_separator(&self) -> Option<char> {
        self.forms.master
    }

    /// The characters that may separate a user from one of the domains.
    pub fn separators(&self) -> &[char] {
        &self.separators
    }

    /// The key of the archive of whoever types `typed`; `None` for a name that no archive can have.
    pub fn user(&self, typed: &[u8], arrival: Arrival<'_>) -> Option<ArchiveKey> {
        self.named(typed, arrival).map(|named| named.key)
    }

    /// Whom `typed` stands for; `None` for a name that no archive can have.
    ///
    /// Names are UTF-8 without control characters and at most [`KEY_CAP`] bytes long. They are converted to NFC and
    /// lower case; look-alikes remain different.
    pub fn named(&self, typed: &[u8], arrival: Arrival<'_>) -> Option<Named> {
        let name = normalise(typed)?;
        let (user, domain, says) = match self.forms.read(&name)? {
            LoginName::Tenant { tenant, user, is_own } => {
                let key = Self::tenant(tenant.as_bytes())?;
                let says = if is_own { Says::TenantAnd(user.to_owned()) } else { Says::More };
                return Some(Named { key, says });
            }
            LoginName::User { user, domain, is_own: true } => (user, domain, Says::Own),
            LoginName::User { user, domain, is_own: false } => (user, domain, Says::More),
        };
        let user = match (self.split(user), domain) {
            (Some((local, domain)), _) => [local, "@", domain].concat(),
            (None, Some(domain)) => [user, "@", self.domain_called(domain)?].concat(),
            (None, None) => match self.default_domain(arrival) {
                Some(domain) => [user, "@", domain].concat(),
                None => user.to_owned(),
            },
        };
        Some(Named { key: ArchiveKey::User(key(user)?), says })
    }

    /// The names by which a login under a typed name is counted, each once: everybody whom it shows or, where no archive can
    /// have it, itself.
    pub fn counted(&self, typed: &[u8], arrival: Arrival<'_>) -> Vec<String> {
        let mut names: Vec<String> = self.shown(typed, arrival).iter().map(ToString::to_string).collect();
        if names.is_empty() {
            names.push(String::from_utf8_lossy(typed).to_lowercase());
        }
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Everybody whom `typed` shows, as access rules see them: whose archive it is, and who opens it if that is somebody
    /// else.
    pub fn shown(&self, typed: &[u8], arrival: Arrival<'_>) -> Vec<Name> {
        let Some(name) = normalise(typed) else { return Vec::new() };
        let others = self
            .forms
            .others(&name)
            .into_iter()
            .map(|other| self.own_name(other, arrival).unwrap_or_else(|| Name::written(other)));
        self.own_name(&name, arrival).into_iter().chain(others).collect()
    }

    /// Whose archive `name` means, which is in its normal form, and which user of a tenant.
    fn own_name(&self, name: &str, arrival: Arrival<'_>) -> Option<Name> {
        match self.forms.read(name)? {
            LoginName::Tenant { tenant, user, .. } => {
                let user = match self.split(user) {
                    Some((local, domain)) => [local, "@", domain].concat(),
                    None => user.to_owned(),
                };
                Some(Name { user: Some(user.into()), tenant: Some(tenant.into()) })
            }
            LoginName::User { .. } => {
                let named = self.named(name.as_bytes(), arrival)?;
                Some(Name::written(&named.key.to_string()))
            }
        }
    }

    /// The domain that `called` means: its name or an alias, a name that no configured domain has, or what comes before
    /// the first dot of only one configured domain, as Windows names domains.
    fn domain_called<'d>(&'d self, called: &'d str) -> Option<&'d str> {
        if let Some(known) = self.known.get(called) {
            return Some(&known.name);
        }
        if called.contains('.') {
            return Some(called);
        }
        let is_short_for = |known: &&Known| known.name.split('.').next() == Some(called);
        let mut found = self.known.values().filter(is_short_for).map(|known| known.name.as_str());
        let first = found.next()?;
        found.all(|other| other == first).then_some(first)
    }

    /// The key of the tenant called `typed`; `None` for a name that no tenant can have.
    pub fn tenant(typed: &[u8]) -> Option<ArchiveKey> {
        normalise(typed).filter(|name| !name.contains(['/', '@', ':'])).map(ArchiveKey::Tenant)
    }

    /// The key for all users of the domain `typed`, which may be an alias.
    pub fn domain(&self, typed: &[u8]) -> Option<ArchiveKey> {
        let domain = normalise(typed).filter(|domain| !domain.contains(['@', '/']))?;
        Some(ArchiveKey::Domain(self.name_of(domain)))
    }

    /// Parses a key as operators write it: `anna@example.com`, `tenant:acme` or `@example.com`. `None` for a name that no
    /// archive can have, and for one that means another archive than it says, such as `anna*admin`.
    pub fn written(&self, written: &str) -> Option<ArchiveKey> {
        if let Some(tenant) = written.strip_prefix("tenant:") {
            return Self::tenant(tenant.as_bytes());
        }
        match written.strip_prefix('@') {
            Some(domain) => self.domain(domain.as_bytes()),
            None => {
                let named = self.named(written.as_bytes(), Arrival::default());
                named.filter(|named| named.says == Says::Own).map(|named| named.key)
            }
        }
    }

    /// The pattern for users that an operator writes as `text`, in which `*` stands for any text: `*@example.com`, or
    /// `EXAMPLE\\*` as Windows writes it. The alias of a domain stands for the domain.
    pub fn pattern(&self, text: &str) -> Pattern {
        let text = fold(text);
        let (user, domain) = match (text.split_once('\\'), text.rsplit_once('@')) {
            (Some((domain, user)), _) => (user, domain),
            (None, Some((user, domain))) => (user, domain),
            (None, None) => return Pattern::new(&text),
        };
        Pattern::new(&[user, "@", self.domain_called(domain).unwrap_or(domain)].concat())
    }

    /// The pattern for domains that an operator writes as `text`. An alias stands for its domain.
    pub fn domain_pattern(&self, text: &str) -> Pattern {
        let text = fold(text);
        Pattern::new(self.domain_called(text.trim()).unwrap_or(&text))
    }

    /// Whether this domain is configured, or no domain is.
    pub fn knows(&self, domain: &str) -> bool {
        self.known.is_empty() || self.known.contains_key(&fold(domain))
    }

    /// The names asked for with SNI that have a default domain.
    pub fn server_names(&self) -> impl Iterator<Item = &str> {
        self.defaults.keys().filter_map(|way| match way {
            DefaultFor::ServerName(name) => Some(name.as_str()),
            DefaultFor::Any | DefaultFor::Local(_) => None,
        })
    }

    /// All domains and their aliases, in order.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.known.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// Splits at the last separator that precedes a known domain, or else at the last `@`.
    fn split<'n>(&'n self, name: &'n str) -> Option<(&'n str, &'n str)> {
        for (at, separator) in name.rmatch_indices(self.separators.as_slice()) {
            let domain = &name[at + separator.len()..];
            let separator = separator.chars().next().unwrap_or_default();
            if let Some(known) = self.known.get(domain)
                && known.separators.contains(&separator)
            {
                return Some((&name[..at], known.name.as_str())).filter(|(local, _)| !local.is_empty());
            }
        }
        name.rsplit_once('@').filter(|(local, domain)| !local.is_empty() && !domain.is_empty())
    }

    fn name_of(&self, domain: String) -> String {
        self.known.get(&domain).map_or(domain, |known| known.name.clone())
    }

    fn default_domain(&self, arrival: Arrival<'_>) -> Option<&String> {
        let server_name = arrival.server_name.map(|name| DefaultFor::ServerName(fold(name)));
        let local = arrival.local.map(|address| DefaultFor::Local(address.to_canonical()));
        [server_name, local, Some(DefaultFor::Any)]
            .into_iter()
            .flatten()
            .find_map(|way| self.defaults.get(&way))
    }
}

fn normalise(typed: &[u8]) -> Option<String> {
    // Phone keyboards append a blank after completing a word.
    let typed = std::str::from_utf8(typed).ok()?.trim_matches(|c: char| c.is_whitespace() && !c.is_control());
    // Checked before doing the work that a longer name would cause, and again afterwards: lower case may be longer.
    let has_control = match typed.is_ascii() {
        true => typed.bytes().any(|b| b.is_ascii_control()),
        false => typed.chars().any(char::is_control),
    };
    if typed.len() > KEY_CAP || has_control {
        return None;
    }
    key(fold(typed))
}

fn key(name: String) -> Option<String> {
    // Operators write domains and tenants so: a user of this name would be taken for one.
    let means_another = name.starts_with('@') || name.ends_with('@') || name.starts_with("tenant:");
    (!name.is_empty() && name.len() <= KEY_CAP && !means_another && name.trim() == name).then_some(name)
}

#[cfg(test)]
mod tests;
