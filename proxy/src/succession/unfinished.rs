//! What a process is in the middle of, and its successor goes on with.

use serde::{Deserialize, Serialize};

/// A key whose logins wait.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct MoveUnderWay {
    /// As the directory has it.
    pub(crate) key: String,
    /// How many sessions it has ended.
    pub(crate) ended: usize,
    /// Whoever has begun it says from time to time that they are still there.
    pub(crate) is_awaited: bool,
}

/// A move of many keys, of which the rest is still to be moved.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BulkUnderWay {
    pub(crate) from: String,
    pub(crate) to: String,
    /// Only keys that match.
    pub(crate) matching: Option<String>,
    /// Keys per second.
    pub(crate) rate: u32,
    pub(crate) by: String,
}
