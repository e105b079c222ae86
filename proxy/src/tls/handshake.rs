//! The handshake with a client.

use super::ClientStream;
use rustls::ServerConfig;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use usher_wire::imap::preauth::PlainDrained;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeFault {
    /// The client did not finish in time.
    #[error("no handshake in time")]
    TimedOut,
    /// It said something else, or went away.
    #[error("{0}")]
    Failed(std::io::Error),
}

/// Makes TLS with a client on an implicit-TLS port, until `until`.
///
/// # Errors
/// [`HandshakeFault`]; the client has been sent its alert, and the connection is closed.
pub(crate) async fn accept(
    tcp: TcpStream,
    config: &Arc<ServerConfig>,
    until: Instant,
    farewell: Duration,
) -> Result<ClientStream, HandshakeFault> {
    let accepting = TlsAcceptor::from(config.clone()).accept(tcp).into_fallible();
    match timeout_at(until, accepting).await {
        Err(_) => Err(HandshakeFault::TimedOut),
        Ok(Ok(stream)) => Ok(ClientStream::Tls(Box::new(stream))),
        Ok(Err((error, tcp))) => {
            let _ = timeout(farewell, after_alert(tcp)).await;
            Err(HandshakeFault::Failed(error))
        }
    }
}

/// Makes TLS with a client that asked for it with STARTTLS; `_proof` says that nothing waits before it.
///
/// # Errors
/// As [`accept`].
pub(crate) async fn upgrade(
    tcp: TcpStream,
    _proof: PlainDrained,
    config: &Arc<ServerConfig>,
    until: Instant,
    farewell: Duration,
) -> Result<ClientStream, HandshakeFault> {
    accept(tcp, config, until, farewell).await
}

/// Lets the client read its alert: closing over octets that were not read would reset the connection.
async fn after_alert(mut tcp: TcpStream) {
    if tcp.shutdown().await.is_ok() {
        let mut scrap = [0; 1024];
        while matches!(tcp.read(&mut scrap).await, Ok(read) if read > 0) {}
    }
}
