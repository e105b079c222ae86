//! Upgrades, as values.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who is to take over, and when.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UpgradeOrder {
    /// How long the new process may take to be ready.
    pub(crate) wait_seconds: Option<u64>,
    /// Only if the program on the disk is another one.
    pub(crate) if_changed: bool,
}

/// Who has taken over.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct Upgraded {
    /// The number of the new process; none: nobody.
    pub(crate) process: Option<u32>,
    /// Why nobody has, if somebody should.
    pub(crate) why: Option<String>,
}
