//! Moves bytes in both directions: after a login through a follower of the session, on plain TCP unchanged.
//!
//! Holds no buffer while nothing flows: each worker thread has one that its sessions use in turn. What cannot be passed
//! on at once is kept in a leg, and nothing more is read for that leg until it has been sent.

mod direction;
mod end;
mod leg;
mod pump;
mod splice;

pub(crate) use end::End;
pub(crate) use splice::splice;

use crate::accepted::lingering_close;
use crate::boxed::boxed;
use crate::metrics::Bytes;
use crate::session::{By, Cause, Session};
use crate::tls::ClientStream;
use end::LastWords;
use pump::Pump;
use std::time::Duration;
use tokio::time::timeout;
use usher_backends::connect::BackendStream;
use usher_wire::follow::Follow;

/// Everything that a relay begins with.
pub(crate) struct Streams<F> {
    pub(crate) client: ClientStream,
    pub(crate) backend: BackendStream,
    /// How long the backend may be silent, and then be unreachable.
    pub(crate) silence: (Duration, Duration),
    /// What follows the session.
    pub(crate) follower: F,
    /// What the client is told first: that it is logged in.
    pub(crate) to_client: Vec<u8>,
    /// What the client sent after its login.
    pub(crate) from_client: Vec<u8>,
    /// What the backend sent after its OK.
    pub(crate) from_backend: Vec<u8>,
}

/// Relays until either side or an order ends it.
pub(crate) async fn run<F: Follow>(
    session: &Session,
    streams: Box<Streams<F>>,
    counted: &Bytes,
    patience: Duration,
) -> End {
    let mut pump = Pump::new(session, *streams, counted);
    let end = std::future::poll_fn(|cx| pump.poll(cx)).await;
    match (end.last_words, end.ended.by) {
        // Cut off: what the client has seen ends in the middle, and it should notice.
        (LastWords::None, _) => {}
        // It needs nobody to wait for it: closing is all that is left.
        (LastWords::Clean, By::Client) if pump.client_is_done() => {}
        (last_words, By::Backend) if end.ended.cause == Cause::Closed => {
            let mut words = Some(last_words.words(pump.goodbye()));
            let rest = std::future::poll_fn(|cx| pump.poll_rest(cx, &mut words));
            let _ = timeout(patience, rest).await;
        }
        // Nothing that the client still says is passed on.
        (last_words, _) => {
            let goodbye = last_words.words(pump.goodbye());
            let (client, unsent) = pump.into_client();
            let words = [unsent.as_slice(), goodbye].concat();
            boxed(|| lingering_close(client, &words, patience)).await;
        }
    }
    end
}
