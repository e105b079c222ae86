//! What becomes of moves, for those who watch.

use crate::succession::MoveUnderWay;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;
use usher_policy::ArchiveKey;

/// Moves that are over and still told of.
const TOLD: usize = 1000;

/// How far a move has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Its logins wait, its sessions end.
    Held,
    /// Somebody finishes or undoes it, and nobody else may.
    Ending,
    /// The key is on the other host.
    Done,
    /// It is where it was.
    Undone,
}

impl Phase {
    /// A word of a closed set.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Held | Self::Ending => "held",
            Self::Done => "done",
            Self::Undone => "undone",
        }
    }
}

/// One move.
#[derive(Debug, Clone)]
pub(crate) struct Move {
    pub(crate) key: ArchiveKey,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) phase: Phase,
    /// How many sessions it has ended.
    pub(crate) ended: usize,
    /// Why it was undone.
    pub(crate) why: String,
}

#[derive(Default)]
pub(super) struct Moves(Mutex<Known>);

#[derive(Default)]
struct Known {
    under_way: HashMap<ArchiveKey, (Move, Option<Instant>)>,
    over: VecDeque<Move>,
}

impl Moves {
    pub(super) fn begin(&self, key: &ArchiveKey, from: &str, to: &str) {
        let (from, to, why) = (from.to_owned(), to.to_owned(), String::new());
        let begun = Move { key: key.clone(), from, to, phase: Phase::Held, ended: 0, why };
        self.known().under_way.insert(key.clone(), (begun, None));
    }

    pub(super) fn note_ended(&self, key: &ArchiveKey, ended: usize) {
        if let Some((known, _)) = self.known().under_way.get_mut(key) {
            known.ended = ended;
        }
    }

    pub(super) fn end(&self, key: &ArchiveKey, phase: Phase, why: &str) {
        let mut known = self.known();
        let Some((over, _)) = known.under_way.remove(key) else { return };
        known.over.push_back(Move { phase, why: why.to_owned(), ..over });
        let surplus = known.over.len().saturating_sub(TOLD);
        known.over.drain(..surplus);
    }

    /// Lets the caller alone finish or undo the move of `key`. False if somebody does so already, or there is none.
    pub(super) fn claim(&self, key: &ArchiveKey) -> bool {
        match self.known().under_way.get_mut(key) {
            Some((known, until)) if known.phase == Phase::Held => {
                (known.phase, *until) = (Phase::Ending, None);
                true
            }
            _ => false,
        }
    }

    /// Whether `key` is being moved.
    pub(super) fn are_of(&self, key: &ArchiveKey) -> bool {
        self.known().under_way.contains_key(key)
    }

    /// Waits for whoever has begun the move of `key` until `until`.
    pub(super) fn wait_for(&self, key: &ArchiveKey, until: Instant) {
        if let Some((Move { phase: Phase::Held, .. }, deadline)) = self.known().under_way.get_mut(key) {
            *deadline = Some(until);
        }
    }

    /// The keys whose mover has not been heard of for too long.
    pub(super) fn abandoned(&self, now: Instant) -> Vec<ArchiveKey> {
        let known = self.known();
        let late = known.under_way.iter().filter(|(_, (_, until))| until.is_some_and(|until| until < now));
        late.map(|(key, _)| key.clone()).collect()
    }

    /// Waits until `until` for whoever has begun one and is waited for.
    pub(super) fn wait_anew(&self, until: Instant) {
        for (_, deadline) in self.known().under_way.values_mut() {
            deadline.iter_mut().for_each(|deadline| *deadline = until);
        }
    }

    /// Those whose movers are to finish them.
    pub(super) fn held(&self) -> Vec<MoveUnderWay> {
        let known = self.known();
        let held = known.under_way.values().filter(|(one, _)| one.phase == Phase::Held);
        let told = held.map(|(one, until)| MoveUnderWay {
            key: one.key.to_string(),
            ended: one.ended,
            is_awaited: until.is_some(),
        });
        told.collect()
    }

    pub(super) fn all(&self) -> Vec<Move> {
        let known = self.known();
        known.under_way.values().map(|(one, _)| one).chain(&known.over).cloned().collect()
    }

    pub(super) fn latest(&self, key: &ArchiveKey) -> Option<Move> {
        let known = self.known();
        let under_way = known.under_way.get(key).map(|(one, _)| one);
        under_way.or_else(|| known.over.iter().rev().find(|one| one.key == *key)).cloned()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
