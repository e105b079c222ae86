//! HTTP/1.1 with a client. One task serves a connection, its requests and their bodies, one after the other.

mod asked;
mod connection;
mod encode;
mod exchange;

pub(super) use asked::{Asked, request};
pub(super) use connection::{Connection, Next, Refused};
pub(super) use encode::encode_head;

use self::exchange::After;
use crate::boxed::boxed;
use crate::https::client::Client;
use crate::https::message::refusal::Refusal;
use crate::tls::ClientStream;
use http::StatusCode;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use usher_wire::http1::{Fault, Scheme};

/// Serves requests until the connection ends.
pub(crate) async fn serve(client: Arc<Client>, stream: ClientStream) {
    let at = client.listening();
    let mut connection = Connection::new(stream, &at.active.snapshot.limits, Scheme::Https);
    // A connection that lasts keeps no configuration.
    drop(at);
    let server = client.server.clone();
    // One that is idle may be sent a request in this moment: it is left to be told by its next answer, as long as that
    // is possible.
    let mut stopped = pin!(server.shutdown.stopped());
    let mut is_stopping = false;
    loop {
        let next = std::future::poll_fn(|cx| {
            is_stopping = is_stopping || stopped.as_mut().poll(cx).is_ready();
            match connection.poll_next(cx) {
                Poll::Pending if is_stopping && connection.is_idle() => Poll::Ready(Next::Nothing),
                next => next,
            }
        });
        // On the heap and gone with it: a connection that waits for its next request is no larger for it.
        let after = match next.await {
            Next::Request(head) => boxed(|| exchange::serve(&client, head, &mut connection)).await,
            Next::Refused(refused, is_head) => {
                boxed(|| exchange::refuse(&client, refusal(refused), is_head, &mut connection)).await
            }
            Next::Nothing => break,
        };
        match after {
            After::Another => {}
            After::Close => break,
            After::Nothing => return,
            After::Switch(tunnel) => return boxed(|| tunnel.run(connection.into_switched())).await,
        }
    }
    connection.close().await;
}

fn refusal(refused: Refused) -> Refusal {
    match refused {
        Refused::Slow => Refusal::new(StatusCode::REQUEST_TIMEOUT, "head-too-slow"),
        Refused::Fault(fault) => Refusal::new(status(fault), fault.name()),
    }
}

fn status(fault: Fault) -> StatusCode {
    StatusCode::from_u16(fault.status()).unwrap_or(StatusCode::BAD_REQUEST)
}
