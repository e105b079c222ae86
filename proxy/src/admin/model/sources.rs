//! Who is asked where an archive is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The directory's sources.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Sources {
    /// In the order in which they are asked.
    pub(crate) sources: Vec<Source>,
}

/// One source of the directory.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Source {
    /// Its name.
    pub(crate) name: String,
    /// Whether entries can be changed there.
    pub(crate) is_writable: bool,
    /// Logins are answered from memory, as it cannot be read.
    pub(crate) is_stale: bool,
    /// How many entries it has; missing if it cannot be read.
    pub(crate) entries: Option<u64>,
    /// Why it cannot be read.
    pub(crate) error: Option<String>,
    /// Since when it cannot be read, in seconds since 1970.
    pub(crate) down_since: Option<u64>,
    /// Answers of it that are remembered; missing if it is within usher.
    pub(crate) remembered: Option<usize>,
}
