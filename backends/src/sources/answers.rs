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
use xxhash_rust::xxh3::xxh3_64;

/// Among so many places keys are divided, so that those who are forgotten are few.
const PLACES: usize = 256;

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
    /// How often something was forgotten: of keys that share a place, and of all. A question that was on its way at the time
    /// may bring what is no longer true.
    forgotten: [AtomicU64; PLACES],
    all_forgotten: AtomicU64,
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
            forgotten: std::array::from_fn(|_| AtomicU64::new(0)),
            all_forgotten: AtomicU64::new(0),
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
    pub(super) fn forgotten(&self, key: &ArchiveKey) -> u64 {
        // Both only grow, so the sum of the two is the same only if both are.
        self.place(key).load(Ordering::SeqCst) + self.all_forgotten.load(Ordering::SeqCst)
    }

    fn place(&self, key: &ArchiveKey) -> &AtomicU64 {
        &self.forgotten[xxh3_64(key.name().as_bytes()) as usize % PLACES]
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
        let before = self.known.get(key);
        if before.as_ref().is_some_and(|before| before.said > asked) {
            // Somebody who asked later was answered sooner.
            return;
        }
        self.changes.fetch_add(1, Ordering::Relaxed);
        if placement.is_some() || before.is_some_and(|before| before.placement.is_none()) {
            self.known.insert(key.clone(), Known { placement, said: asked });
            self.absent.remove(key);
        } else {
            self.absent.insert(key.clone(), asked);
            self.known.remove(key);
        }
        if self.forgotten(key) != forgotten {
            self.known.remove(key);
            self.absent.remove(key);
        }
    }

    /// A later source has this key: that this one has not is worth as much as what is known of others.
    pub(super) fn keep_absence(&self, key: &ArchiveKey) {
        let forgotten = self.forgotten(key);
        let Some((_, said)) = self.absent.remove(key) else { return };
        if self.known.get(key).is_none() {
            self.changes.fetch_add(1, Ordering::Relaxed);
            self.known.insert(key.clone(), Known { placement: None, said });
            if self.forgotten(key) != forgotten {
                self.known.remove(key);
            }
        }
    }

    /// Puts back what was said before the start. It is used only while the source cannot be asked.
    pub(super) fn restore(&self, key: ArchiveKey, placement: Option<Placement>, age: Duration) {
        // Before the start, whatever the clock has done meanwhile.
        let before = self.start.checked_sub(Duration::from_millis(1));
        if let Some(said) = before.and_then(|before| Some(Instant::now().checked_sub(age)?.min(before))) {
            self.known.insert(key, Known { placement, said });
        }
    }

    /// Forgets what was said of `key`; for the key of a domain, or of many, everything.
    pub(super) fn forget(&self, key: Option<&ArchiveKey>) {
        self.changes.fetch_add(1, Ordering::Relaxed);
        match key {
            Some(key @ (ArchiveKey::User(_) | ArchiveKey::Tenant(_))) => {
                self.place(key).fetch_add(1, Ordering::SeqCst);
                self.known.remove(key);
                self.absent.remove(key);
            }
            Some(ArchiveKey::Domain(_)) | None => {
                self.all_forgotten.fetch_add(1, Ordering::SeqCst);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::placement;

    fn key(name: &str) -> ArchiveKey {
        ArchiveKey::User(name.to_owned())
    }

    fn on(host: &str) -> Option<Placement> {
        Some(placement(host.to_owned(), key("anna@example.com")))
    }

    fn answers(entries: u32) -> Answers {
        Answers::new(SourceCache { entries, ..SourceCache::default() })
    }

    fn remember(answers: &Answers, name: &str, placement: Option<Placement>) {
        answers.remember(&key(name), placement, Instant::now(), answers.forgotten(&key(name)));
    }

    #[test]
    fn made_up_names_push_nobody_out_who_is_known() {
        let answers = answers(100);
        remember(&answers, "anna@example.com", on("ih1"));
        remember(&answers, "berta@example.com", None);
        answers.keep_absence(&key("berta@example.com"));
        for at in 0..10_000 {
            remember(&answers, &format!("nobody{at}@example.com"), None);
        }
        assert!(answers.get(&key("anna@example.com")).unwrap().placement.is_some());
        assert!(answers.get(&key("berta@example.com")).unwrap().placement.is_none());
    }

    #[test]
    fn an_answer_to_a_question_from_before_a_change_is_not_kept() {
        let answers = answers(100);
        let anna = key("anna@example.com");
        for change in [Some(&anna), None] {
            let before = answers.forgotten(&anna);
            answers.forget(change);
            answers.remember(&anna, on("old"), Instant::now(), before);
            assert!(answers.get(&anna).is_none());
        }
        remember(&answers, "anna@example.com", on("new"));
        answers.forget(Some(&key("berta@example.com")));
        assert!(answers.get(&anna).is_some());
    }

    #[test]
    fn what_is_doubted_is_used_only_if_there_is_nothing_better() {
        let answers = answers(100);
        let anna = key("anna@example.com");
        remember(&answers, "anna@example.com", on("ih1"));
        let known = answers.get(&anna).unwrap();
        assert!(answers.is_fresh(&known, None) && !answers.is_fresh(&known, Some(Duration::ZERO)));
        answers.doubt();
        assert!(!answers.is_fresh(&answers.get(&anna).unwrap(), None));
        answers.restore(key("carl@example.com"), on("ih1"), Duration::from_secs(1));
        let restored = answers.get(&key("carl@example.com")).unwrap();
        assert!(!answers.is_fresh(&restored, None), "it may have changed before the start");
        answers.restore(key("dora@example.com"), on("ih1"), SourceCache::default().stale);
        assert!(answers.get(&key("dora@example.com")).is_none());
    }
}
