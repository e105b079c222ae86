//! The result of one attempt to log in.

use super::voice::GaveUp;
use crate::session::Why;
use usher_backends::connect;
use usher_backends::roster::{Host, Lease};
use usher_wire::imap::referral::Referral;
use usher_wire::imap::reply::Code;

/// What the client is told about a refused login.
pub(crate) struct Refusal {
    pub(crate) code: Code,
    /// The host's own words.
    pub(crate) alert: Option<String>,
    /// Why a token is refused, as the client is told before.
    pub(crate) why: Option<Vec<u8>>,
}

impl Refusal {
    /// A refusal of usher's own.
    pub(super) fn with(code: Code) -> Self {
        Self { code, alert: None, why: None }
    }
}

/// What one try came to.
pub(super) enum Try {
    LoggedIn(Box<connect::LoggedIn>, Lease<Host>),
    Refused(Refusal),
    Unknown,
    /// The access rules deny it, and that may be said.
    Denied,
    /// The access rules deny it because of what the directory says.
    DeniedCovertly,
    /// The host says that the user is on another one.
    Referred(Referral),
    /// Too many have failed, or there are too many: it has not been tried.
    HeldOff,
    /// The host has refused a conversation before it began.
    RefusedAtFirst,
    /// The same, and the client has been answered in the host's place.
    AnsweredFor,
    /// The client says no more.
    GaveUp(GaveUp),
    /// Somebody ends it.
    Ended(Why),
    Out,
    /// Out, and another attempt with the same credential would have the same result, or be one login too many.
    Hopeless,
    /// The host was given the credential but did not answer; it may be asked once more.
    Unanswered,
}

impl Try {
    /// A word of a closed set, for metrics.
    pub(super) fn result(&self) -> &'static str {
        match self {
            Self::LoggedIn(..) => "ok",
            Self::Refused(_) | Self::RefusedAtFirst | Self::AnsweredFor => "refused",
            Self::GaveUp(_) => "aborted",
            Self::Unknown => "unknown-user",
            Self::Denied | Self::DeniedCovertly => "denied",
            Self::HeldOff => "held-off",
            Self::Ended(_) => "ended",
            Self::Out | Self::Hopeless | Self::Unanswered | Self::Referred(_) => "unavailable",
        }
    }

    /// Whether the client has not proven who it is, as far as anybody can tell.
    pub(super) fn is_failed_proof(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.code == Code::AuthenticationFailed,
            Self::Unknown | Self::DeniedCovertly | Self::RefusedAtFirst => true,
            _ => false,
        }
    }
}
