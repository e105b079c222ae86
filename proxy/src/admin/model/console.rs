//! What the console asks for.

use super::Backend;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Role {
    /// Read everything.
    Reader,
    /// Also change everything.
    Operator,
}

/// Who asks.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Me {
    /// What they may do.
    pub(crate) role: Role,
    /// Their name, where a proxy has said it.
    pub(crate) name: Option<String>,
    /// A token or a proxy has shown who they are.
    pub(crate) is_known: bool,
    /// There are tokens with which one could be known.
    pub(crate) has_token: bool,
}

/// A change that somebody has made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct ChangeMade {
    /// When, in seconds since 1970.
    pub(crate) at: i64,
    /// By whom.
    pub(crate) by: String,
    /// Where they came from.
    pub(crate) from: String,
    /// What they did.
    pub(crate) what: String,
    /// To whom or to what.
    pub(crate) on: String,
    /// Why, where to, or how.
    pub(crate) why: String,
}

/// The latest changes.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Changes {
    /// The latest first.
    pub(crate) changes: Vec<ChangeMade>,
}

/// How usher is, in what the console follows.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Pulse {
    /// Seconds since the start.
    pub(crate) uptime_seconds: u64,
    /// Whether it is stopping.
    pub(crate) stopping: bool,
    /// Connections that are open.
    pub(crate) connections: usize,
    /// Sessions.
    pub(crate) sessions: usize,
    /// Logins that wait for hosts that are out of service.
    pub(crate) held_logins: u32,
    /// Most hosts time out at once; the last good state is kept.
    pub(crate) checker_suspected: bool,
    /// Keys whose logins wait.
    pub(crate) moving: usize,
    /// Logins and requests a second.
    pub(crate) rate: f64,
}

/// A host or member as the console follows it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Row {
    /// It.
    #[serde(flatten)]
    pub(crate) backend: Backend,
    /// Logins and requests a second.
    pub(crate) rate: f64,
    /// Sessions in the last five minutes, every five seconds, the oldest first; only where it is told the first time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) history: Option<Vec<u32>>,
}

/// A change in what the console follows.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct News {
    /// usher.
    pub(crate) pulse: Pulse,
    /// Hosts and members that are new or have changed.
    pub(crate) rows: Vec<Row>,
    /// Those that are gone, as `array/name`; hosts have no array before the slash.
    pub(crate) gone: Vec<String>,
}
