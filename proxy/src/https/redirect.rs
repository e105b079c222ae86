//! Plaintext HTTP, every request of which is redirected to HTTPS.

use crate::active::ListenerContext;
use crate::https::http1::{Pipeline, Refused, Turn, ValidatingReader};
use crate::https::server::Server;
use crate::tls::ClientStream;
use bytes::Bytes;
use http::header::{CONNECTION, HOST, LOCATION};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use usher_wire::http::authority::Authority;
use usher_wire::http1::Scheme;

/// Serves one connection.
pub(crate) async fn serve(server: &Server, at: &ListenerContext, redirect_to: u16, stream: ClientStream) {
    let pipeline = Pipeline::default();
    let limits = &at.active.snapshot.limits;
    let io = TokioIo::new(ValidatingReader::new(stream, pipeline.clone(), limits, Scheme::Http));
    let caps = limits.request_caps();
    let at = at.clone();
    let service = service_fn(move |request| {
        let answer = answer(&pipeline.begin(), &at, redirect_to, &request);
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_headers(caps.fields + 1)
        .max_header_size(caps.head)
        .serve_connection(io, service);
    tokio::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return drop(ended),
        () = server.shutdown.stopped() => connection.as_mut().graceful_shutdown(),
    }
    drop(connection.await);
}

fn answer(
    turn: &Turn,
    at: &ListenerContext,
    redirect_to: u16,
    request: &Request<Incoming>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    let refused = turn.refused().map(|refused| match refused {
        Refused::Slow => 408,
        Refused::Fault(fault) => fault.status(),
    });
    let status = match (refused, location(at, redirect_to, request)) {
        (Some(status), _) => StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST),
        (None, None) => StatusCode::BAD_REQUEST,
        (None, Some(location)) => {
            response.headers_mut().insert(LOCATION, location);
            // Old clients know this status; the other one preserves method and body.
            match *request.method() {
                Method::GET | Method::HEAD => StatusCode::MOVED_PERMANENTLY,
                _ => StatusCode::PERMANENT_REDIRECT,
            }
        }
    };
    *response.status_mut() = status;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
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
fn location(at: &ListenerContext, redirect_to: u16, request: &Request<Incoming>) -> Option<HeaderValue> {
    let asked = request.headers().get(HOST).and_then(|host| Authority::parse(host.as_bytes()));
    // Never redirect to a host that could be somebody else's.
    let host = asked.map(|asked| asked.host).filter(|host| knows(at, host));
    let host = host.unwrap_or(&at.active.snapshot.server.name);
    let path =
        request.uri().path_and_query().map(PathAndQuery::as_str).filter(|path| path.starts_with('/'))?;
    let port = if redirect_to == 443 { String::new() } else { format!(":{redirect_to}") };
    HeaderValue::from_str(&format!("https://{host}{port}{path}")).ok()
}
