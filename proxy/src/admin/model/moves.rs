//! Moves of keys between hosts.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a key is to be moved.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MoveOrder {
    /// The host that gets it.
    pub(crate) to: String,
    /// Hold the logins and end the sessions only; the rest when it is asked for.
    #[serde(default)]
    pub(crate) prepare: bool,
    /// A login that must succeed at the new host.
    pub(crate) test: Option<MoveTest>,
}

/// A login that must succeed at the new host.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MoveTest {
    /// The name; empty: none is tried.
    #[serde(default)]
    pub(crate) user: String,
    /// The password.
    #[serde(default)]
    #[schema(write_only)]
    pub(crate) password: String,
}

impl Drop for MoveTest {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.password);
    }
}

/// A move.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct MoveState {
    /// What is moved.
    pub(crate) key: String,
    /// From which host.
    pub(crate) from: String,
    /// To which host.
    pub(crate) to: String,
    /// `held`: its logins wait; `done`; `undone`: it is where it was.
    pub(crate) phase: String,
    /// How many sessions it has ended.
    pub(crate) ended_sessions: usize,
    /// Why it was undone.
    pub(crate) why: String,
}

/// The moves under way, and the latest that are over.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Moves {
    /// Each.
    pub(crate) moves: Vec<MoveState>,
    /// The latest move of many keys.
    pub(crate) bulk: Option<BulkMove>,
}

/// Which keys are to be moved.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BulkMoveOrder {
    /// Those on this host.
    pub(crate) from: String,
    /// To this one.
    pub(crate) to: String,
    /// Only those that match, with `*` for any text.
    pub(crate) matching: Option<String>,
    /// Keys per second; missing: 50.
    pub(crate) rate: Option<u32>,
    /// Move none, but list them.
    #[serde(default)]
    pub(crate) only_list: bool,
}

/// A move of many keys.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct BulkMove {
    /// From which host.
    pub(crate) from: String,
    /// To which host.
    pub(crate) to: String,
    /// How many keys.
    pub(crate) total: usize,
    /// How many have been moved.
    pub(crate) moved: usize,
    /// How many could not be.
    pub(crate) failed: usize,
    /// Nothing is moved any more.
    pub(crate) is_over: bool,
    /// What could not be moved and why, the first of them.
    pub(crate) failures: Vec<String>,
    /// The keys, where they were to be listed.
    #[serde(default)]
    pub(crate) keys: Vec<String>,
}
