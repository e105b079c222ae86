//! What every request and every look-up counts, gathered by worker and handed on together: workers that counted with the
//! same counters would take them from each other's processors each time.

use crate::workers::Workers;
use metrics::{Counter, Histogram};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// As long as there are no more workers, each has a share for itself.
const SHARES: usize = 16;
/// Times that a share keeps before it hands them on.
const KEPT: usize = 64;

/// Counters of kinds of events, and histograms of how long each event took.
pub(super) struct Gathered<const KINDS: usize> {
    counters: [Counter; KINDS],
    histograms: Vec<Histogram>,
    shares: [Share<KINDS>; SHARES],
}

/// What a worker has counted. None shares a line of a processor's cache with another.
#[repr(align(128))]
struct Share<const KINDS: usize>(Mutex<Counts<KINDS>>);

struct Counts<const KINDS: usize> {
    events: [u64; KINDS],
    seconds: Vec<f64>,
}

impl<const KINDS: usize> Gathered<KINDS> {
    /// At zero.
    pub(super) fn new(counters: [Counter; KINDS], histograms: Vec<Histogram>) -> Self {
        let none = || Share(Mutex::new(Counts { events: [0; KINDS], seconds: Vec::new() }));
        Self { counters, histograms, shares: std::array::from_fn(|_| none()) }
    }

    /// Counts an event that is of all these kinds.
    pub(super) fn note(&self, kinds: impl IntoIterator<Item = usize>, took: Duration) {
        let mut counts = self.shares[Workers::here() % SHARES].lock();
        for kind in kinds {
            if let Some(events) = counts.events.get_mut(kind) {
                *events += 1;
            }
        }
        counts.seconds.push(took.as_secs_f64());
        if counts.seconds.len() >= KEPT {
            self.hand_on(&mut counts);
        }
    }

    /// Hands on what has been counted until now.
    pub(super) fn hand_all_on(&self) {
        self.shares.iter().for_each(|share| self.hand_on(&mut share.lock()));
    }

    fn hand_on(&self, counts: &mut Counts<KINDS>) {
        for (counter, events) in self.counters.iter().zip(&mut counts.events) {
            match std::mem::take(events) {
                0 => {}
                events => counter.increment(events),
            }
        }
        for histogram in &self.histograms {
            counts.seconds.iter().for_each(|seconds| histogram.record(*seconds));
        }
        counts.seconds.clear();
    }
}

impl<const KINDS: usize> Share<KINDS> {
    fn lock(&self) -> MutexGuard<'_, Counts<KINDS>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
