//! Connections that switch to another protocol, only once the backend has agreed (RFC 9110 section 7.8): over HTTP/1.1,
//! and by extended CONNECT over HTTP/2 (RFC 8441).

use crate::active::ListenerContext;
use crate::https::message::connect_protocol::ConnectProtocol;
use crate::https::message::fields;
use crate::https::message::refusal::Refusal;
use crate::https::record::RequestRecord;
use crate::https::response::ResponseBody;
use crate::https::switched::Switched;
use crate::https::upstream::UpstreamResponse;
use crate::relay;
use crate::session::{By, Cause, Doing, Ended, Stage};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode, Version};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use usher_backends::connect::BackendStream;
use usher_config::https::PathPolicy;
use usher_wire::websocket::Frames;

/// A switched connection to a backend.
pub(crate) struct Tunnel {
    record: RequestRecord,
    backend: Option<Switched<BackendStream>>,
    patience: Duration,
    /// WebSocket is spoken.
    has_frames: bool,
}

/// Whether a connection may be switched to `protocol`, as named in `Upgrade` or `:protocol`: to WebSocket (RFC 6455),
/// and to what the path's policy adds. Nobody inspects what is said after a switch, so nothing else is allowed.
pub(crate) fn may_switch_to(protocol: &[u8], policy: Option<&PathPolicy>) -> bool {
    let name = protocol.split(|b| *b == b'/').next().unwrap_or_default();
    let added = policy.into_iter().flat_map(|policy| &policy.upgrades).any(|added| {
        // An entry with a version matches only that version.
        let wanted = if added.contains('/') { protocol } else { name };
        wanted.eq_ignore_ascii_case(added.as_bytes())
    });
    protocol.eq_ignore_ascii_case(b"websocket") || added
}

/// The protocol that a request may switch to, if it asks for one. A request by extended CONNECT becomes a GET.
pub(crate) fn upgrade(
    parts: &mut Parts,
    has_no_body: bool,
    policy: Option<&PathPolicy>,
) -> Option<HeaderValue> {
    if let Some(protocol) = parts.extensions.remove::<ConnectProtocol>() {
        let ConnectProtocol(protocol) = protocol;
        parts.method = Method::GET;
        if protocol.eq_ignore_ascii_case(b"websocket") {
            let mut nonce = [0; 16];
            // The backend's answer to it is not checked: TLS proves who is answering.
            let _ = aws_lc_rs::rand::fill(&mut nonce);
            if let Ok(key) = HeaderValue::from_str(&STANDARD.encode(nonce)) {
                parts.headers.insert(SEC_WEBSOCKET_KEY, key);
            }
        }
        return HeaderValue::from_maybe_shared(protocol).ok();
    }
    let mut options = elements(&parts.headers, &CONNECTION);
    let wants = options.any(|option| option.eq_ignore_ascii_case(b"upgrade"));
    if parts.version != Version::HTTP_11 || !has_no_body || !wants {
        return None;
    }
    // One of those offered, and only that one is passed on (RFC 9110 section 7.8).
    let found = elements(&parts.headers, &UPGRADE).find(|protocol| may_switch_to(protocol, policy));
    found.and_then(|protocol| HeaderValue::from_bytes(protocol).ok())
}

/// The elements of a list, over all its fields.
fn elements<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h [u8]> {
    let values = headers.get_all(name).into_iter();
    values.flat_map(|value| value.as_bytes().split(|b| *b == b',')).map(<[u8]>::trim_ascii)
}

/// Asks a backend for `protocol`, or announces that it is spoken from here on.
pub(crate) fn ask(headers: &mut HeaderMap, protocol: &HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol.clone());
}

/// The backend has switched: so does the client's side.
pub(crate) fn switch(
    mut record: RequestRecord,
    at: &ListenerContext,
    reached: UpstreamResponse,
    protocol: &HeaderValue,
) -> (Response<ResponseBody>, Box<Tunnel>) {
    let UpstreamResponse { response, link, .. } = reached;
    let backend = link.into_switched().map(|(stream, before)| Switched::new((&*before).into(), stream));
    record.answered(response.status());
    let (mut head, _) = response.into_parts();
    fields::from_backend(&mut head.headers);
    fields::add_via(&mut head.headers, head.version, &record.client.told);
    head.extensions.clear();
    let patience = at.active.snapshot.limits.farewell;
    let tunnel = Box::new(Tunnel {
        record,
        backend,
        patience,
        has_frames: protocol.as_bytes().eq_ignore_ascii_case(b"websocket"),
    });
    (Response::from_parts(head, ResponseBody::of(Bytes::new())), tunnel)
}

/// Whether a backend has switched to the protocol that it was asked for. If it names none, it has.
pub(crate) fn has_switched_to(protocol: &HeaderValue, headers: &HeaderMap) -> bool {
    let mut given = elements(headers, &UPGRADE).peekable();
    given.peek().is_none() || given.all(|given| given.eq_ignore_ascii_case(protocol.as_bytes()))
}

/// Makes a switch's answer that of an extended CONNECT.
pub(crate) fn as_connect(head: &mut Response<ResponseBody>) {
    *head.status_mut() = StatusCode::OK;
    for name in [CONNECTION, UPGRADE, SEC_WEBSOCKET_ACCEPT] {
        head.headers_mut().remove(name);
    }
}

impl Tunnel {
    /// Connects the client with the backend until either side ends.
    pub(crate) async fn run(mut self, client: impl AsyncRead + AsyncWrite + Unpin) {
        let Some(backend) = self.backend.take() else {
            self.record.refused(Refusal::new(StatusCode::BAD_GATEWAY, "switch"));
            return;
        };
        let Some(session) = &self.record.session else { return };
        session.note_doing(Doing::Busy);
        let counted = &self.record.client.server.metrics.bytes;
        let frames = self.has_frames.then(Frames::default);
        let (ended, octets) = relay::splice(session, client, backend, counted, self.patience, frames).await;
        self.record.from_client += octets.0;
        self.record.from_backend += octets.1;
        self.record.end(ended);
    }

    /// The client never came.
    pub(crate) fn give_up(mut self) {
        self.record.end(Ended::new(By::Client, Stage::Relay, Cause::Reset));
    }
}
