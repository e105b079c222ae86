//! Bans.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The bans that are in force.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Bans {
    pub(crate) bans: Vec<Ban>,
}

/// A ban.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Ban {
    /// An address, a network, a user, or a user from an address.
    pub(crate) whose: String,
    /// Which of them: `source`, `user` or `user-at`.
    pub(crate) kind: String,
    /// Since when, in seconds since 1970.
    pub(crate) since: i64,
    /// Until when, in seconds since 1970; missing: until an operator ends it.
    pub(crate) until: Option<i64>,
    /// By which operator; missing: because too many logins have failed.
    pub(crate) by: Option<String>,
    /// Why.
    pub(crate) why: String,
}

/// Whom to ban.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BanOrder {
    /// An address, a network or a user.
    pub(crate) whose: String,
    /// For how many seconds; missing: until an operator ends it.
    pub(crate) seconds: Option<u32>,
    /// Why.
    #[serde(default)]
    pub(crate) why: String,
}

/// What the end of a ban has come to.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Unbanned {
    /// The bans that have been ended.
    pub(crate) ended: Vec<Ban>,
    /// Those of wider networks, which still hold.
    pub(crate) left: Vec<Ban>,
}
