//! The relay itself: one hand-written state machine, polled when either side or an order wakes it.

use super::Streams;
use super::direction::{Broken, Did, Direction, Watchers};
use super::end::{End, LastWords};
use super::leg::{BUFFER, Leg, STEPS, TURN};
use crate::metrics::Bytes;
use crate::session::{By, Cause, Doing, Ended, Order, Session, Stage, Urgency};
use crate::tls::ClientStream;
use std::task::{Context, Poll};
use std::time::Duration;
use usher_backends::connect::BackendStream;
use usher_wire::follow::{Follow, Rest};

/// Both legs, and what is known about them.
pub(crate) struct Pump<'s, F> {
    client: Leg<ClientStream>,
    backend: Leg<BackendStream>,
    follower: F,
    /// What the backend's socket is to be taught once the session lasts: until then, its calls would be for nothing.
    silence: Option<(Duration, Duration)>,
    watchers: Watchers<'s>,
}

impl<'s, F: Follow> Pump<'s, F> {
    pub(crate) fn new(session: &'s Session, streams: Streams<F>, counted: &'s Bytes) -> Self {
        Self {
            client: Leg::new(streams.client, streams.from_client, streams.to_client),
            backend: Leg::new(streams.backend, streams.from_backend, Vec::new()),
            follower: streams.follower,
            silence: Some(streams.silence),
            watchers: Watchers { session, counted },
        }
    }

    /// After the backend has ended: tells the client, and passes what the client still says to the backend until the
    /// client has finished.
    pub(crate) fn poll_rest(
        &mut self,
        cx: &mut Context<'_>,
        last_words: &mut Option<&'static [u8]>,
    ) -> Poll<()> {
        if let Some(words) = last_words.take()
            && self.client.send(cx, words).is_err()
        {
            return Poll::Ready(());
        }
        if let Poll::Ready(Err(_)) = self.client.poll_close(cx) {
            return Poll::Ready(());
        }
        while !self.client.ended {
            match BUFFER.with_borrow_mut(|buf| self.up(cx, buf)) {
                Ok(Did::Turn) => {}
                Ok(Did::Waits) => return Poll::Pending,
                // The backend takes no more; the client still gets what it was sent.
                Err(_) => break,
            }
        }
        self.client.poll_close(cx).map(|_| ())
    }

    /// What the client is told between two responses when its session ends.
    pub(crate) fn goodbye(&self) -> &'static [u8] {
        self.follower.goodbye()
    }

    /// Whether the client has said that it is done, has got all that it waits for, and says no more. Under TLS it still says
    /// goodbye to a goodbye, and would be reset.
    pub(crate) fn client_is_done(&self) -> bool {
        let Leg { stream, unread, ended, .. } = &self.client;
        let is_plain = matches!(stream, ClientStream::Plain(_));
        let has_said_so = *ended || self.follower.logged_out();
        is_plain && has_said_so && unread.is_empty() && !self.client.is_blocked()
    }

    /// The client's stream and what has not been sent to it.
    pub(crate) fn into_client(self) -> (ClientStream, Vec<u8>) {
        self.client.into_parts()
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let order = self.watchers.session.order(cx.waker());
        if let Some(order) = order.filter(|order| order.urgency == Urgency::End) {
            return Poll::Ready(self.ordered(order));
        }
        if self.watchers.session.is_lasting()
            && let Some((idle, unreachable)) = self.silence.take()
        {
            // One that is gone already is found out by the next read.
            let _ = self.backend.stream.keep_alive(idle, unreachable);
        }
        let stop = order.is_some();
        let begun = self.client.total + self.backend.total;
        for _ in 0..STEPS {
            if self.client.total + self.backend.total - begun >= TURN {
                break;
            }
            let moved = BUFFER.with_borrow_mut(|buf| {
                let up = self.up(cx, buf)?;
                let down = self.down(cx, buf, stop)?;
                Ok((up, down))
            });
            let (up, down) = match moved {
                Ok(moved) => moved,
                Err(broken) => return Poll::Ready(self.broken(broken)),
            };
            if let Some(order) = order.filter(|_| self.follower.at_boundary()) {
                return Poll::Ready(self.ordered(order));
            }
            if let Some(end) = self.ended(cx) {
                return Poll::Ready(end);
            }
            if let (Did::Waits, Did::Waits) = (up, down) {
                let moved = self.client.took_some() | self.backend.took_some();
                self.watchers
                    .session
                    .note_blocked(self.client.is_blocked() || self.backend.is_blocked(), moved);
                self.watchers.session.note_doing(self.doing());
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// From the client to the backend.
    fn up(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Result<Did, Broken> {
        Direction::Up.flow(cx, buf, (&mut self.client, &mut self.backend), &mut self.follower, self.watchers)
    }

    /// From the backend to the client.
    fn down(&mut self, cx: &mut Context<'_>, buf: &mut [u8], stop: bool) -> Result<Did, Broken> {
        let legs = (&mut self.backend, &mut self.client);
        Direction::Down { stop }.flow(cx, buf, legs, &mut self.follower, self.watchers)
    }

    /// Whether the client has logged out and been answered: no more comes from either side. A backend with TLS still says
    /// goodbye there.
    fn is_over(&self) -> bool {
        let is_answered = || self.follower.said_bye() && self.follower.rest() == Rest::Between;
        let is_plain = matches!(self.backend.stream, BackendStream::Plain(_));
        is_plain && self.follower.logged_out() && is_answered() && self.backend.unread.is_empty()
    }

    /// Passes half-closes on, and returns whether both sides have ended.
    fn ended(&mut self, cx: &mut Context<'_>) -> Option<End> {
        if self.backend.ended || self.is_over() {
            if self.client.is_blocked() {
                return None;
            }
            let last_words = match self.last_words() {
                LastWords::Bye if self.client.ended => LastWords::Clean,
                // What remains unjudged is the beginning of a response that will never be complete.
                _ if !self.backend.unread.is_empty() => LastWords::None,
                other => other,
            };
            let by = if self.client.ended || self.follower.logged_out() { By::Client } else { By::Backend };
            return Some(self.end(Ended::new(by, Stage::Relay, Cause::Closed), last_words));
        }
        // The rest of the client's last line, if any, will never be judged.
        if self.client.ended && !self.follower.client_waits() && !self.backend.is_blocked() {
            return match self.backend.poll_close(cx) {
                Poll::Ready(Err(error)) => Some(self.broken(Broken::Backend(error))),
                Poll::Ready(Ok(())) | Poll::Pending => None,
            };
        }
        None
    }

    fn doing(&self) -> Doing {
        match self.client.ended {
            // The backend has to end the rest of the session, but not at its leisure.
            true => Doing::Closing,
            // An incomplete line is the beginning of a command.
            false if !self.client.unread.is_empty() => Doing::Busy,
            false => self.follower.rest().into(),
        }
    }

    /// A goodbye between two responses, unless the backend has said goodbye; nothing within a response.
    fn last_words(&self) -> LastWords {
        match (self.follower.at_boundary(), self.follower.said_bye()) {
            (true, false) => LastWords::Bye,
            (true, true) => LastWords::Clean,
            (false, _) => LastWords::None,
        }
    }

    fn broken(&self, broken: Broken) -> End {
        let boundary = self.last_words();
        match broken {
            Broken::Client(error) => {
                self.end(Ended::new(By::Client, Stage::Relay, Cause::of(&error)), LastWords::None)
            }
            Broken::Backend(error) => {
                self.end(Ended::new(By::Backend, Stage::Relay, Cause::of(&error)), boundary)
            }
            Broken::Fault(by, fault) => {
                self.end(Ended::new(by, Stage::Relay, Cause::Protocol(fault)), boundary)
            }
        }
    }

    fn ordered(&self, order: Order) -> End {
        let boundary = self.last_words();
        let (by, cause) = Cause::ordered(order.why);
        self.end(Ended::new(by, Stage::Relay, cause), boundary)
    }

    fn end(&self, ended: Ended, last_words: LastWords) -> End {
        End { ended, octets: (self.client.total, self.backend.total), last_words }
    }
}
