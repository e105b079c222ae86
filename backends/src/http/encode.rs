//! A request as HTTP/1.1 writes it (RFC 9112).

use bytes::{Buf, Bytes};
use http::header::{CONTENT_LENGTH, TRAILER, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use http_body::{Body, Frame};
use std::io::{self, Write};

/// Room for a head as most are.
const HEAD: usize = 1024;

/// How the end of a body is told.
pub(super) enum Coding {
    /// By its length: so many bytes are left.
    Sized(u64),
    /// In chunks, with such trailers as were announced.
    Chunked { announced: Vec<HeaderValue>, has_ended: bool },
}

/// Appends the head of a request with this body to `out`, and `fields` to its own. Returns what is still to be sent.
pub(super) fn encode_head<B: Body>(
    parts: &mut Parts,
    fields: &[u8],
    body: B,
    out: &mut Vec<u8>,
) -> Option<(B, Coding)> {
    let headers = &mut parts.headers;
    let is_empty = body.is_end_stream();
    let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let coding = match declared.or_else(|| body.size_hint().exact()) {
        _ if is_empty => {
            headers.remove(TRANSFER_ENCODING);
            Coding::Sized(0)
        }
        Some(length) if !headers.contains_key(TRANSFER_ENCODING) => {
            headers.entry(CONTENT_LENGTH).or_insert_with(|| length.into());
            Coding::Sized(length)
        }
        _ => {
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            headers.remove(CONTENT_LENGTH);
            let announced = headers.get_all(TRAILER).iter().cloned().collect();
            Coding::Chunked { announced, has_ended: false }
        }
    };
    out.reserve(HEAD);
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    for part in [parts.method.as_str(), " ", target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    encode_fields(parts.headers.iter(), out);
    out.extend_from_slice(fields);
    out.extend_from_slice(b"\r\n");
    (!is_empty).then_some((body, coding))
}

/// The names in lists of them.
fn elements(lists: &[HeaderValue]) -> impl Iterator<Item = &str> {
    lists.iter().filter_map(|list| list.to_str().ok()).flat_map(|list| list.split(',')).map(str::trim)
}

fn encode_fields<'h>(fields: impl Iterator<Item = (&'h HeaderName, &'h HeaderValue)>, out: &mut Vec<u8>) {
    for (name, value) in fields {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

impl Coding {
    /// Whether the body needs no end.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self, Self::Sized(0))
    }

    /// Appends a frame.
    pub(super) fn encode(&mut self, frame: Frame<Bytes>, out: &mut Vec<u8>) {
        match (self, frame.into_data()) {
            (Self::Sized(left), Ok(data)) => {
                // Never more than was said: the next request would begin with it.
                let most = usize::try_from(*left).unwrap_or(usize::MAX).min(data.remaining());
                *left -= most as u64;
                out.extend_from_slice(data.get(..most).unwrap_or_default());
            }
            (Self::Chunked { .. }, Ok(data)) if data.is_empty() => {}
            (Self::Chunked { .. }, Ok(data)) => {
                let _ = write!(out, "{:x}\r\n", data.len());
                out.extend_from_slice(&data);
                out.extend_from_slice(b"\r\n");
            }
            (Self::Chunked { announced, has_ended }, Err(frame)) => {
                if let Ok(trailers) = frame.into_trailers() {
                    out.extend_from_slice(b"0\r\n");
                    let is_announced = |name: &HeaderName| elements(announced).any(|one| name == one);
                    encode_fields(trailers.iter().filter(|(name, _)| is_announced(name)), out);
                    out.extend_from_slice(b"\r\n");
                    *has_ended = true;
                }
            }
            (Self::Sized(_), Err(_)) => {}
        }
    }

    /// Appends what ends the body.
    ///
    /// # Errors
    /// When less has come than was said.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Sized(0) => Ok(()),
            Self::Sized(_) => Err(io::ErrorKind::UnexpectedEof.into()),
            Self::Chunked { has_ended: true, .. } => Ok(()),
            Self::Chunked { .. } => {
                out.extend_from_slice(b"0\r\n\r\n");
                Ok(())
            }
        }
    }
}
