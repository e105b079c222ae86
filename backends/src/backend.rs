//! What backends are called, and what they are asked for.

pub use usher_policy::Service;

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
