//! The relay itself: one hand-written state machine, polled when either side or an order wakes it.

use super::Streams;
use super::end::{End, LastWords};
use super::leg::{BUFFER, Leg, STEPS, TURN};
use crate::metrics::Bytes;
use crate::session::{By, Cause, Doing, Ended, Order, Session, Stage, Urgency};
use crate::tls::ClientStream;
use std::io;
use std::task::{Context, Poll};
use usher_backends::connect::BackendStream;
use usher_wire::imap::tracker::{Fault, Out, Tracker};

/// Octets of the client's that are read ahead while nothing of its can go on.
const AHEAD: usize = 16 * 1024;

/// Both legs and what is known of them.
pub(crate) struct Pump<'s> {
    session: &'s Session,
    client: Leg<ClientStream>,
    backend: Leg<BackendStream>,
    tracker: Tracker,
    counted: &'s Bytes,
}

/// Why a direction stopped for good.
enum Broken {
    Client(io::Error),
    Backend(io::Error),
    Fault(By, Fault),
}

/// What a direction did.
enum Moved {
    /// Nothing to do until something wakes it.
    Waits,
    /// It moved, and has had its turn.
    Turn,
}

impl<'s> Pump<'s> {
    pub(crate) fn new(session: &'s Session, streams: Streams, counted: &'s Bytes) -> Self {
        Self {
            session,
            client: Leg::new(streams.client, streams.from_client, streams.to_client),
            backend: Leg::new(streams.backend, streams.from_backend, Vec::new()),
            tracker: streams.tracker,
            counted,
        }
    }

    /// After the backend's end: the client has been told, and what it still says goes to the backend, until
    /// it has nothing more to say.
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
                Ok(Moved::Turn) => {}
                Ok(Moved::Waits) => return Poll::Pending,
                // The backend takes no more; the client is to get what it was sent all the same.
                Err(_) => break,
            }
        }
        self.client.poll_close(cx).map(|_| ())
    }

    /// The client's stream and what it has not been sent.
    pub(crate) fn into_client(self) -> (ClientStream, Vec<u8>) {
        self.client.into_parts()
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let order = self.session.order(cx.waker());
        if order.urgency == Urgency::End {
            return Poll::Ready(self.ordered(order));
        }
        let stop = order.urgency == Urgency::Goodbye;
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
            if stop && self.tracker.at_boundary() {
                return Poll::Ready(self.ordered(order));
            }
            if let Some(end) = self.ended(cx) {
                return Poll::Ready(end);
            }
            if let (Moved::Waits, Moved::Waits) = (up, down) {
                let moved = self.client.took_some() | self.backend.took_some();
                self.session.note_blocked(self.client.is_blocked() || self.backend.is_blocked(), moved);
                self.session.note_doing(self.doing());
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// From the client to the backend.
    fn up(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Result<Moved, Broken> {
        let is_blocked = self.backend.poll_flush(cx).map_err(Broken::Backend)?.is_pending();
        let mut moved = Moved::Waits;
        if !is_blocked && !self.client.unread.is_empty() {
            let unread = std::mem::take(&mut self.client.unread);
            let taken = self.judge_client(cx, &unread)?;
            (self.client.unread, moved) = rest_of(unread, taken);
        }
        let waits = self.tracker.client_waits() || self.backend.is_blocked();
        // Also where nothing can go on now: otherwise nobody would hear that the client is gone.
        if self.client.ended || (waits && self.client.unread.len() >= AHEAD) {
            return Ok(moved);
        }
        let most = if waits { AHEAD.min(buf.len()) } else { buf.len() };
        match self.client.poll_read(cx, buf.get_mut(..most).unwrap_or_default()).map_err(Broken::Client)? {
            Poll::Pending => Ok(moved),
            Poll::Ready(read) => {
                self.session.note_activity();
                self.counted.from_client.increment(read as u64);
                let input = buf.get(..read).unwrap_or_default();
                if self.client.unread.is_empty() && !waits {
                    let taken = self.judge_client(cx, input)?;
                    self.client.unread.extend_from_slice(input.get(taken..).unwrap_or_default());
                } else {
                    self.client.unread.extend_from_slice(input);
                }
                Ok(Moved::Turn)
            }
        }
    }

    /// Passes on what the tracker lets through; returns how many octets are done with.
    fn judge_client(&mut self, cx: &mut Context<'_>, input: &[u8]) -> Result<usize, Broken> {
        let mut taken = 0;
        loop {
            let rest = input.get(taken..).unwrap_or_default();
            let moved = self.tracker.client(rest).map_err(|fault| Broken::Fault(By::Client, fault))?;
            let stuck = moved.is_stuck();
            taken += moved.taken;
            match moved.out {
                Out::Nothing => {}
                Out::Forward(bytes) => self.backend.send(cx, bytes).map_err(Broken::Backend)?,
                Out::Insert(bytes) => self.backend.send(cx, &bytes).map_err(Broken::Backend)?,
            }
            if stuck {
                return Ok(taken);
            }
        }
    }

    /// From the backend to the client.
    fn down(&mut self, cx: &mut Context<'_>, buf: &mut [u8], stop: bool) -> Result<Moved, Broken> {
        let answers = self.tracker.take_answers();
        if !answers.is_empty() {
            self.client.send(cx, &answers).map_err(Broken::Client)?;
        }
        if self.client.poll_flush(cx).map_err(Broken::Client)?.is_pending() {
            return Ok(Moved::Waits);
        }
        let mut moved = if answers.is_empty() { Moved::Waits } else { Moved::Turn };
        if !self.backend.unread.is_empty() {
            let unread = std::mem::take(&mut self.backend.unread);
            let taken = self.judge_backend(cx, &unread, stop)?;
            let unread = rest_of(unread, taken);
            self.backend.unread = unread.0;
            if let Moved::Turn = unread.1 {
                moved = Moved::Turn;
            }
        }
        if self.backend.ended || self.client.is_blocked() || (stop && self.tracker.at_boundary()) {
            return Ok(moved);
        }
        match self.backend.poll_read(cx, buf).map_err(Broken::Backend)? {
            Poll::Pending => Ok(moved),
            Poll::Ready(read) => {
                self.session.note_activity();
                self.counted.from_backend.increment(read as u64);
                let input = buf.get(..read).unwrap_or_default();
                if self.backend.unread.is_empty() {
                    let taken = self.judge_backend(cx, input, stop)?;
                    self.backend.unread.extend_from_slice(input.get(taken..).unwrap_or_default());
                } else {
                    self.backend.unread.extend_from_slice(input);
                }
                Ok(Moved::Turn)
            }
        }
    }

    fn judge_backend(&mut self, cx: &mut Context<'_>, input: &[u8], stop: bool) -> Result<usize, Broken> {
        let mut taken = 0;
        loop {
            let rest = input.get(taken..).unwrap_or_default();
            let moved = self.tracker.server(rest, stop).map_err(|fault| Broken::Fault(By::Backend, fault))?;
            let stuck = moved.is_stuck();
            taken += moved.taken;
            match moved.out {
                Out::Nothing => {}
                Out::Forward(bytes) => self.client.send(cx, bytes).map_err(Broken::Client)?,
                Out::Insert(bytes) => self.client.send(cx, &bytes).map_err(Broken::Client)?,
            }
            if stuck {
                let answers = self.tracker.take_answers();
                if answers.is_empty() {
                    return Ok(taken);
                }
                self.client.send(cx, &answers).map_err(Broken::Client)?;
            }
        }
    }

    /// Passes half-closes on, and says whether both sides have ended.
    fn ended(&mut self, cx: &mut Context<'_>) -> Option<End> {
        if self.backend.ended {
            if self.client.is_blocked() {
                return None;
            }
            let last_words = match self.last_words() {
                LastWords::Bye if self.client.ended => LastWords::Clean,
                // What stays unjudged is the beginning of a response that does not come.
                _ if !self.backend.unread.is_empty() => LastWords::None,
                other => other,
            };
            let by = if self.client.ended || self.tracker.logged_out() { By::Client } else { By::Backend };
            return Some(self.end(Ended::new(by, Stage::Relay, Cause::Closed), last_words));
        }
        // What is left of the client's last line, if anything, will never be judged.
        if self.client.ended && !self.tracker.client_waits() && !self.backend.is_blocked() {
            return match self.backend.poll_close(cx) {
                Poll::Ready(Err(error)) => Some(self.broken(Broken::Backend(error))),
                Poll::Ready(Ok(())) | Poll::Pending => None,
            };
        }
        None
    }

    fn doing(&self) -> Doing {
        match self.client.ended {
            // What is left of the session is the backend's to end, and not for ever.
            true => Doing::Closing,
            // Half a line is the beginning of a command.
            false if !self.client.unread.is_empty() => Doing::Busy,
            false => self.tracker.rest().into(),
        }
    }

    /// A goodbye between two responses, unless the backend has said it; nothing within one.
    fn last_words(&self) -> LastWords {
        match (self.tracker.at_boundary(), self.tracker.said_bye()) {
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
                self.end(Ended::new(by, Stage::Relay, Cause::Protocol(fault.name())), boundary)
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

/// What is left of `unread` once `taken` octets are done with, and whether that is any less.
fn rest_of(unread: Vec<u8>, taken: usize) -> (Vec<u8>, Moved) {
    match taken {
        0 => (unread, Moved::Waits),
        // A new vector, so that one that was filled once does not stay large.
        _ => (unread.get(taken..).unwrap_or_default().to_vec(), Moved::Turn),
    }
}
