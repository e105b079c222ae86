//! A response as HTTP/1 writes it (RFC 9112).

use super::asked::Asked;
use crate::https::message::date;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE};
use http::response::Parts;
use http::{HeaderMap, StatusCode};
use http_body::Body;
use std::io::Write;
use usher_backends::http::{Coding, lists, write_field};

/// Room for a head as most are.
const HEAD: usize = 2048;

/// Appends the head of a response with this body. Returns how the body is written, and whether another request may follow.
pub(crate) fn encode_head(
    parts: &Parts,
    body: &impl Body,
    asked: Asked,
    may_persist: bool,
    out: &mut Vec<u8>,
) -> (Coding, bool) {
    let (status, headers) = (parts.status, &parts.headers);
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let exact = if body.is_end_stream() { Some(0) } else { body.size_hint().exact() };
    let is_bodiless = asked.is_head || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    // What a length is said for without the body, others have measured.
    let coding = match length.or(exact) {
        _ if is_bodiless || status.is_informational() => Coding::Nothing,
        Some(length) => Coding::Sized(length),
        None if asked.is_old => Coding::UntilClose,
        None => Coding::chunked(headers, asked.takes_trailers),
    };
    let is_persistent = may_persist
        && asked.is_persistent
        && !matches!(coding, Coding::UntilClose)
        && !lists(headers, &CONNECTION, "close");
    out.reserve(HEAD);
    out.extend_from_slice(if asked.is_old { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
    let is_meaningless = status == StatusCode::NO_CONTENT || status.is_informational();
    for (name, value) in headers {
        // Of what has no content, no length is said (RFC 9110 section 8.6).
        if name != CONTENT_LENGTH || !is_meaningless {
            write_field(name.as_str(), value.as_bytes(), out);
        }
    }
    if !headers.contains_key(DATE) && !status.is_informational() {
        write_field("date", date::now().as_bytes(), out);
    }
    match &coding {
        Coding::Sized(length) if !headers.contains_key(CONTENT_LENGTH) => {
            let _ = write!(out, "content-length: {length}\r\n");
        }
        Coding::Chunked { .. } => write_field("transfer-encoding", b"chunked", out),
        Coding::Sized(_) | Coding::Nothing | Coding::UntilClose => {}
    }
    if !headers.contains_key(CONNECTION) {
        match (is_persistent, asked.is_old) {
            (false, _) => write_field("connection", b"close", out),
            (true, true) => write_field("connection", b"keep-alive", out),
            (true, false) => {}
        }
    }
    out.extend_from_slice(b"\r\n");
    (coding, is_persistent)
}

/// Appends an interim response.
pub(crate) fn encode_interim(status: StatusCode, headers: &HeaderMap, out: &mut Vec<u8>) {
    let reason = status.canonical_reason().unwrap_or_default();
    let _ = write!(out, "HTTP/1.1 {} {reason}\r\n", status.as_u16());
    for (name, value) in headers.iter().filter(|(name, _)| **name != CONNECTION) {
        write_field(name.as_str(), value.as_bytes(), out);
    }
    out.extend_from_slice(b"\r\n");
}
