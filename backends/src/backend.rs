//! What backends are called, and what they are asked for.

use std::fmt;
use std::sync::Arc;

/// Names a backend: an instance host, or a member of an array. Operators hold machines, by name; health and
/// leases are each backend's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BackendId {
    /// The array, for a member.
    pub array: Option<Arc<str>>,
    /// The host's or the member's name.
    pub name: Arc<str>,
}

impl fmt::Display for BackendId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.array {
            Some(array) => write!(f, "{array}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// What a backend is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// IMAP.
    Imap,
    /// HTTP.
    Http,
    /// Anything over TCP.
    Tcp,
}

impl Service {
    /// A word of a closed set, for logs and labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Http => "http",
            Self::Tcp => "tcp",
        }
    }
}
