//! One request over a Unix socket.

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::io;
use std::path::Path;
use tokio::net::UnixStream;

/// The header in which whoever asks says for whom.
pub(crate) const OPERATOR: &str = "x-usher-operator";

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// Nobody can be reached there.
    #[error("{0}")]
    Unreachable(#[source] io::Error),
    /// Whoever is there does not answer properly.
    #[error("{0}")]
    Failed(#[from] hyper::Error),
}

/// A request with a body of JSON, for `operator`.
///
/// # Errors
/// If one of them cannot be written.
pub(crate) fn request(
    method: Method,
    path: &str,
    operator: &str,
    body: impl Into<Bytes>,
) -> Result<Request<Full<Bytes>>, http::Error> {
    let request = Request::builder().method(method).uri(path).header("host", "localhost");
    let request = request.header("content-type", "application/json").header(OPERATOR, operator);
    request.body(Full::new(body.into()))
}

/// Asks whoever listens at `socket`.
///
/// # Errors
/// [`AskError`].
pub(crate) async fn ask(
    socket: &Path,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), AskError> {
    let stream = UnixStream::connect(socket).await.map_err(AskError::Unreachable)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    connection.abort();
    Ok((status, body))
}
