//! Moves bytes in both directions between two streams, whatever they mean.

use super::leg::{BUFFER, Leg, STEPS, TURN};
use crate::accepted::lingering_close;
use crate::metrics::Bytes;
use crate::session::{By, Cause, Doing, Ended, Session, Stage, Urgency};
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use usher_wire::websocket::{Frames, GOING_AWAY};

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
/// from either side. With `frames`, WebSocket is spoken, and an order to say goodbye is carried out between two frames.
pub(crate) async fn splice(
    session: &Session,
    client: impl AsyncRead + AsyncWrite + Unpin,
    backend: impl AsyncRead + AsyncWrite + Unpin,
    counted: &Bytes,
    patience: Duration,
    mut frames: Option<Frames>,
) -> (Ended, (u64, u64)) {
    session.note_doing(Doing::Busy);
    let (mut client, mut backend) =
        (Leg::new(client, Vec::new(), Vec::new()), Leg::new(backend, Vec::new(), Vec::new()));
    let (mut up, mut down) = (Way::Open, Way::Open);
    let ended = std::future::poll_fn(|cx| {
        let order = session.order(cx.waker());
        if let Some(order) = order {
            // There is no place for a goodbye in a protocol that nobody follows.
            let has_place = frames.as_ref().is_some_and(|frames| !frames.at_boundary());
            if order.urgency == Urgency::End || !has_place {
                let (by, cause) = Cause::ordered(order.why);
                return Poll::Ready(Ended::new(by, Stage::Relay, cause));
            }
        }
        let mut pass = |bytes: &[u8]| match (&mut frames, order) {
            (None, _) => bytes.len(),
            (Some(frames), None) => {
                frames.feed(bytes);
                bytes.len()
            }
            // Up to the place for the goodbye; what follows is not sent any more.
            (Some(frames), Some(_)) if frames.at_boundary() => 0,
            (Some(frames), Some(_)) => frames.feed_frame(bytes),
        };
        let (from_client, from_backend) = (client.total, backend.total);
        let moved = advance(cx, &mut up, &mut client, &mut backend, &mut |bytes| bytes.len())
            .map_err(|error| (By::Client, error))
            .and_then(|()| {
                advance(cx, &mut down, &mut backend, &mut client, &mut pass)
                    .map_err(|error| (By::Backend, error))
            });
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
    let says_goodbye = session.told().is_some() && frames.is_some_and(|frames| frames.at_boundary());
    part(client, says_goodbye, &up, patience).await;
    (ended, octets)
}

/// Parts from a client, with a goodbye where there is a place for it.
async fn part(
    client: Leg<impl AsyncRead + AsyncWrite + Unpin>,
    says_goodbye: bool,
    up: &Way,
    patience: Duration,
) {
    let (stream, mut last_words) = client.into_parts();
    if says_goodbye {
        last_words.extend_from_slice(&GOING_AWAY);
        lingering_close(stream, &last_words, patience).await;
    } else if let Way::Refused(_) = up {
        // It is still sending: closing now would reset what is being sent to it.
        lingering_close(stream, b"", patience).await;
    }
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
    pass: &mut dyn FnMut(&[u8]) -> usize,
) -> io::Result<()> {
    if !matches!(way, Way::Open) {
        return Ok(());
    }
    let begun = from.total;
    let mut is_cut = false;
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
            Poll::Ready(Ok(read)) => {
                let taken = pass(buf.get(..read).unwrap_or_default());
                is_cut = taken < read;
                Some(Ok(to.send(cx, buf.get(..taken).unwrap_or_default())))
            }
            Poll::Ready(Err(error)) => Some(Err(error)),
            Poll::Pending => None,
        });
        if is_cut {
            cx.waker().wake_by_ref();
            return Ok(());
        }
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
