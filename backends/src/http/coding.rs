//! Bodies as HTTP/1 writes them, in either direction (RFC 9112 sections 6 and 7).

use bytes::Bytes;
use http::header::{HeaderName, TRAILER};
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use std::io::Write;

/// How the end of a body is told.
#[derive(Debug)]
pub enum Coding {
    /// There is none.
    Nothing,
    /// By its length: so many bytes are left.
    Sized(u64),
    /// In chunks, with such trailers as were announced.
    Chunked {
        /// Lists of their names.
        announced: Vec<HeaderValue>,
        /// The trailers have been written.
        has_ended: bool,
    },
    /// By the end of the connection.
    UntilClose,
}

impl Coding {
    /// In chunks; trailers as `headers` announce them, where the other side `takes_trailers`.
    pub fn chunked(headers: &HeaderMap, takes_trailers: bool) -> Self {
        let announced = headers.get_all(TRAILER).iter().filter(|_| takes_trailers);
        Self::Chunked { announced: announced.cloned().collect(), has_ended: false }
    }

    /// Whether nothing of the body is to come any more.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Nothing | Self::Sized(0) | Self::Chunked { has_ended: true, .. })
    }

    /// Appends to `out` what stands before the data of a frame, and returns the data and what stands behind it.
    pub fn encode(&mut self, frame: Frame<Bytes>, out: &mut Vec<u8>) -> (Bytes, &'static [u8]) {
        match (self, frame.into_data()) {
            (Self::Sized(left), Ok(mut data)) => {
                // Never more than was said: the next message would begin with it.
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
                    write_field(name.as_str(), value.as_bytes(), out);
                }
                out.extend_from_slice(b"\r\n");
                *has_ended = true;
                (Bytes::new(), b"")
            }
            _ => (Bytes::new(), b""),
        }
    }

    /// Appends what ends the body. False where less has come than was said.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> bool {
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

/// Appends a field line.
pub fn write_field(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
