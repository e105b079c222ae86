//! Who has lately logged in from where: they are not held up there for what others do.

use crate::whole_file;
use dashmap::DashMap;
use foldhash::fast::RandomState;
use quick_cache::sync::Cache;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use usher_backends::roster::now;
use usher_policy::guessing::Mark;

/// Most that are remembered.
const MOST: usize = 1_000_000;
/// A login that is noted again sooner changes nothing.
const FRESH: i64 = 60 * 60;
const LINE: usize = 32;
/// Things that have refused somebody, of which as many are remembered.
const GUARDS: usize = 10_000;

/// A login, in seconds since 1970, and what has let it in if that may let in everybody; 0: a proof in any case.
#[derive(Clone, Copy)]
struct Last {
    at: i64,
    guard: u64,
}

/// When somebody last logged in from somewhere, by digests of both.
pub(super) struct Known {
    last: DashMap<Mark, Last, RandomState>,
    /// What has refused somebody, and so lets in only those who have proven who they are.
    guards: Cache<u64, ()>,
    has_changed: AtomicBool,
    /// Where it is kept across restarts.
    file: PathBuf,
}

impl Known {
    /// Continues with what is in `file`.
    pub(super) fn open(file: PathBuf) -> Self {
        let octets = std::fs::read(&file).unwrap_or_default();
        let read = |line: &[u8]| {
            let (mark, rest) = line.split_at_checked(16)?;
            let (at, guard) = rest.split_at_checked(8)?;
            let at = i64::from_be_bytes(at.try_into().ok()?);
            Some((mark.try_into().ok()?, Last { at, guard: u64::from_be_bytes(guard.try_into().ok()?) }))
        };
        let last = octets.chunks_exact(LINE).take(MOST).filter_map(read).collect();
        Self { last, guards: Cache::new(GUARDS), has_changed: AtomicBool::new(false), file }
    }

    /// Whether they have logged in from there within `lately`, by something that refuses others.
    pub(super) fn has(&self, mark: &Mark, lately: Duration) -> bool {
        let Some(last) = self.last.get(mark).map(|last| *last) else { return false };
        let is_proof = self.is_proof(last.guard);
        if is_proof && last.guard != 0 {
            // It stays one, when that guard is forgotten for others.
            self.last.alter(mark, |_, now| match now.guard == last.guard {
                true => Last { guard: 0, ..now },
                false => now,
            });
            self.has_changed.store(true, Ordering::Relaxed);
        }
        last.at > oldest(lately) && is_proof
    }

    /// Whether it has refused somebody.
    pub(super) fn is_proof(&self, guard: u64) -> bool {
        guard == 0 || self.guards.get(&guard).is_some()
    }

    /// Something has refused somebody.
    pub(super) fn note_guard(&self, guard: u64) {
        self.guards.insert(guard, ());
    }

    /// Notes that they have logged in from there, by what `guard` stands for if that may let in everybody.
    pub(super) fn note(&self, mark: Mark, guard: Option<u64>) {
        let guard = guard.map_or(0, |guard| guard.max(1));
        let (now, guard) = (now(), if self.is_proof(guard) { 0 } else { guard });
        if let Some(last) = self.last.get(&mark).map(|last| *last) {
            let was_proof = self.is_proof(last.guard);
            let is_fresh = now - last.at < FRESH && (was_proof || last.guard == guard);
            // What proves nothing does not take the place of a proof.
            if is_fresh || was_proof && guard != 0 {
                return;
            }
        }
        if self.last.len() < MOST || self.last.contains_key(&mark) {
            self.last.insert(mark, Last { at: now, guard });
            self.has_changed.store(true, Ordering::Relaxed);
        }
    }

    /// Forgets what is older than `lately`, and saves the rest if it has changed.
    pub(super) fn save(&self, lately: Duration) {
        let oldest = oldest(lately);
        self.last.retain(|_, last| last.at > oldest);
        if !self.has_changed.swap(false, Ordering::Relaxed) {
            return;
        }
        let mut octets = Vec::with_capacity(self.last.len() * LINE);
        for entry in &self.last {
            octets.extend_from_slice(entry.key());
            // What has refused somebody is not remembered itself.
            let Last { at, guard } = *entry.value();
            let guard = if self.is_proof(guard) { 0 } else { guard };
            octets.extend_from_slice(&at.to_be_bytes());
            octets.extend_from_slice(&guard.to_be_bytes());
        }
        if let Err(error) = whole_file::replace(&self.file, &octets) {
            self.has_changed.store(true, Ordering::Relaxed);
            tracing::warn!(file = %self.file.display(), %error, "who has logged in from where cannot be saved");
        }
    }
}

fn oldest(lately: Duration) -> i64 {
    now() - i64::try_from(lately.as_secs()).unwrap_or(i64::MAX / 2)
}
