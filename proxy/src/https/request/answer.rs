//! The heads of responses as they are sent to clients.

use super::Outcome;
use super::send::Sent;
use crate::active::ListenerContext;
use crate::https::client::Client;
use crate::https::login::Verdict;
use crate::https::message::body::BodyFault;
use crate::https::message::refusal::Refusal;
use crate::https::message::{date, fields};
use crate::https::pages::answer::{Form, refused};
use crate::https::record::RequestRecord;
use crate::https::response::{Relayed, ResponseBody};
use crate::https::upstream::{UpstreamResponse, rewrite, tunnel};
use http::header::{CONNECTION, DATE, HeaderValue, SET_COOKIE, STRICT_TRANSPORT_SECURITY};
use http::{HeaderMap, Response, Version};
use std::time::Duration;
use tokio::time::Instant;
use usher_wire::http2::ErrorCode;

/// One of usher's own pages.
pub(super) fn own(
    mut record: RequestRecord,
    at: &ListenerContext,
    version: Version,
    mut response: Response<ResponseBody>,
) -> Outcome {
    record.answered(response.status());
    record.complete();
    finish_head(&record.client, at, version, response.headers_mut(), &[]);
    Outcome::Response(response.map(|body| body.holding(record)))
}

/// A refusal, in the format that the client accepts.
pub(super) fn refusal(
    mut record: RequestRecord,
    at: &ListenerContext,
    version: Version,
    why: Refusal,
    form: Form,
) -> Outcome {
    record.refused(why);
    // Only HTTP/2 has such trailers, and a stream that breaks the protocol gets no answer.
    if record.seen.as_ref().and_then(|seen| seen.fault()) == Some(BodyFault::Trailers) {
        return Outcome::Reset(ErrorCode::PROTOCOL_ERROR);
    }
    let mut response = refused(why, form, &record.id.to_string(), record.client.name());
    finish_head(&record.client, at, version, response.headers_mut(), &[]);
    if version != Version::HTTP_2 && ends_connection(why, &record) {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Outcome::Response(response.map(|body| body.holding(record)))
}

impl Sent {
    /// The response of the backend.
    pub(super) async fn answer(
        self: Box<Self>,
        mut record: RequestRecord,
        at: &ListenerContext,
        version: Version,
    ) -> Outcome {
        let Self { upstream, host, timeout, cookies, switched } = *self;
        let (verdict, status) = (record.verdict(at, &upstream.response), upstream.response.status());
        if let Some(protocol) = switched {
            record.judged(verdict, status, &upstream.target.name).await;
            let client = record.client.clone();
            let (mut response, tunnel) = tunnel::switch(record, at, *upstream, &protocol);
            finish_head(&client, at, version, response.headers_mut(), &cookies);
            tunnel::ask(response.headers_mut(), &protocol);
            return Outcome::Tunnel(response, tunnel);
        }
        if verdict == Some(Verdict::Refused) && record.by.is_credential() {
            // Counted from the last byte of the request: the client's own time does not count.
            let begun = record.seen.as_ref().map_or_else(Instant::now, |seen| seen.last_octet());
            record.client.server.refusals.real(&upstream.target.name, begun).await;
        }
        record.judged(verdict, status, &upstream.target.name).await;
        if verdict == Some(Verdict::Refused) {
            // It has been counted.
        } else if let Some(session) = &record.session {
            record.client.note_login(session, record.by);
        }
        relay(record, at, version, upstream, &host, timeout, &cookies)
    }
}

/// Passes a response on.
fn relay(
    mut record: RequestRecord,
    at: &ListenerContext,
    version: Version,
    upstream: Box<UpstreamResponse>,
    asked: &HeaderValue,
    timeout: Duration,
    cookies: &[String],
) -> Outcome {
    let client = record.client.clone();
    let UpstreamResponse { response, link, target } = *upstream;
    let (mut head, ()) = response.into_parts();
    record.answered(head.status);
    let backend_version = head.version;
    fields::from_backend(&mut head.headers);
    if !target.endpoint.tls && target.endpoint.rewrite {
        rewrite::from_backend(&mut head.headers, asked, &target.endpoint.address);
    }
    fields::add_via(&mut head.headers, backend_version, &client.told);
    finish_head(&client, at, version, &mut head.headers, cookies);
    let unread = record.seen.as_ref().is_some_and(|seen| !seen.has_ended());
    if version != Version::HTTP_2 && unread {
        // What the client still sends of its body belongs to nobody.
        head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    head.version = Version::HTTP_11;
    head.extensions.clear();
    Outcome::Response(Response::from_parts(head, Relayed::body(link, target, record, timeout)))
}

/// Sets what every response gets.
fn finish_head(
    client: &Client,
    at: &ListenerContext,
    version: Version,
    headers: &mut HeaderMap,
    cookies: &[String],
) {
    if let Some(hsts) = at.listener().https().and_then(|https| https.hsts)
        && let Ok(value) = HeaderValue::from_str(&format!("max-age={}", hsts.as_secs()))
    {
        headers.insert(STRICT_TRANSPORT_SECURITY, value);
    }
    for cookie in cookies {
        if let Ok(cookie) = HeaderValue::from_str(cookie) {
            headers.append(SET_COOKIE, cookie);
        }
    }
    if version == Version::HTTP_2 && !headers.contains_key(DATE) {
        // The HTTP/1 codec sets it by itself (RFC 9110 section 6.6.1).
        headers.insert(DATE, date::now());
    }
    // When memory is short, no connection is kept for later.
    if version != Version::HTTP_2 && client.server.memory.level() > 0 {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

/// Whether nothing more can be read after a refused request.
fn ends_connection(refusal: Refusal, record: &RequestRecord) -> bool {
    let unread = record.seen.as_ref().is_none_or(|seen| !seen.has_ended());
    unread || matches!(refusal.status.as_u16(), 400 | 408 | 413)
}
