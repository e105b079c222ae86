//! The head of a request by HTTP/1, as the stages of a request take it, and what it says of the connection.

use bytes::Bytes;
use http::header::{CONNECTION, EXPECT, HeaderName, TE};
use http::request::Parts;
use http::{Method, Request, Uri, Version};
use usher_backends::http::{headers, lists};
use usher_wire::http1::Head;

/// What a request says of its answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) is_head: bool,
    pub(crate) is_old: bool,
    /// Another request may follow.
    pub(crate) is_persistent: bool,
    /// Trailers are understood.
    pub(crate) takes_trailers: bool,
    /// The client waits for a word before it sends the body.
    pub(crate) continues: bool,
}

impl Asked {
    /// Of a request that has been refused.
    pub(crate) fn refused(is_head: bool) -> Self {
        Self { is_head, is_old: false, is_persistent: false, takes_trailers: false, continues: false }
    }

    fn of(parts: &Parts) -> Self {
        let is_old = parts.version == Version::HTTP_10;
        let says = |name: &HeaderName, what: &str| lists(&parts.headers, name, what);
        Self {
            is_head: parts.method == Method::HEAD,
            is_old,
            is_persistent: match is_old {
                true => says(&CONNECTION, "keep-alive"),
                false => !says(&CONNECTION, "close"),
            },
            takes_trailers: says(&TE, "trailers"),
            // HTTP/1.0 knows no interim responses (RFC 9110 section 10.1.1).
            continues: !is_old && parts.headers.contains_key(EXPECT),
        }
    }
}

/// The request that begins with `head`. `None`: it has a target or a field that nothing behind this can hold.
pub(crate) fn request(mut head: Head) -> Option<(Parts, Asked)> {
    let bytes = Bytes::from(std::mem::take(&mut head.bytes));
    let line = bytes.get(..memchr::memchr(b'\r', &bytes)?)?;
    let first = memchr::memchr(b' ', line)?;
    let second = memchr::memrchr(b' ', line)?;
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(line.get(..first)?).ok()?;
    *request.version_mut() = if line.ends_with(b"HTTP/1.0") { Version::HTTP_10 } else { Version::HTTP_11 };
    *request.uri_mut() = Uri::from_maybe_shared(bytes.slice(first + 1..second)).ok()?;
    *request.headers_mut() = headers(&bytes, head.fields())?;
    let (parts, ()) = request.into_parts();
    let asked = Asked::of(&parts);
    Some((parts, asked))
}
