//! Through this, the crate reports what happened; what becomes of it (logs, metrics) is the program's.

use crate::connect::ConnectFault;
use std::time::Duration;

/// Hears of every connection to a backend. Called from sessions: must not block.
pub trait Observer: Send + Sync {
    /// A backend was reached and is ready for a login.
    fn connected(&self, host: &str, took: Duration);

    /// A backend could not be reached, or was not the one that was meant.
    fn connect_failed(&self, host: &str, fault: &ConnectFault);

    /// A backend's certificate is the pinned one, but has expired: `not_after` in seconds since 1970.
    fn pinned_certificate_expired(&self, host: &str, not_after: i64);
}
