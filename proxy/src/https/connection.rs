//! One client connection, from being accepted until its protocol has been negotiated.

use crate::accepted::{Accepted, Ends, Slots, lingering_close, read_proxy_header};
use crate::active::ListenerContext;
use crate::boxed::boxed;
use crate::https::client::Client;
use crate::https::server::Server;
use crate::https::{http1, http2, redirect};
use crate::session::{By, Cause, Ended, Record, Stage};
use crate::tls::{self, ClientStream, HandshakeFault};
use crate::unread::Unread;
use std::sync::Arc;
use tokio::time::Instant;
use usher_config::snapshot::HttpsListener;

/// Serves one connection to its end.
pub(crate) async fn serve(
    server: Arc<Server>,
    at: ListenerContext,
    listener: Arc<HttpsListener>,
    accepted: Accepted,
    slots: Slots,
) {
    let Accepted { tcp, peer, local } = accepted;
    let (begun, id, protocol) = (Instant::now(), server.ids.next(), at.listener().protocol());
    let mut ends = Ends { client: peer, local };
    let made = boxed(|| secure(&server, &at, &listener, tcp, &mut ends, begun)).await;
    // A long-lived connection must not keep a configuration alive.
    drop(listener);
    drop(slots.before_login);
    match made {
        // It has been given by the handshake.
        Ok(stream) if stream.is_for_proof() => {
            boxed(|| lingering_close(stream, b"", at.active.snapshot.limits.farewell)).await;
        }
        Ok(stream) => {
            let is_two = stream.is_http2();
            let client = Client::new(server, at, ends, &stream, slots.connection);
            if is_two {
                boxed(|| http2::serve(client, stream)).await;
            } else {
                boxed(|| http1::serve(client, stream)).await;
            }
        }
        Err(ended) => {
            Record::new(id, protocol, ends.client, begun).write(&server.metrics, "", "", ended, (0, 0));
        }
    }
}

/// Redirects the requests of one plaintext connection to HTTPS.
pub(crate) async fn serve_redirects(
    server: Arc<Server>,
    at: ListenerContext,
    redirect_to: u16,
    accepted: Accepted,
    slots: Slots,
) {
    let Accepted { mut tcp, peer, local } = accepted;
    let mut ends = Ends { client: peer, local };
    if read_proxy_header(&mut tcp, &at, &mut ends).await.is_err() {
        return;
    }
    drop(slots.before_login);
    boxed(|| redirect::serve(&server, &at, redirect_to, ClientStream::Plain(tcp.into_inner()))).await;
    drop(slots.connection);
}

async fn secure(
    server: &Server,
    at: &ListenerContext,
    listener: &HttpsListener,
    mut tcp: Unread,
    ends: &mut Ends,
    begun: Instant,
) -> Result<ClientStream, Ended> {
    read_proxy_header(&mut tcp, at, ends).await?;
    let limits = &at.active.snapshot.limits;
    let config = at.active.tls.https.choose(listener.strict_sni);
    let made = tls::accept(tcp, config, begun + limits.tls_handshake, limits.farewell).await;
    server.metrics.handshake(made.as_ref().ok(), begun.elapsed());
    made.map_err(|fault| {
        tracing::debug!(client = %ends.client, %fault, "no TLS");
        match fault {
            HandshakeFault::TimedOut => Ended::new(By::Usher, Stage::Tls, Cause::TooLong),
            HandshakeFault::Failed(_) => Ended::new(By::Client, Stage::Tls, Cause::Handshake),
        }
    })
}
