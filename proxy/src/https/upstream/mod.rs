//! To a backend and back to the head of its response. Independent of the client's codec.

mod attempts;
mod dress;
mod lease;
mod open;
pub(crate) mod retry;
pub(crate) mod rewrite;
mod send;
pub(crate) mod tunnel;

pub(crate) use attempts::forward;

use crate::https::message::body::RequestBody;
use crate::https::message::refusal::Refusal;
use crate::https::message::requested_host::RequestedHost;
use crate::session::Ended;
use http::{HeaderValue, Request, Response};
use std::sync::Arc;
use std::time::Duration;
use usher_backends::connect::HttpTarget;
use usher_backends::http::Link;
use usher_policy::route::{ArrayPermit, Permit};

/// Where a request may go.
pub(crate) enum Destination {
    /// To the one host that holds somebody's archive.
    Home(Permit),
    /// To any member of an array; to this one while it is in service.
    Array { permit: ArrayPermit, member: Option<String> },
}

impl Destination {
    /// Whose archive it is, or the array, as the log writes it.
    fn shown(&self) -> String {
        match self {
            Self::Home(permit) => permit.key().to_string(),
            Self::Array { permit, .. } => permit.array().to_owned(),
        }
    }
}

/// A request that is ready to be sent.
pub(crate) struct Outgoing {
    pub(crate) request: Box<Request<RequestBody>>,
    pub(crate) manner: Manner,
}

/// How a request is to be sent.
pub(crate) struct Manner {
    /// Its fields do not say yet who the client is.
    pub(crate) untold: Option<Arc<RequestedHost>>,
    /// The host that the client has asked for.
    pub(crate) host: HeaderValue,
    /// It asks to switch protocols, which only HTTP/1.1 can do.
    pub(crate) upgrades: bool,
    /// No body is sent before the backend wants it.
    pub(crate) expects: bool,
    /// Trailers that nobody has announced are passed on to HTTP/1.1 as well.
    pub(crate) sends_trailers: bool,
    /// Time for the head of the response.
    pub(crate) timeout: Duration,
}

/// A response whose body is still to come over `link`.
pub(crate) struct UpstreamResponse {
    pub(crate) response: Response<()>,
    pub(crate) link: Link<RequestBody>,
    pub(crate) target: Arc<HttpTarget>,
}

/// Why there is no response.
pub(crate) enum Unreached {
    /// The client is told so.
    Refused(Refusal),
    /// It has been ended; there is nobody to tell.
    Ended(Ended),
}

impl From<Refusal> for Unreached {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
