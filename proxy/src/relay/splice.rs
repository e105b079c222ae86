//! Moves bytes in both directions between two streams, whatever they mean.

use super::leg::{BUFFER, Leg, STEPS, TURN};
use crate::accepted::lingering_close;
use crate::metrics::Bytes;
use crate::session::{By, Cause, Doing, Ended, Session, Stage};
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// One direction.
enum Way {
    /// Bytes may come.
    Open,
    /// Its source has ended, and its sink has been told.
    Done,
    /// Its sink takes no more; what the other direction still has is delivered all the same.
    Refused(io::Error),
}

/// Connects `client` and `backend` until both have ended or an order ends them. Returns how, and the number of bytes
/// from either side.
pub(crate) async fn splice(
    session: &Session,
    client: impl AsyncRead + AsyncWrite + Unpin,
    backend: impl AsyncRead + AsyncWrite + Unpin,
    counted: &Bytes,
    patience: Duration,
) -> (Ended, (u64, u64)) {
    session.note_doing(Doing::Busy);
    let mut client = Leg::new(client, Vec::new(), Vec::new());
    let mut backend = Leg::new(backend, Vec::new(), Vec::new());
    let (mut up, mut down) = (Way::Open, Way::Open);
    let ended = std::future::poll_fn(|cx| {
        // There is no place for a goodbye in a protocol that nobody follows.
        if let Some(order) = session.order(cx.waker()) {
            let (by, cause) = Cause::ordered(order.why);
            return Poll::Ready(Ended::new(by, Stage::Relay, cause));
        }
        let (from_client, from_backend) = (client.total, backend.total);
        let moved =
            advance(cx, &mut up, &mut client, &mut backend).map_err(|error| (By::Client, error)).and_then(
                |()| advance(cx, &mut down, &mut backend, &mut client).map_err(|error| (By::Backend, error)),
            );
        counted.from_client.increment(client.total - from_client);
        counted.from_backend.increment(backend.total - from_backend);
        if client.total + backend.total > from_client + from_backend {
            session.note_activity();
        }
        if let Err((by, error)) = moved {
            return Poll::Ready(Ended::new(by, Stage::Relay, Cause::of(&error)));
        }
        match (&up, &down) {
            (Way::Open, Way::Open) => {}
            (Way::Open, _) | (_, Way::Open) => session.note_doing(Doing::Closing),
            (Way::Refused(error), _) => {
                return Poll::Ready(Ended::new(By::Backend, Stage::Relay, Cause::of(error)));
            }
            (_, Way::Refused(error)) => {
                return Poll::Ready(Ended::new(By::Client, Stage::Relay, Cause::of(error)));
            }
            (Way::Done, Way::Done) => {
                return Poll::Ready(Ended::new(By::Client, Stage::Relay, Cause::Closed));
            }
        }
        // If the client takes no more, there is nobody left to answer.
        if let Way::Refused(error) = &down {
            return Poll::Ready(Ended::new(By::Client, Stage::Relay, Cause::of(error)));
        }
        let moved = client.took_some() | backend.took_some();
        session.note_blocked(client.is_blocked() || backend.is_blocked(), moved);
        Poll::Pending
    })
    .await;
    let octets = (client.total, backend.total);
    if let Way::Refused(_) = up {
        // It is still sending: closing now would reset what is being sent to it.
        lingering_close(client.into_parts().0, b"", patience).await;
    }
    (ended, octets)
}

/// Moves bytes in one direction until there are none for now.
///
/// # Errors
/// If the source breaks: there is nobody to answer any more.
fn advance(
    cx: &mut Context<'_>,
    way: &mut Way,
    from: &mut Leg<impl AsyncRead + AsyncWrite + Unpin>,
    to: &mut Leg<impl AsyncRead + AsyncWrite + Unpin>,
) -> io::Result<()> {
    if !matches!(way, Way::Open) {
        return Ok(());
    }
    let begun = from.total;
    for _ in 0..STEPS {
        if from.total - begun >= TURN {
            break;
        }
        match to.poll_flush(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => {
                *way = Way::Refused(error);
                return Ok(());
            }
            Poll::Pending => return Ok(()),
        }
        if from.ended {
            match to.poll_close(cx) {
                Poll::Ready(Ok(())) => *way = Way::Done,
                Poll::Ready(Err(error)) => *way = Way::Refused(error),
                Poll::Pending => {}
            }
            return Ok(());
        }
        let sent = BUFFER.with_borrow_mut(|buf| match from.poll_read(cx, buf) {
            Poll::Ready(Ok(read)) => Some(Ok(to.send(cx, buf.get(..read).unwrap_or_default()))),
            Poll::Ready(Err(error)) => Some(Err(error)),
            Poll::Pending => None,
        });
        match sent {
            None => return Ok(()),
            Some(Err(error)) => return Err(error),
            Some(Ok(Ok(()))) => {}
            Some(Ok(Err(error))) => {
                *way = Way::Refused(error);
                return Ok(());
            }
        }
    }
    cx.waker().wake_by_ref();
    Ok(())
}
