//! What a source has said, as much as fits.
//!
//! Names that nobody has are remembered apart from the others: whoever makes up names must not be able to push out those
//! who are known.

use crate::directory::Placement;
use quick_cache::sync::Cache;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use usher_config::snapshot::SourceCache;
use usher_policy::ArchiveKey;

/// One answer.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// `None`: the source has nothing of this name.
    pub(super) placement: Option<Placement>,
    /// When it was said.
    pub(super) said: Instant,
}

impl Known {
    pub(super) fn age(&self) -> Duration {
        self.said.elapsed()
    }
}

/// The answers of one source.
pub(super) struct Answers {
    limits: SourceCache,
    /// Those who are known: here, or in a later source.
    known: Cache<ArchiveKey, Known>,
    /// Those of whom only this is known.
    absent: Cache<ArchiveKey, Instant>,
    /// How often something was forgotten. A question that was on its way at the time may bring what is no longer true.
    forgotten: AtomicU64,
    /// Milliseconds from `start` to the moment before which nothing that was said is believed without asking.
    believed_from: AtomicU64,
    start: Instant,
    /// How many changes there were.
    changes: AtomicU64,
}

impl Answers {
    pub(super) fn new(limits: SourceCache) -> Self {
        let most = limits.entries as usize;
        Self {
            limits,
            known: Cache::new(most),
            absent: Cache::new(most),
            forgotten: AtomicU64::new(0),
            believed_from: AtomicU64::new(0),
            start: Instant::now(),
            changes: AtomicU64::new(0),
        }
    }

    /// What was said of `key`, unless that is too long ago for any use.
    pub(super) fn get(&self, key: &ArchiveKey) -> Option<Known> {
        let known = self.known.get(key);
        let known = known.or_else(|| Some(Known { placement: None, said: self.absent.get(key)? }));
        known.filter(|known| known.age() < self.limits.stale)
    }

    /// Whether what was said may be used without asking, for somebody who wants an answer not older than `freshness`.
    pub(super) fn is_fresh(&self, known: &Known, freshness: Option<Duration>) -> bool {
        let limit = if known.placement.is_some() { self.limits.positive } else { self.limits.negative };
        let from = Duration::from_millis(self.believed_from.load(Ordering::SeqCst));
        known.age() < freshness.map_or(limit, |freshness| freshness.min(limit))
            && known.said >= self.start + from
    }

    /// To be read before a question is asked.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::SeqCst)
    }

    /// Remembers the answer to a question that was asked at `asked`, when the counter was at `forgotten`, unless that has
    /// advanced since: either this notices that, or whoever forgets notices the answer.
    pub(super) fn remember(
        &self,
        key: &ArchiveKey,
        placement: Option<Placement>,
        asked: Instant,
        forgotten: u64,
    ) {
        self.changes.fetch_add(1, Ordering::Relaxed);
        let is_elsewhere = || self.known.get(key).is_some_and(|known| known.placement.is_none());
        if placement.is_some() || is_elsewhere() {
            self.known.insert(key.clone(), Known { placement, said: asked });
            self.absent.remove(key);
        } else {
            self.absent.insert(key.clone(), asked);
            self.known.remove(key);
        }
        if self.forgotten() != forgotten {
            self.known.remove(key);
            self.absent.remove(key);
        }
    }

    /// A later source has this key: that this one has not is worth as much as what is known of others.
    pub(super) fn keep_absence(&self, key: &ArchiveKey) {
        if let Some((_, said)) = self.absent.remove(key) {
            self.changes.fetch_add(1, Ordering::Relaxed);
            self.known.insert(key.clone(), Known { placement: None, said });
        }
    }

    /// Puts back what was said before the start. It is used only while the source cannot be asked.
    pub(super) fn restore(&self, key: ArchiveKey, placement: Option<Placement>, age: Duration) {
        if let Some(said) = Instant::now().checked_sub(age) {
            self.known.insert(key, Known { placement, said });
        }
    }

    /// Forgets what was said of `key`; for the key of a domain, or of many, everything.
    pub(super) fn forget(&self, key: Option<&ArchiveKey>) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        self.changes.fetch_add(1, Ordering::Relaxed);
        match key {
            Some(key @ (ArchiveKey::User(_) | ArchiveKey::Tenant(_))) => {
                self.known.remove(key);
                self.absent.remove(key);
            }
            Some(ArchiveKey::Domain(_)) | None => {
                self.known.clear();
                self.absent.clear();
            }
        }
    }

    /// Everything that was said until now is asked about again, as soon as somebody wants to know it.
    pub(super) fn doubt(&self) {
        let now = self.start.elapsed().as_millis() as u64 + 1;
        self.believed_from.store(now, Ordering::SeqCst);
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// How many changes there were.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// Those that are known.
    pub(super) fn all(&self) -> impl Iterator<Item = (ArchiveKey, Known)> + '_ {
        self.known.iter()
    }
}
