//! What usher serves itself: whether it takes requests (for load balancers in front of it), client set-up, and
//! refusals.

pub(crate) mod answer;
mod setup;

use crate::active::ListenerContext;
use crate::https::client::Client;
use crate::https::message::body::{BodyFault, RequestBody};
use crate::https::message::requested_host::RequestedHost;
use crate::https::response::ResponseBody;
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use usher_wire::imap::sasl::Mechanism;

/// The page that load balancers ask for.
const HEALTH: &str = "/healthcheck.htm";

/// Whether the path alone shows that it is one of usher's own pages.
pub(crate) fn is_own(path: &str) -> bool {
    path.eq_ignore_ascii_case(HEALTH)
}

/// The page that is asked for, if it is one of usher's own.
///
/// # Errors
/// When the body of a request for client set-up breaks off.
pub(crate) async fn page(
    client: &Client,
    at: &ListenerContext,
    (path, asked): (&str, &RequestedHost),
    parts: &Parts,
    body: &mut RequestBody,
) -> Result<Option<Response<ResponseBody>>, BodyFault> {
    if path.eq_ignore_ascii_case(HEALTH) {
        let up = !client.server.shutdown.is_announced();
        let (status, words) = if up {
            (StatusCode::OK, "200 OK\r\n")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "stopping\r\n")
        };
        return Ok(Some(text(status, "text/plain; charset=utf-8", words.to_owned())));
    }
    let mechanisms = &client.server.health.shared().mechanisms;
    let takes_tokens =
        mechanisms.contains(&Mechanism::XOAuth2) || mechanisms.contains(&Mechanism::OAuthBearer);
    setup::page(at, (path, asked), parts, body, takes_tokens).await
}

/// A page of usher's own.
pub(crate) fn text(
    status: StatusCode,
    kind: &'static str,
    words: impl Into<Bytes>,
) -> Response<ResponseBody> {
    let words = words.into();
    let length = words.len();
    let mut response = Response::new(ResponseBody::of(words));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The answer to a method that a page does not support.
pub(crate) fn wrong_method(allowed: &Method) -> Response<ResponseBody> {
    let mut response =
        text(StatusCode::METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", "method not allowed\n");
    if let Ok(allowed) = HeaderValue::from_str(allowed.as_str()) {
        response.headers_mut().insert(ALLOW, allowed);
    }
    response
}
