//! Why usher answers itself.

use http::StatusCode;

/// Nobody is named, and a token could do so.
pub(crate) const NO_TOKEN: &str = "no-token";

/// Why usher answers itself. For clients only; operators read more in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// A word of a closed set, for logs and labels.
    pub(crate) cause: &'static str,
}

impl Refusal {
    pub(crate) const fn new(status: StatusCode, cause: &'static str) -> Self {
        Self { status, cause }
    }

    /// The intended server cannot be reached now.
    pub(crate) const fn unavailable(cause: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, cause)
    }
}
