//! The head of a request by HTTP/2, as the stages of a request take it.

use crate::https::message::connect_protocol::ConnectProtocol;
use bytes::Bytes;
use http::request::Parts;
use http::uri::{self, Authority, PathAndQuery, Scheme};
use http::{Method, Request, Uri, Version};
use usher_backends::http::headers;
use usher_wire::http2::RequestHead;

/// The request that begins with `head`. `None`: it has a target or a field that nothing behind this can hold.
pub(super) fn request(mut head: RequestHead) -> Option<Parts> {
    let bytes = Bytes::from(std::mem::take(&mut head.fields.bytes));
    let mut target = uri::Parts::default();
    let path = head.path.map(|path| bytes.slice(path));
    // Nobody reads a fragment here: it would be cut off silently.
    if path.as_ref().is_some_and(|path| path.contains(&b'#')) {
        return None;
    }
    target.path_and_query = path.map(PathAndQuery::from_maybe_shared).transpose().ok()?;
    let scheme = head.scheme.map(|scheme| Scheme::try_from(bytes.get(scheme).unwrap_or_default()));
    let scheme = scheme.transpose().ok()?;
    if let Some(authority) = head.authority {
        target.authority = Some(Authority::from_maybe_shared(bytes.slice(authority)).ok()?);
        target.scheme = scheme;
    } else if scheme.is_some_and(|scheme| scheme != Scheme::HTTPS) {
        return None;
    }
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(bytes.get(head.method)?).ok()?;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = Uri::from_parts(target).ok()?;
    *request.headers_mut() = headers(&bytes, head.fields.places())?;
    let (mut parts, ()) = request.into_parts();
    if let Some(protocol) = head.protocol {
        parts.extensions.insert(ConnectProtocol(bytes.slice(protocol)));
    }
    Some(parts)
}
