//! Adapts a request to the connection that it is sent on.

use crate::https::message::body::RequestBody;
use crate::https::message::refusal::Refusal;
use http::header::{CONNECTION, HOST, TE, TRAILER, TRANSFER_ENCODING};
use http::uri::Scheme;
use http::{HeaderValue, Request, Uri, Version};
use usher_config::snapshot::HttpVersion;

/// Bytes of a body that are read to find out about its trailers.
const AHEAD: usize = 64 * 1024;

/// Announces the trailers that the body ends with: over HTTP/1.1, only announced ones are sent.
pub(super) async fn announce(request: &mut Request<RequestBody>) -> Result<(), Refusal> {
    if request.body().is_empty() || request.headers().contains_key(TRAILER) {
        return Ok(());
    }
    let names = request.body_mut().announce(AHEAD).await.map_err(Refusal::from)?;
    request.headers_mut().extend(names.map(|names| (TRAILER, names)));
    Ok(())
}

/// Adapts the request to `version`.
pub(super) fn dress(request: &mut Request<RequestBody>, version: HttpVersion, host: &HeaderValue) {
    let mut uri = http::uri::Parts::default();
    uri.path_and_query = request.uri().path_and_query().cloned();
    match version {
        HttpVersion::One => {
            *request.version_mut() = Version::HTTP_11;
            // It concerns this connection only (RFC 9110 section 10.1.4).
            if request.headers().contains_key(TE) && !request.headers().contains_key(CONNECTION) {
                request.headers_mut().insert(CONNECTION, HeaderValue::from_static("te"));
            }
            request.headers_mut().insert(HOST, host.clone());
        }
        HttpVersion::Two => {
            *request.version_mut() = Version::HTTP_2;
            request.headers_mut().remove(HOST);
            request.headers_mut().remove(CONNECTION);
            request.headers_mut().remove(TRANSFER_ENCODING);
            uri.scheme = Some(Scheme::HTTPS);
            uri.authority = host.to_str().ok().and_then(|host| host.parse().ok());
        }
    }
    if let Ok(uri) = Uri::from_parts(uri) {
        *request.uri_mut() = uri;
    }
}
