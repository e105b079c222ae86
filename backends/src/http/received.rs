//! What a peer has sent by HTTP/1 and nobody has taken yet.

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, HeaderName};
use http::{HeaderMap, HeaderValue, Response, StatusCode, Version};
use std::collections::VecDeque;
use std::ops::Range;
use usher_wire::http1::{Head, Sink};

/// Room for what a proxy adds.
const ADDED: usize = 12;

/// Heads, and the body of the last one.
#[derive(Default)]
pub struct Received {
    /// In the order of coming.
    pub heads: VecDeque<Head>,
    /// Of the body, without its framing.
    pub data: BytesMut,
    /// Those behind the body.
    pub trailers: Option<HeaderMap>,
}

impl Received {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty() && self.data.is_empty() && self.trailers.is_none()
    }
}

impl Sink for Received {
    const STEPWISE: bool = true;

    fn head(&mut self, head: Head) {
        self.heads.push_back(head);
    }

    fn data(&mut self, data: &[u8]) {
        self.data.extend_from_slice(data);
    }

    fn framing(&mut self, _: &[u8]) {}

    fn trailer(&mut self, line: &[u8]) {
        let mut parts = line.splitn(2, |b| *b == b':');
        let (name, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value.trim_ascii()))
        {
            self.trailers.get_or_insert_default().append(name, value);
        }
    }
}

/// The response that begins with `head`, and whether another one may follow it on the connection. `None`: a field cannot
/// be had as one.
pub(super) fn response(mut head: Head) -> Option<(Response<()>, bool)> {
    let bytes = Bytes::from(std::mem::take(&mut head.bytes));
    let is_old = bytes.starts_with(b"HTTP/1.0");
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_bytes(bytes.get(9..12)?).ok()?;
    *response.version_mut() = if is_old { Version::HTTP_10 } else { Version::HTTP_11 };
    *response.headers_mut() = headers(&bytes, head.fields())?;
    let headers = response.headers();
    let says = |what: &str| lists(headers, &CONNECTION, what);
    let is_persistent = !says("close") && (!is_old || says("keep-alive"));
    Some((response, is_persistent))
}

/// The fields whose names and values are at these places in `bytes`. `None`: one of them cannot be had as a field.
pub fn headers(
    bytes: &Bytes,
    fields: impl ExactSizeIterator<Item = (Range<usize>, Range<usize>)>,
) -> Option<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(fields.len() + ADDED);
    for (name, value) in fields {
        let name = HeaderName::from_bytes(bytes.get(name)?).ok()?;
        headers.append(name, HeaderValue::from_maybe_shared(bytes.slice(value)).ok()?);
    }
    Some(headers)
}

/// Whether one of the fields called `name` has `what` in its list.
pub fn lists(headers: &HeaderMap, name: &HeaderName, what: &str) -> bool {
    let mut elements = headers.get_all(name).iter().flat_map(|value| value.as_bytes().split(|b| *b == b','));
    elements.any(|element| element.trim_ascii().eq_ignore_ascii_case(what.as_bytes()))
}
