//! The handshake with a client.

use super::ClientStream;
use super::secured::Secured;
use crate::boxed::boxed;
use crate::unread::Unread;
use rustls::{InvalidMessage, ServerConfig};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeFault {
    /// The client did not finish in time.
    #[error("the handshake timed out")]
    TimedOut,
    /// It sent something else, or left.
    #[error("{0}")]
    Failed(std::io::Error),
}

/// Performs a TLS handshake with a client, until `until`.
///
/// # Errors
/// [`HandshakeFault`]; the client has been sent its alert, and the connection is closed.
pub(crate) async fn accept(
    connection: Unread,
    config: &Arc<ServerConfig>,
    until: Instant,
    farewell: Duration,
) -> Result<ClientStream, HandshakeFault> {
    match timeout_at(until, Secured::accept(connection.into_inner(), config)).await {
        Err(_) => Err(HandshakeFault::TimedOut),
        Ok(Ok(stream)) => Ok(ClientStream::Tls(stream)),
        Ok(Err((error, tcp))) => {
            // On the heap: it is seldom needed, and large.
            let _ = boxed(|| timeout(farewell, after_alert(tcp, &error))).await;
            Err(HandshakeFault::Failed(error))
        }
    }
}

/// A fatal `decode_error` in the clear (RFC 8446 section 6.2), because there are no keys yet.
const DECODE_ERROR: [u8; 7] = [21, 3, 3, 0, 2, 2, 50];

/// Lets the client read its alert: closing while received bytes are unread would reset the connection.
async fn after_alert(mut tcp: TcpStream, error: &std::io::Error) {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    // The only fault of a ClientHello that rustls does not answer with an alert.
    let mute = Some(&rustls::Error::InvalidMessage(InvalidMessage::HandshakePayloadTooLarge));
    if cause == mute && tcp.write_all(&DECODE_ERROR).await.is_err() {
        return;
    }
    if tcp.shutdown().await.is_ok() {
        let mut scrap = [0; 1024];
        while matches!(tcp.read(&mut scrap).await, Ok(read) if read > 0) {}
    }
}
