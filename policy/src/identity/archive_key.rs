//! What is looked up: a user, a tenant or a domain.

use std::fmt;

/// The version of the rules by which keys are normalised. Stored with the keys, because other rules would give the same
/// names other keys.
pub const NORMALISATION: u32 = 1;

/// Longest key in bytes of UTF-8: 64 for a local part, one for `@`, 255 for a domain.
pub const KEY_CAP: usize = 320;

/// The normalised name of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ArchiveKey {
    /// `anna@example.com`, or a bare `anna` of no domain.
    User(String),
    /// A tenant, `acme`.
    Tenant(String),
    /// All users of `example.com` that have no entry of their own.
    Domain(String),
}

impl ArchiveKey {
    /// The name without its kind.
    pub fn name(&self) -> &str {
        match self {
            Self::User(name) | Self::Tenant(name) | Self::Domain(name) => name,
        }
    }

    /// The domain of a user. If the user has no entry, the archive is found under this key.
    pub fn domain(&self) -> Option<ArchiveKey> {
        match self {
            Self::User(user) => user.rsplit_once('@').map(|(_, domain)| Self::Domain(domain.to_owned())),
            Self::Tenant(_) | Self::Domain(_) => None,
        }
    }
}

impl fmt::Display for ArchiveKey {
    /// As the command line writes it: `anna@example.com`, `tenant:acme`, `@example.com`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => f.write_str(user),
            Self::Tenant(tenant) => write!(f, "tenant:{tenant}"),
            Self::Domain(domain) => write!(f, "@{domain}"),
        }
    }
}
