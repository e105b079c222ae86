//! Why usher answers itself.

use crate::guessing::HeldOff;
use http::StatusCode;

/// Nobody is named, and a token could do so.
pub(crate) const NO_TOKEN: &str = "no-token";

/// Why usher answers itself. For clients only; operators read more in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// A word of a closed set, for logs and labels.
    pub(crate) cause: &'static str,
    /// Seconds after which another request may have more success.
    pub(crate) retry: Option<u32>,
}

impl Refusal {
    pub(crate) const fn new(status: StatusCode, cause: &'static str) -> Self {
        Self { status, cause, retry: None }
    }

    /// Too many logins have failed, or there are too many.
    pub(crate) fn held_off(held_off: HeldOff) -> Self {
        let seconds = held_off.retry.as_secs() + u64::from(held_off.retry.subsec_nanos() > 0);
        let retry = Some(u32::try_from(seconds).unwrap_or(u32::MAX).max(1));
        Self { retry, ..Self::new(StatusCode::TOO_MANY_REQUESTS, held_off.by) }
    }

    /// The intended server cannot be reached now.
    pub(crate) const fn unavailable(cause: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, cause)
    }
}
