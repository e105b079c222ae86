//! How this crate reports what happens; what becomes of that (logs, metrics) is up to the program.

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
    /// Why the probe failed; `None` if it did not.
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

    /// A backend's pinned certificate will expire soon or has expired; `not_after` is in seconds since 1970.
    fn pinned_certificate_ends(&self, host: &str, not_after: i64, expired: bool);

    /// This version cannot use a host that was added at run time.
    fn added_host_unusable(&self, host: &str, why: &str);

    /// A service was probed.
    fn probed(&self, id: &BackendId, service: Service, report: &Report);

    /// Health has taken a service out (`why` says for what) or back in.
    fn health_turned(&self, id: &BackendId, service: Service, why: Option<&str>);

    /// So many backends time out at once that the checker itself is in doubt, or no longer.
    fn checker_suspected(&self, suspected: bool);

    /// An agent says something other than before.
    fn agent_said(&self, id: &BackendId, word: AgentWord);
}
