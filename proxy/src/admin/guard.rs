//! Who may ask for what.
//!
//! On the socket, the permissions of the file decide. Over TCP, changes need an operator, and reading from beyond
//! loopback somebody who is known. The console's own files are for everybody: they say nothing. Pages of other origins get
//! nothing: a browser on the operator's machine is not the operator.

use super::caller::Caller;
use super::console;
use super::error::Refusal;
use super::keys::{Visitor, is_meant};
use super::model::Role;
use super::{BODY_CAP, Context, NEXT_CAP};
use crate::log::AUDIT;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Lets a request through, or says why not.
pub(super) async fn guard(State(context): State<Arc<Context>>, mut request: Request, next: Next) -> Response {
    match judge(&context, &request) {
        Ok(visitor) => {
            if let Some(visitor) = visitor {
                request.extensions_mut().insert(visitor);
            }
            admit(&context, request, next).await
        }
        Err(refusal) => {
            if let Some(caller) = request.extensions().get::<Caller>() {
                tracing::warn!(target: AUDIT, %caller, path = request.uri().path(), "admin request refused");
            }
            let needs_token = refusal.needs_token;
            let mut response = refusal.refusal.into_response();
            if needs_token {
                response
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
            }
            response
        }
    }
}

/// Lets a request through that may be made. Nothing changes while a successor takes over, and afterwards only where it
/// wants so.
async fn admit(context: &Context, request: Request, next: Next) -> Response {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    // These wait for whoever holds up the others.
    let is_order = matches!(request.uri().path(), "/v1/reload" | "/v1/upgrade");
    if !changes || is_order {
        return next.run(request).await;
    }
    let is_successor = matches!(request.extensions().get::<Caller>(), Some(Caller::Successor));
    let changing = context.orders.changes.read().await;
    if context.shutdown.is_retired() && !is_successor {
        let error = "another process has just taken over; ask again";
        return Refusal::new(StatusCode::MISDIRECTED_REQUEST, error).into_response();
    }
    let response = next.run(request).await;
    drop(changing);
    // A move that fails has held something for a while.
    if !context.shutdown.is_retired() {
        context.formers.look().await;
    }
    response
}

struct Judged {
    refusal: Refusal,
    needs_token: bool,
}

impl Judged {
    fn forbidden(why: &str) -> Self {
        Self { refusal: Refusal::new(StatusCode::FORBIDDEN, why), needs_token: false }
    }
}

/// Who may go on, if it is somebody over TCP who is known.
fn judge(context: &Context, request: &Request) -> Result<Option<Visitor>, Judged> {
    let headers = request.headers();
    let caller = request.extensions().get::<Caller>();
    // What load balancers ask is no secret, nor is what the console looks like, wherever a link to it stands.
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let is_public =
        matches!(request.uri().path(), "/livez" | "/readyz") || console::has(request.uri().path());
    if reads && is_public && matches!(caller, Some(Caller::Tcp { .. })) {
        return Ok(None);
    }
    if is_cross_origin(headers) {
        return Err(Judged::forbidden("requests from pages of other origins are not allowed"));
    }
    let visitor = match caller {
        // Whoever comes with a browser through a tunnel could be led here by a name of somebody else's.
        Some(Caller::Socket { .. }) if is_of_browser(headers) && !is_plain_host(headers) => {
            return Err(Judged::forbidden("a browser has to come by an address or as localhost"));
        }
        Some(Caller::Socket { .. } | Caller::Successor) => None,
        Some(Caller::Tcp { peer, local }) => over_tcp(context, request, *peer, *local)?,
        None => return Err(Judged::forbidden("the caller is unknown")),
    };
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let cap = if request.uri().path().starts_with("/v1/rules/") { NEXT_CAP } else { BODY_CAP };
    if length.is_some_and(|length: u64| length > cap as u64) {
        let error = format!("a request may have at most {cap} bytes");
        return Err(Judged {
            refusal: Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, error),
            needs_token: false,
        });
    }
    Ok(visitor)
}

/// The same for a request over TCP.
fn over_tcp(
    context: &Context,
    request: &Request,
    peer: SocketAddr,
    local: SocketAddr,
) -> Result<Option<Visitor>, Judged> {
    let (path, headers) = (request.uri().path(), request.headers());
    // The file as it is may say more than its settings, in comments.
    let reads = matches!(*request.method(), Method::GET | Method::HEAD) && path != "/v1/config/text";
    let visitor = context.keys.visitor(peer.ip(), headers);
    let is_near = is_loopback(peer.ip())
        && is_loopback(local.ip())
        && is_plain_host(headers)
        && !context.keys.is_proxy(peer.ip())
        && !is_passed_on(headers);
    match &visitor {
        Some(Visitor { role: Role::Reader, .. }) if !reads => Err(Judged::forbidden("you may only read")),
        Some(known) if !reads && !is_meant(known, headers) => {
            Err(Judged::forbidden("a change needs the header X-Usher-Console"))
        }
        None if !(is_near && reads) => {
            let error =
                "this requires a token, of [admin] token_file or reader_token_file: Authorization: Bearer …";
            let refusal = Refusal::new(StatusCode::UNAUTHORIZED, error);
            Err(Judged { refusal, needs_token: true })
        }
        _ => Ok(visitor),
    }
}

/// A page of another origin says where it comes from.
fn is_cross_origin(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value: &header::HeaderValue| value.to_str().unwrap_or("?"));
    let host = text(header::HOST).unwrap_or_default();
    let foreign = text(header::ORIGIN).is_some_and(|origin| {
        origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")) != Some(host)
    });
    let site = text(header::HeaderName::from_static("sec-fetch-site"));
    foreign || site.is_some_and(|site| !matches!(site, "same-origin" | "none"))
}

/// Browsers say where a request comes from, and others do not.
fn is_of_browser(headers: &HeaderMap) -> bool {
    ["origin", "sec-fetch-site"].iter().any(|name| headers.contains_key(*name))
}

/// A proxy on this machine passes on what somebody elsewhere asks.
fn is_passed_on(headers: &HeaderMap) -> bool {
    ["forwarded", "via", "x-forwarded-for", "x-real-ip"].iter().any(|name| headers.contains_key(*name))
}

/// A name in `Host` could be one that a page has made resolve to this machine.
fn is_plain_host(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else { return false };
    let bare = host.rsplit_once(':').map_or(host, |(bare, port)| match port.parse::<u16>() {
        Ok(_) => bare,
        Err(_) => host,
    });
    bare == "localhost" || bare.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}
