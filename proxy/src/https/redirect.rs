//! Plaintext HTTP, every request of which is redirected to HTTPS.

use crate::active::ListenerContext;
use crate::https::http1::{Asked, Connection, Next, Refused, encode_head, request};
use crate::https::server::Server;
use crate::tls::ClientStream;
use bytes::Bytes;
use http::header::{HOST, LOCATION};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;
use std::future::poll_fn;
use usher_wire::http::authority::Authority;
use usher_wire::http1::Scheme;

/// Serves one connection: one request, as what follows it belongs elsewhere.
pub(crate) async fn serve(server: &Server, at: &ListenerContext, redirect_to: u16, stream: ClientStream) {
    let mut connection = Connection::new(stream, &at.active.snapshot.limits, Scheme::Http);
    let next = tokio::select! {
        next = poll_fn(|cx| connection.poll_next(cx)) => next,
        () = server.shutdown.stopped() => return,
    };
    let (response, asked) = match next {
        Next::Nothing => return connection.close().await,
        Next::Refused(refused, is_head) => {
            let status = match refused {
                Refused::Slow => 408,
                Refused::Fault(fault) => fault.status(),
            };
            (plain(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST)), Asked::refused(is_head))
        }
        Next::Request(head) => match request(head) {
            Some((parts, asked)) => (answer(at, redirect_to, &parts), asked),
            None => (plain(StatusCode::BAD_REQUEST), Asked::refused(false)),
        },
    };
    let (head, body) = response.into_parts();
    encode_head(&head, &Full::new(body.clone()), asked, false, connection.out());
    if !asked.is_head {
        connection.out().extend_from_slice(&body);
    }
    if poll_fn(|cx| connection.poll_flush(cx)).await.is_ok() {
        connection.close().await;
    }
}

/// Where authorities ask for the proof that a name is usher's (RFC 8555 section 8.3).
const PROOFS: &str = "/.well-known/acme-challenge/";

/// What an authority is answered that asks for a proof; `None`: there is nothing to prove.
fn proof(at: &ListenerContext, parts: &Parts) -> Option<Bytes> {
    let token = parts.uri.path().strip_prefix(PROOFS).filter(|_| parts.method == Method::GET)?;
    at.active.tls.acquired.answer_to(token).map(Bytes::from)
}

fn plain(status: StatusCode) -> Response<Bytes> {
    with_body(status, Bytes::new())
}

fn with_body(status: StatusCode, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

fn answer(at: &ListenerContext, redirect_to: u16, parts: &Parts) -> Response<Bytes> {
    if let Some(proof) = proof(at, parts) {
        return with_body(StatusCode::OK, proof);
    }
    let Some(location) = location(at, redirect_to, parts) else { return plain(StatusCode::BAD_REQUEST) };
    // Old clients know this status; the other one preserves method and body.
    let mut response = plain(match parts.method {
        Method::GET | Method::HEAD => StatusCode::MOVED_PERMANENTLY,
        _ => StatusCode::PERMANENT_REDIRECT,
    });
    response.headers_mut().insert(LOCATION, location);
    response
}

/// Whether a name is one of usher's: that of the server, of a certificate, or of a domain.
fn knows(at: &ListenerContext, host: &str) -> bool {
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    let snapshot = &at.active.snapshot;
    name == snapshot.server.name.to_ascii_lowercase()
        || at.active.tls.certificates.has(&name)
        || (snapshot.domains.names().contains(&name.as_str()))
}

/// The same resource, over HTTPS.
fn location(at: &ListenerContext, redirect_to: u16, parts: &Parts) -> Option<HeaderValue> {
    let asked = parts.headers.get(HOST).and_then(|host| Authority::parse(host.as_bytes()));
    // Never redirect to a host that could be somebody else's.
    let host = asked.map(|asked| asked.host).filter(|host| knows(at, host));
    let host = host.unwrap_or(&at.active.snapshot.server.name);
    let path = parts.uri.path_and_query().map(PathAndQuery::as_str).filter(|path| path.starts_with('/'))?;
    let port = if redirect_to == 443 { String::new() } else { format!(":{redirect_to}") };
    HeaderValue::from_str(&format!("https://{host}{port}{path}")).ok()
}
