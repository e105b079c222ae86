//! What is logged.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use utoipa::ToSchema;

/// What is to be logged more than usually.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogLevelOrder {
    /// `debug` or `trace`.
    pub(crate) level: String,
    /// For how long.
    pub(crate) seconds: u64,
    /// Only lines about this user, and about sessions of this user.
    pub(crate) user: Option<String>,
    /// Only lines about clients at this address.
    #[schema(value_type = Option<String>)]
    pub(crate) client: Option<IpAddr>,
    /// Only lines about this host.
    pub(crate) host: Option<String>,
}

/// What is logged more than usually.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct LogLevel {
    /// `debug` or `trace`; `None`: nothing is.
    pub(crate) level: Option<String>,
    /// For how long yet.
    pub(crate) seconds: u64,
    /// Only lines about this user.
    pub(crate) user: Option<String>,
    /// Only lines about clients at this address.
    #[schema(value_type = Option<String>)]
    pub(crate) client: Option<IpAddr>,
    /// Only lines about this host.
    pub(crate) host: Option<String>,
}
