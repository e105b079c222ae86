//! What takes too long: a line for each login, request or connection that does.

use std::sync::OnceLock;
use std::time::Duration;
use tokio::time::Instant;

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
    /// When it began.
    pub(crate) since: Instant,
}

/// Logs it if it was slow.
pub(crate) fn slow(timed: &Timed<'_>) {
    // Nobody asks for the time for nothing.
    let Some(slow) = SLOW.get() else { return };
    let took = timed.since.elapsed();
    if took < *slow {
        return;
    }
    let Timed { stage, host, user, session, .. } = timed;
    tracing::warn!(stage, host, user, %session, seconds = took.as_secs_f64(), "slow");
}
