//! How the guard of an HTTP/1 connection and those who answer its requests communicate.

use crate::https::message::pace::Patience;
use atomic_waker::AtomicWaker;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use usher_wire::http1::Fault;

/// Shared by both.
#[derive(Clone, Default)]
pub(crate) struct Pipeline(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    reader: AtomicWaker,
}

#[derive(Default)]
struct State {
    /// Requests that were passed on to be answered.
    begun: u64,
    /// Requests whose answers have been written.
    done: u64,
    /// What is wrong with the request of this number, counted from 1.
    refused: Option<(u64, Refused)>,
    /// The answer to a request to switch protocols, and that request's number.
    switched: Option<(u64, bool)>,
    /// Interim responses that wait to be written.
    interim: Vec<u8>,
    /// Everything written so far has been sent.
    flushed: bool,
    /// How long to wait for the client to take the latest answer, until the writer has read this.
    patience: Option<Patience>,
}

/// Why a request is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// By its framing.
    Fault(Fault),
    /// Its head took too long.
    Slow,
}

/// One request, from when it is passed on until its answer is written.
pub(crate) struct Turn {
    pipeline: Pipeline,
    number: u64,
    is_mute: bool,
}

impl Pipeline {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a request that is passed on.
    pub(crate) fn begin(&self) -> Turn {
        let mut state = self.lock();
        state.begun += 1;
        Turn { pipeline: self.clone(), number: state.begun, is_mute: false }
    }

    /// Whether a request is under way. `waker` is woken when none is any more.
    pub(crate) fn is_busy(&self, waker: &Waker) -> bool {
        self.0.reader.register(waker);
        let state = self.lock();
        state.begun > state.done
    }

    /// The request of this number is refused.
    pub(crate) fn refuse(&self, number: u64, refused: Refused) {
        self.lock().refused = Some((number, refused));
    }

    /// The answer to a request to switch protocols, once the request of this number has one.
    pub(crate) fn switched(&self, number: u64, waker: &Waker) -> Option<bool> {
        self.0.reader.register(waker);
        self.lock().switched.filter(|(answered, _)| *answered == number).map(|(_, switched)| switched)
    }

    /// Interim responses to be written now, ahead of everything that follows.
    pub(crate) fn take_interim(&self) -> Vec<u8> {
        std::mem::take(&mut self.lock().interim)
    }

    /// How long to wait for the client to take what is being written, if that has changed.
    pub(crate) fn allowed(&self) -> Option<Patience> {
        self.lock().patience.take()
    }

    /// Notes whether everything that was written has been sent.
    pub(crate) fn note_flushed(&self, flushed: bool) {
        self.lock().flushed = flushed;
    }
}

impl Turn {
    /// Why this request is refused, once that is known.
    pub(crate) fn refused(&self) -> Option<Refused> {
        let state = self.pipeline.lock();
        state.refused.filter(|(number, _)| *number == self.number).map(|(_, refused)| refused)
    }

    /// Says whether the protocol has been switched.
    pub(crate) fn switch(&self, switched: bool) {
        self.pipeline.lock().switched = Some((self.number, switched));
        self.pipeline.0.reader.wake();
    }

    /// Sets how long to wait for its answer to be taken.
    pub(crate) fn allow(&self, patience: Patience) {
        self.pipeline.lock().patience = Some(patience);
    }

    /// Sends no interim responses.
    pub(crate) fn mute(&mut self) {
        self.is_mute = true;
    }

    /// Sends an interim response, unless the previous answer is still being sent: it would end up in the middle of
    /// that.
    pub(crate) fn inform(&self, head: &[u8]) {
        let mut state = self.pipeline.lock();
        if !self.is_mute && (state.flushed || self.number == 1) {
            state.interim.extend_from_slice(head);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.pipeline.lock();
        state.done = state.done.max(self.number);
        drop(state);
        self.pipeline.0.reader.wake();
    }
}
