//! One direction of a relay.

use super::leg::Leg;
use crate::metrics::Bytes;
use crate::session::{By, Session};
use std::io;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};
use usher_wire::follow::{Follow, Moved, Out};

/// Bytes of the client's that are read ahead while they cannot be passed on: otherwise nobody would notice that the
/// client is gone.
const AHEAD: usize = 16 * 1024;

/// Which one.
#[derive(Clone, Copy)]
pub(super) enum Direction {
    /// From the client to the backend.
    Up,
    /// From the backend to the client; with `stop`, only up to the end of a response.
    Down { stop: bool },
}

/// Why a direction stopped for good.
pub(super) enum Broken {
    Client(io::Error),
    Backend(io::Error),
    /// The peer said something that ends the session.
    Fault(By, &'static str),
}

/// What a direction did.
#[derive(Clone, Copy)]
pub(super) enum Did {
    /// Nothing to do until something wakes it.
    Waits,
    /// It moved, and has had its turn.
    Turn,
}

/// Those who are told what moves.
#[derive(Clone, Copy)]
pub(super) struct Watchers<'s> {
    pub(super) session: &'s Session,
    pub(super) counted: &'s Bytes,
}

impl Direction {
    /// Sends what is buffered for `to`, and reads once from `from`, through `follower`.
    pub(super) fn flow<F, T>(
        self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
        (from, to): (&mut Leg<F>, &mut Leg<T>),
        follower: &mut impl Follow,
        watchers: Watchers<'_>,
    ) -> Result<Did, Broken>
    where
        F: AsyncRead + AsyncWrite + Unpin,
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let mut did = Did::Waits;
        let answers = self.answers(follower);
        if !answers.is_empty() {
            to.send(cx, &answers).map_err(|error| self.unsent(error))?;
            did = Did::Turn;
        }
        let is_blocked = to.poll_flush(cx).map_err(|error| self.unsent(error))?.is_pending();
        if !is_blocked && !from.unread.is_empty() {
            let unread = std::mem::take(&mut from.unread);
            let taken = self.pass_on(cx, &unread, to, follower)?;
            if taken > 0 {
                did = Did::Turn;
            }
            from.unread = rest_of(unread, taken);
        }
        let waits = self.waits(follower) || to.is_blocked();
        let ahead = self.ahead();
        if from.ended || (waits && from.unread.len() >= ahead) {
            return Ok(did);
        }
        let most = if waits { ahead.min(buf.len()) } else { buf.len() };
        let read = from.poll_read(cx, buf.get_mut(..most).unwrap_or_default());
        let Poll::Ready(read) = read.map_err(|error| self.unread(error))? else { return Ok(did) };
        watchers.session.note_activity();
        self.count(watchers.counted, read);
        let input = buf.get(..read).unwrap_or_default();
        if from.unread.is_empty() && !waits {
            let taken = self.pass_on(cx, input, to, follower)?;
            from.unread.extend_from_slice(input.get(taken..).unwrap_or_default());
        } else {
            from.unread.extend_from_slice(input);
        }
        Ok(Did::Turn)
    }

    /// Passes on what the follower permits; returns how many bytes are done with.
    fn pass_on<T: AsyncRead + AsyncWrite + Unpin>(
        self,
        cx: &mut Context<'_>,
        input: &[u8],
        to: &mut Leg<T>,
        follower: &mut impl Follow,
    ) -> Result<usize, Broken> {
        let mut taken = 0;
        loop {
            let moved = self.judge(follower, input.get(taken..).unwrap_or_default())?;
            let stuck = moved.is_stuck();
            taken += moved.taken;
            let passed = match moved.out {
                Out::Nothing => Ok(()),
                Out::Forward(bytes) => to.send(cx, bytes),
                Out::Insert(bytes) => to.send(cx, &bytes),
            };
            passed.map_err(|error| self.unsent(error))?;
            if stuck {
                return Ok(taken);
            }
        }
    }

    fn judge<'i>(self, follower: &mut impl Follow, input: &'i [u8]) -> Result<Moved<'i>, Broken> {
        match self {
            Self::Up => follower.client(input).map_err(|fault| Broken::Fault(By::Client, fault)),
            Self::Down { stop } => {
                let moved =
                    follower.server(input, stop).map_err(|fault| Broken::Fault(By::Backend, fault))?;
                // It may be stuck because of usher's own answers.
                let answers = if moved.is_stuck() { follower.take_answers() } else { Vec::new() };
                Ok(if answers.is_empty() { moved } else { Moved { taken: 0, out: Out::Insert(answers) } })
            }
        }
    }

    /// usher's own answers that this direction carries.
    fn answers(self, follower: &mut impl Follow) -> Vec<u8> {
        match self {
            Self::Up => Vec::new(),
            Self::Down { .. } => follower.take_answers(),
        }
    }

    /// Whether nothing may be passed on at the moment.
    fn waits(self, follower: &impl Follow) -> bool {
        match self {
            Self::Up => follower.client_waits(),
            Self::Down { stop } => stop && follower.at_boundary(),
        }
    }

    /// Bytes that are read even though nothing can be passed on.
    fn ahead(self) -> usize {
        match self {
            Self::Up => AHEAD,
            Self::Down { .. } => 0,
        }
    }

    fn count(self, counted: &Bytes, read: usize) {
        match self {
            Self::Up => counted.from_client.increment(read as u64),
            Self::Down { .. } => counted.from_backend.increment(read as u64),
        }
    }

    fn unread(self, error: io::Error) -> Broken {
        match self {
            Self::Up => Broken::Client(error),
            Self::Down { .. } => Broken::Backend(error),
        }
    }

    fn unsent(self, error: io::Error) -> Broken {
        match self {
            Self::Up => Broken::Backend(error),
            Self::Down { .. } => Broken::Client(error),
        }
    }
}

/// What is left of `unread` after `taken` bytes, in a new vector, so that one that was once full does not stay large.
fn rest_of(unread: Vec<u8>, taken: usize) -> Vec<u8> {
    if taken == 0 { unread } else { unread.get(taken..).unwrap_or_default().to_vec() }
}
