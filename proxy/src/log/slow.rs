//! What takes too long: a line for each login, request or connection that does.

use std::sync::OnceLock;
use std::time::Duration;

/// From when on something is slow; nothing is unless it is set.
pub(super) static SLOW: OnceLock<Duration> = OnceLock::new();

/// Something that may have been slow.
pub(crate) struct Timed<'t> {
    /// `connect`: until the host was ready; `host-login`: until it had answered a login; `login` and `request`: all of it,
    /// as the client sees it; `first-byte`: until the response began.
    pub(crate) stage: &'static str,
    /// Where.
    pub(crate) host: &'t str,
    /// Whose, where that is known.
    pub(crate) user: &'t str,
    /// The session's or request's id, where there is one.
    pub(crate) session: &'t dyn std::fmt::Display,
    /// How long it took.
    pub(crate) took: Duration,
}

/// Logs it if it was slow.
pub(crate) fn slow(timed: &Timed<'_>) {
    let Timed { stage, host, user, session, took } = timed;
    if SLOW.get().is_none_or(|slow| took < slow) {
        return;
    }
    tracing::warn!(stage, host, user, %session, seconds = took.as_secs_f64(), "slow");
}
