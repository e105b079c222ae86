//! How backends are named, and the services that they offer.

pub use usher_policy::Service;

use std::fmt;
use std::sync::Arc;

/// Identifies a backend: an instance host, or a member of an array. Operators' holds apply to a machine, by name;
/// health and leases belong to each backend.
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
