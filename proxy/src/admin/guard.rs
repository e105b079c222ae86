//! Who may ask for what.
//!
//! On the socket, the permissions of the file decide. Over TCP, changes need the token, and so does reading from beyond
//! loopback. Pages of other origins get nothing: a browser on the operator's machine is not the operator.

use super::error::Refusal;
use super::{BODY_CAP, Context, NEXT_CAP};
use crate::log::AUDIT;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Digest, SHA256, digest};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Shortest token in bytes.
const TOKEN_MIN: usize = 16;

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Caller {
    /// A process of this machine, by the socket.
    Socket {
        /// Its user.
        uid: u32,
        /// Its id.
        pid: i32,
    },
    /// The process that has succeeded this one.
    Successor,
    /// Somebody over TCP.
    Tcp {
        /// Their address.
        peer: SocketAddr,
        /// The address they connected to.
        local: SocketAddr,
    },
}

impl std::fmt::Display for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Socket { uid, pid } => write!(f, "socket uid={uid} pid={pid}"),
            Self::Successor => f.write_str("successor"),
            Self::Tcp { peer, .. } => peer.fmt(f),
        }
    }
}

/// A digest of the token: comparing digests takes the same time wherever two tokens differ.
#[derive(Clone)]
pub(crate) struct Token(Digest);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("{path}: {source}")]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error(
        "{path}: a token must have at least {TOKEN_MIN} characters; create one with: openssl rand -hex 32"
    )]
    Short { path: PathBuf },
}

impl Token {
    /// Reads the token from its file.
    ///
    /// # Errors
    /// [`TokenError`].
    pub(crate) fn read(path: &Path) -> Result<Self, TokenError> {
        let unreadable = |source| TokenError::Unreadable { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let token = text.trim();
        if token.len() < TOKEN_MIN {
            return Err(TokenError::Short { path: path.to_owned() });
        }
        Ok(Self(digest(&SHA256, token.as_bytes())))
    }

    fn is(&self, given: &[u8]) -> bool {
        verify_slices_are_equal(digest(&SHA256, given).as_ref(), self.0.as_ref()).is_ok()
    }
}

/// Lets a request through, or says why not.
pub(super) async fn guard(State(context): State<Arc<Context>>, request: Request, next: Next) -> Response {
    match judge(&context, &request) {
        Ok(()) => admit(&context, request, next).await,
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

fn judge(context: &Context, request: &Request) -> Result<(), Judged> {
    let headers = request.headers();
    if is_cross_origin(headers) {
        return Err(Judged::forbidden("requests from pages of other origins are not allowed"));
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    match request.extensions().get::<Caller>() {
        Some(Caller::Socket { .. } | Caller::Successor) => {}
        // What load balancers ask is no secret.
        Some(Caller::Tcp { .. }) if matches!(request.uri().path(), "/livez" | "/readyz") => {}
        Some(Caller::Tcp { peer, local }) => {
            let near = is_loopback(peer.ip()) && is_loopback(local.ip());
            // The file as it is may say more than its settings, in comments.
            let reads = reads && request.uri().path() != "/v1/config/text";
            if !(has_token(context, headers) || (near && reads && is_plain_host(headers))) {
                let error = "this requires the token from [admin] token_file: Authorization: Bearer …";
                return Err(Judged {
                    refusal: Refusal::new(StatusCode::UNAUTHORIZED, error),
                    needs_token: true,
                });
            }
        }
        None => return Err(Judged::forbidden("the caller is unknown")),
    }
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let cap = if request.uri().path().starts_with("/v1/rules/") { NEXT_CAP } else { BODY_CAP };
    if length.is_some_and(|length: u64| length > cap as u64) {
        let error = format!("a request may have at most {cap} bytes");
        return Err(Judged {
            refusal: Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, error),
            needs_token: false,
        });
    }
    Ok(())
}

fn has_token(context: &Context, headers: &HeaderMap) -> bool {
    let given = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
    let given = given.and_then(|value| value.strip_prefix(b"Bearer "));
    match (&context.token, given) {
        (Some(token), Some(given)) => token.is(given.trim_ascii()),
        _ => false,
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
