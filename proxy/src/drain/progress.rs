//! How far drains have come.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use usher_backends::roster::HoldKind;

/// What a drain is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Quiet sessions are told goodbye, the others finish.
    Waiting,
    /// The deadline has passed: all are told goodbye.
    Goodbyes,
    /// What is left is ended.
    Ending,
    /// It is over.
    Done,
    /// An operator has started the host again.
    Cancelled,
}

impl Phase {
    const ALL: [Self; 5] = [Self::Waiting, Self::Goodbyes, Self::Ending, Self::Done, Self::Cancelled];

    /// A word of a closed set.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Goodbyes => "goodbyes",
            Self::Ending => "ending",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The progress of a drain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    pub(crate) kind: HoldKind,
    pub(crate) phase: Phase,
    /// Sessions at its beginning.
    pub(crate) began_with: u32,
    /// Sessions that are left.
    pub(crate) left: u32,
    /// Time since its beginning.
    pub(crate) passed: Duration,
    /// Time from its beginning to its deadline.
    pub(crate) deadline: Duration,
    /// How long it will still take at this pace, and never beyond the deadline; `None`: too early to tell.
    pub(crate) estimate: Option<Duration>,
}

/// One drain.
pub(crate) struct Drain {
    name: String,
    kind: HoldKind,
    begun: Instant,
    deadline: Duration,
    began_with: u32,
    left: AtomicU32,
    phase: AtomicU8,
    over: AtomicBool,
}

impl Drain {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn begun(&self) -> Instant {
        self.begun
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.deadline
    }

    pub(crate) fn note(&self, left: u32) {
        self.left.store(left, Ordering::Relaxed);
    }

    /// Enters a phase. Returns whether it was in another one before.
    pub(crate) fn enter(&self, phase: Phase) -> bool {
        self.phase.swap(phase as u8, Ordering::Relaxed) != phase as u8
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Ends it, unless it was ended before.
    pub(crate) fn finish(&self, left: u32) -> bool {
        self.note(left);
        let first = !self.over.swap(true, Ordering::Relaxed);
        if first {
            self.enter(Phase::Done);
        }
        first
    }

    fn cancel(&self) {
        if !self.over.swap(true, Ordering::Relaxed) {
            self.enter(Phase::Cancelled);
        }
    }

    /// How far it has come.
    pub(crate) fn progress(&self) -> Progress {
        let phase = self.phase.load(Ordering::Relaxed);
        let phase = Phase::ALL.into_iter().find(|one| *one as u8 == phase).unwrap_or(Phase::Done);
        let (left, passed) = (self.left.load(Ordering::Relaxed), self.begun.elapsed());
        Progress {
            kind: self.kind,
            phase,
            began_with: self.began_with,
            left,
            passed,
            deadline: self.deadline,
            estimate: estimate(self.began_with, left, passed, self.deadline),
        }
    }
}

fn estimate(began_with: u32, left: u32, passed: Duration, deadline: Duration) -> Option<Duration> {
    let gone = began_with.saturating_sub(left);
    if left == 0 {
        return Some(Duration::ZERO);
    }
    let at_most = deadline.saturating_sub(passed);
    (gone > 0).then(|| passed.mul_f64(f64::from(left) / f64::from(gone)).min(at_most))
}

/// All drains since the start, the last one of each name.
#[derive(Default)]
pub(crate) struct Drains(Mutex<BTreeMap<String, Arc<Drain>>>);

impl Drains {
    /// Begins a drain, replacing any previous one.
    pub(crate) fn begin(
        &self,
        name: &str,
        kind: HoldKind,
        began_with: u32,
        deadline: Duration,
    ) -> Arc<Drain> {
        let drain = Arc::new(Drain {
            name: name.to_owned(),
            kind,
            begun: Instant::now(),
            deadline,
            began_with,
            left: AtomicU32::new(began_with),
            phase: AtomicU8::new(Phase::Waiting as u8),
            over: AtomicBool::new(false),
        });
        if let Some(former) = self.lock().insert(name.to_owned(), drain.clone()) {
            former.cancel();
        }
        drain
    }

    /// Cancels the drain of `name`, if there is one: the host has been started again.
    pub(crate) fn cancel(&self, name: &str) {
        if let Some(drain) = self.lock().remove(name) {
            drain.cancel();
        }
    }

    /// How far the drain of `name` has come.
    pub(crate) fn progress(&self, name: &str) -> Option<Progress> {
        self.lock().get(name).map(|drain| drain.progress())
    }

    /// How far all of them have come. The empty name is usher's own stop.
    pub(crate) fn all(&self) -> Vec<(String, Progress)> {
        self.lock().iter().map(|(name, drain)| (name.clone(), drain.progress())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Drain>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_follow_the_pace_and_end_at_the_deadline() {
        let s = Duration::from_secs;
        assert_eq!(estimate(100, 100, s(5), s(60)), None);
        assert_eq!(estimate(100, 50, s(10), s(60)), Some(s(10)));
        assert_eq!(estimate(100, 99, s(10), s(60)), Some(s(50)));
        assert_eq!(estimate(100, 0, s(10), s(60)), Some(s(0)));
    }

    #[test]
    fn a_later_drain_ends_the_former() {
        let drains = Drains::default();
        let first = drains.begin("a", HoldKind::Drain, 3, Duration::from_secs(9));
        let second = drains.begin("a", HoldKind::Stop, 3, Duration::ZERO);
        assert!(first.is_over() && !second.is_over());
        assert!(!first.finish(0));
        drains.cancel("a");
        assert!(second.is_over() && drains.progress("a").is_none());
    }
}
