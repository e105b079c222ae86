//! A response as HTTP/1 writes it (RFC 9112).

use super::asked::{Asked, lists};
use crate::https::message::date;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderName, HeaderValue, TRAILER};
use http::response::Parts;
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame};
use std::io::Write;

/// Room for a head as most are.
const HEAD: usize = 2048;

/// How the end of a body is told.
#[derive(Debug)]
pub(crate) enum Coding {
    /// There is none.
    Nothing,
    /// By its length: so many bytes are left.
    Sized(u64),
    /// In chunks, with such trailers as were announced.
    Chunked { announced: Vec<HeaderValue>, has_ended: bool },
    /// By the end of the connection.
    UntilClose,
}

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
        None => {
            let announced = headers.get_all(TRAILER).iter().filter(|_| asked.takes_trailers);
            Coding::Chunked { announced: announced.cloned().collect(), has_ended: false }
        }
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
            field(name.as_str(), value.as_bytes(), out);
        }
    }
    if !headers.contains_key(DATE) && !status.is_informational() {
        field("date", date::now().as_bytes(), out);
    }
    match &coding {
        Coding::Sized(length) if !headers.contains_key(CONTENT_LENGTH) => {
            let _ = write!(out, "content-length: {length}\r\n");
        }
        Coding::Chunked { .. } => field("transfer-encoding", b"chunked", out),
        Coding::Sized(_) | Coding::Nothing | Coding::UntilClose => {}
    }
    if !headers.contains_key(CONNECTION) {
        match (is_persistent, asked.is_old) {
            (false, _) => field("connection", b"close", out),
            (true, true) => field("connection", b"keep-alive", out),
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
        field(name.as_str(), value.as_bytes(), out);
    }
    out.extend_from_slice(b"\r\n");
}

fn field(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

impl Coding {
    /// Whether nothing of the body is to come any more.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self, Self::Nothing | Self::Sized(0) | Self::Chunked { has_ended: true, .. })
    }

    /// Writes a frame: what stands before its data, the data, and what stands behind.
    pub(crate) fn encode(&mut self, frame: Frame<Bytes>, out: &mut Vec<u8>) -> (Bytes, &'static [u8]) {
        match (self, frame.into_data()) {
            (Self::Sized(left), Ok(mut data)) => {
                // Never more than was said: the next answer would begin with it.
                data.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= data.len() as u64;
                (data, b"")
            }
            (Self::Chunked { .. }, Ok(data)) if !data.is_empty() => {
                let _ = write!(out, "{:x}\r\n", data.len());
                (data, b"\r\n")
            }
            (Self::UntilClose, Ok(data)) => (data, b""),
            (Self::Chunked { announced, has_ended }, Err(frame)) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                out.extend_from_slice(b"0\r\n");
                for (name, value) in trailers.iter().filter(|(name, _)| is_announced(announced, name)) {
                    field(name.as_str(), value.as_bytes(), out);
                }
                out.extend_from_slice(b"\r\n");
                *has_ended = true;
                (Bytes::new(), b"")
            }
            _ => (Bytes::new(), b""),
        }
    }

    /// Writes what ends the body. False where less has come than was said.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Sized(left) => *left == 0,
            Self::Chunked { has_ended: false, .. } => {
                out.extend_from_slice(b"0\r\n\r\n");
                true
            }
            Self::Nothing | Self::Chunked { .. } | Self::UntilClose => true,
        }
    }
}

fn is_announced(announced: &[HeaderValue], name: &HeaderName) -> bool {
    let lists = announced.iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|one| name == one.trim())
}
