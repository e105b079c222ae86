//! Moves octets both ways between two TCP connections, whatever they mean.

use super::leg::{BUFFER, Leg};
use crate::imap::Ended;
use crate::meter::Bytes;
use crate::session::{By, Cause, Doing, Session, Stage, Urgency};
use std::io;
use std::task::{Context, Poll, ready};
use tokio::net::TcpStream;

/// Reads of one side in one turn, so that a fast transfer leaves the worker to others.
const TURN: usize = 8;

/// Joins `client` and `backend` until both have ended or an order ends them. Returns how, and the octets from
/// either.
pub(crate) async fn splice(
    session: &Session,
    client: TcpStream,
    backend: TcpStream,
    counted: &Bytes,
) -> (Ended, (u64, u64)) {
    session.note_doing(Doing::Busy);
    let mut client = Leg::new(client, Vec::new(), Vec::new());
    let mut backend = Leg::new(backend, Vec::new(), Vec::new());
    let ended = std::future::poll_fn(|cx| {
        let order = session.order(cx.waker());
        // There is no place for a goodbye in a protocol that nobody follows.
        if order.urgency != Urgency::None {
            let (by, cause) = Cause::ordered(order.why);
            return Poll::Ready(Ended::new(by, Stage::Relay, cause));
        }
        let (from_client, from_backend) = (client.total, backend.total);
        let up = poll_move(cx, &mut client, &mut backend);
        let down = poll_move(cx, &mut backend, &mut client);
        counted.from_client.increment(client.total - from_client);
        counted.from_backend.increment(backend.total - from_backend);
        if client.total + backend.total > from_client + from_backend {
            session.note_activity();
        }
        match (up, down) {
            (Poll::Ready(Err(error)), _) => Poll::Ready(broken(By::Client, &error)),
            (_, Poll::Ready(Err(error))) => Poll::Ready(broken(By::Backend, &error)),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => {
                Poll::Ready(Ended::new(By::Client, Stage::Relay, Cause::Closed))
            }
            _ => {
                let moved = client.took_some() | backend.took_some();
                session.note_blocked(client.is_blocked() || backend.is_blocked(), moved);
                Poll::Pending
            }
        }
    })
    .await;
    (ended, (client.total, backend.total))
}

fn broken(by: By, error: &io::Error) -> Ended {
    Ended::new(by, Stage::Relay, Cause::of(error))
}

/// Moves octets one way until there are none for now. Ready once `from` has ended and `to` knows it.
fn poll_move(
    cx: &mut Context<'_>,
    from: &mut Leg<TcpStream>,
    to: &mut Leg<TcpStream>,
) -> Poll<io::Result<()>> {
    for _ in 0..TURN {
        ready!(to.poll_flush(cx))?;
        if from.ended {
            return to.poll_close(cx);
        }
        ready!(BUFFER.with_borrow_mut(|buf| match from.poll_read(cx, buf) {
            Poll::Ready(Ok(read)) => Poll::Ready(to.send(cx, buf.get(..read).unwrap_or_default())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }))?;
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}
