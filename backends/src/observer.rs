//! Through this, the crate reports what happened; what becomes of it (logs, metrics) is the program's.

use crate::backend::{BackendId, Service};
use crate::fault::ConnectFault;
use crate::hold::AgentWord;
use crate::learnt::Learnt;
use std::time::Duration;

/// What is known of one service.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// When it was last probed, in seconds since 1970.
    pub at: i64,
    /// How long that took.
    pub took: Duration,
    /// Why it failed; `None`: it did not.
    pub fault: Option<String>,
    /// What probes have learnt of it.
    pub learnt: Learnt,
}

/// Hears of every connection to a backend. Called from sessions: must not block.
pub trait Observer: Send + Sync {
    /// A backend was reached and is ready for a login.
    fn connected(&self, host: &str, took: Duration);

    /// A backend could not be reached, or was not the one that was meant.
    fn connect_failed(&self, host: &str, fault: &ConnectFault);

    /// A backend's pinned certificate nears its end or is past it: `not_after` in seconds since 1970.
    fn pinned_certificate_ends(&self, host: &str, not_after: i64, expired: bool);

    /// A host that was added at run time cannot be used by this version.
    fn added_host_unusable(&self, host: &str, why: &str);

    /// A service was probed.
    fn probed(&self, id: &BackendId, service: Service, report: &Report);

    /// Health has taken a service out (`why` says for what) or back in.
    fn health_turned(&self, id: &BackendId, service: Service, why: Option<&str>);

    /// Most backends fail by timeout at once, so that the checker itself is in doubt; or no longer.
    fn checker_suspected(&self, suspected: bool);

    /// An agent says something else than before.
    fn agent_said(&self, id: &BackendId, word: AgentWord);
}
