//! Why a body broke off.

use crate::https::message::refusal::Refusal;
use http::StatusCode;

/// Why a body broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyFault {
    /// The client went away, or broke the framing.
    #[error("the client's body broke off")]
    Broken,
    /// It is longer than it may be.
    #[error("the client's body is too long")]
    TooLong,
    /// It came too slowly.
    #[error("the client's body came too slowly")]
    TooSlow,
    /// Its trailers are none.
    #[error("the client's trailers are malformed")]
    Trailers,
}

impl BodyFault {
    /// A word of a closed set, for logs and labels.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Broken => "body",
            Self::TooLong => "body-too-long",
            Self::TooSlow => "body-too-slow",
            Self::Trailers => "trailers",
        }
    }
}

impl From<BodyFault> for Refusal {
    fn from(fault: BodyFault) -> Self {
        let status = match fault {
            BodyFault::Broken | BodyFault::Trailers => StatusCode::BAD_REQUEST,
            BodyFault::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            BodyFault::TooSlow => StatusCode::REQUEST_TIMEOUT,
        };
        Self::new(status, fault.name())
    }
}
