//! A valid request with its body, and what the policy for its path says about both.

use super::validate::Validated;
use crate::active::ListenerContext;
use crate::https::message::body::{BodyFault, RequestBody, Source};
use crate::https::message::connect_protocol::ConnectProtocol;
use crate::https::message::pace::{Pace, Patience};
use crate::https::message::refusal::Refusal;
use crate::https::record::RequestRecord;
use crate::https::upstream::tunnel;
use http::header::{CONTENT_LENGTH, HeaderValue};
use http::{HeaderMap, Method, StatusCode, Version};
use std::time::Duration;

/// A request whose body can be read.
pub(super) struct Opened {
    pub(super) validated: Validated,
    pub(super) body: RequestBody,
    /// It asks for a tunnel by extended CONNECT.
    pub(super) connects: bool,
    /// Trailers that nobody has announced go on to HTTP/1.1 as well.
    pub(super) sends_trailers: bool,
    /// Time for the head of the response.
    pub(super) timeout: Duration,
}

impl Validated {
    /// Opens the body that comes from `source`.
    pub(super) fn open(
        mut self,
        record: &mut RequestRecord,
        at: &ListenerContext,
        source: Source,
    ) -> Result<Box<Opened>, Refusal> {
        let snapshot = &at.active.snapshot;
        let https = &snapshot.https;
        let policy = https.policy(&self.path);
        let limit = policy.and_then(|policy| policy.body_limit).or(https.body_limit);
        let length = declared_length(&self.parts.headers);
        if length.zip(limit).is_some_and(|(length, limit)| length > limit) {
            return Err(BodyFault::TooLong.into());
        }
        let connects = self.parts.extensions.get::<ConnectProtocol>();
        if connects.is_some_and(|protocol| !tunnel::may_switch_to(&protocol.0, policy)) {
            // Before any user is looked up for it.
            return Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, "protocol"));
        }
        let connects = connects.is_some();
        let patience = Patience::of(&snapshot.limits, policy);
        let timeout = policy.and_then(|policy| policy.response_timeout).unwrap_or(https.response_timeout);
        let sends_trailers = policy.is_some_and(|policy| policy.request_trailers);
        let is_empty_post = self.parts.version == Version::HTTP_2
            && matches!(self.parts.method, Method::POST | Method::PUT | Method::PATCH)
            && source.has_ended();
        if is_empty_post && length.is_none() {
            // HTTP/1.1 indicates that with a length, if the method expects a body (RFC 9110 section 8.6).
            self.parts.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let body = RequestBody::new(source, limit, Pace::new(patience), &at.active);
        record.patience = patience;
        record.seen = Some(body.seen().clone());
        // Allocated once: the later stages only pass it on.
        Ok(Box::new(Opened { validated: self, body, connects, sends_trailers, timeout }))
    }
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
