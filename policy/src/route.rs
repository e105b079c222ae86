//! The one routing decision: whether, and where, an archive may be used now.
//!
//! Nothing else makes a [`Permit`], and nobody gets a lease of a backend without one.

use crate::identity::ArchiveKey;
use std::sync::Arc;

/// What is known about an archive when the decision is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts<'f> {
    /// What the directory says.
    pub home: Home<'f>,
    /// The directory found it by the entry of its domain.
    pub is_by_domain: bool,
    /// The archive is being moved: nobody may use it until that is done.
    pub is_moving: bool,
    /// The host that the directory names belongs to the fleet.
    pub is_configured: bool,
    /// What the access rules say.
    pub denied: Option<Denied>,
    /// The name by which the host knows the user, if the directory says that it is another one.
    pub login: Option<&'f Arc<str>>,
}

/// What a directory says of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home<'f> {
    /// The archive is on this host.
    On(&'f str),
    /// Nobody has this name.
    Nowhere,
    /// The directory cannot say.
    Undecided,
}

/// How somebody is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// As everybody would be who shows this name, from there and in this way: that may be said.
    Openly,
    /// Because of what the directory says of the name. The client is told the same as for a wrong password, because
    /// anything else would say that the name exists.
    Covertly,
}

/// Where an archive may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Here.
    Permitted(Permit),
    /// Nobody has this name. The client is told the same as for a wrong password.
    Nobody,
    /// The access rules deny it, and that may be said.
    Denied,
    /// The access rules deny it because of what the directory says. The client is told the same as for a wrong password:
    /// here too, and only while the host of this permit could say so.
    Concealed(Permit),
    /// Not now, and nowhere else either: a home has no substitute.
    Outage(Outage),
}

/// Why an archive cannot be used now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// The directory cannot say where it is.
    Undecided,
    /// It is being moved.
    Moving,
    /// The directory names a host that is not configured.
    UnknownHost,
}

impl Outage {
    /// A word of a closed set, for logs and labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Undecided => "directory",
            Self::Moving => "moving",
            Self::UnknownHost => "unknown-host",
        }
    }
}

/// The right to ask for a lease of one host, for the archive of one key. Only [`decide`] makes it, and only such a host can
/// refer to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    key: ArchiveKey,
    host: String,
    is_by_domain: bool,
    login: Option<Arc<str>>,
}

impl Permit {
    /// The key of the archive.
    pub fn key(&self) -> &ArchiveKey {
        &self.key
    }

    /// The host that holds it.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether the archive was found by the entry of its domain.
    pub fn is_by_domain(&self) -> bool {
        self.is_by_domain
    }

    /// The name by which the host knows the user, if it is another one.
    pub fn login(&self) -> Option<&str> {
        self.login.as_deref()
    }

    /// The right to ask for a lease of `host` instead, to which the permitted one refers: what the directory says of the
    /// key is out of date.
    pub fn referred_to(&self, host: &str) -> Self {
        let Self { key, is_by_domain, login, .. } = self.clone();
        Self { key, host: host.to_owned(), is_by_domain, login }
    }
}

/// The right to ask for a lease of a member of one array, for those who name nobody. Only [`nobody`] makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrayPermit {
    array: String,
}

impl ArrayPermit {
    /// The array.
    pub fn array(&self) -> &str {
        &self.array
    }
}

/// Decides where the archive of `key` may be used.
pub fn decide(key: &ArchiveKey, facts: Facts<'_>) -> Decision {
    match facts.home {
        _ if facts.denied == Some(Denied::Openly) => Decision::Denied,
        Home::Nowhere => Decision::Nobody,
        Home::Undecided => Decision::Outage(Outage::Undecided),
        Home::On(_) if facts.is_moving => Decision::Outage(Outage::Moving),
        Home::On(_) if !facts.is_configured => Decision::Outage(Outage::UnknownHost),
        Home::On(host) => {
            let is_by_domain = facts.is_by_domain;
            let permit =
                Permit { key: key.clone(), host: host.to_owned(), is_by_domain, login: facts.login.cloned() };
            match facts.denied {
                Some(Denied::Covertly) => Decision::Concealed(permit),
                Some(Denied::Openly) | None => Decision::Permitted(permit),
            }
        }
    }
}

/// Decides where requests that name nobody go: to the array that the operator has configured for them.
pub fn nobody(array: &str) -> ArrayPermit {
    ArrayPermit { array: array.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fact_counts_and_in_this_order() {
        let key = ArchiveKey::User("anna@example.com".to_owned());
        let on = Home::On("ih1.test");
        let permit =
            Permit { key: key.clone(), host: "ih1.test".to_owned(), is_by_domain: false, login: None };
        for (home, is_moving, is_configured, expected) in [
            (on, false, true, Decision::Permitted(permit)),
            (on, true, true, Decision::Outage(Outage::Moving)),
            (on, true, false, Decision::Outage(Outage::Moving)),
            (on, false, false, Decision::Outage(Outage::UnknownHost)),
            (Home::Nowhere, false, true, Decision::Nobody),
            (Home::Nowhere, true, false, Decision::Nobody),
            (Home::Undecided, false, true, Decision::Outage(Outage::Undecided)),
            (Home::Undecided, true, false, Decision::Outage(Outage::Undecided)),
        ] {
            let facts =
                Facts { home, is_by_domain: false, is_moving, is_configured, denied: None, login: None };
            assert_eq!(decide(&key, facts), expected, "{facts:?}");
            let openly = Facts { denied: Some(Denied::Openly), ..facts };
            assert_eq!(decide(&key, openly), Decision::Denied, "{openly:?}");
            let covertly = Facts { denied: Some(Denied::Covertly), ..facts };
            // An outage is an outage for everybody.
            let known = match expected {
                Decision::Permitted(permit) => Decision::Concealed(permit),
                other => other,
            };
            assert_eq!(decide(&key, covertly), known, "{covertly:?}");
        }
    }
}
