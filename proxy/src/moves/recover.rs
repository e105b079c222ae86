//! Moves whose end is not known, or not kept, when it should be: a crash, a directory that has not answered, a disk that
//! is full. Their logins wait, since nobody knows where the archive is.

use super::{MoveError, Mover, PATIENCE, Phase};
use crate::succession::MoveUnderWay;
use std::sync::{MutexGuard, PoisonError};
use tokio::time::Instant;
use usher_backends::directory::DirectoryError;
use usher_backends::roster::KeyHold;
use usher_policy::ArchiveKey;

impl Mover {
    /// Goes on with the moves that a predecessor has left. Finishes or undoes the others that were under way when usher ended,
    /// now or as soon as the directory can be asked.
    pub(crate) fn recover(&self, going_on: &[MoveUnderWay]) {
        let mut left = Vec::new();
        for (key, hold) in self.fleet.roster().moving_keys() {
            let Some(ends) = &hold.ends else { continue };
            let shown = key.to_string();
            self.moves.begin(key, &ends.from, &ends.to);
            let Some(going_on) = going_on.iter().find(|one| one.key == shown) else {
                // As if somebody in this process were finishing it: nobody else may.
                self.moves.claim(key);
                left.push((key.clone(), hold.clone()));
                continue;
            };
            self.moves.note_ended(key, going_on.ended);
            if going_on.is_awaited {
                self.moves.wait_for(key, Instant::now() + PATIENCE);
            }
        }
        *self.unsettled() = left;
        if let Err(error) = self.settle() {
            tracing::error!(%error, "moves that were under way cannot be finished or undone yet; their logins wait");
        }
    }

    /// Leaves the end of a move that its caller has claimed to [`Mover::settle_the_rest`].
    pub(super) fn settle_later(&self, key: &ArchiveKey, why: &str) -> MoveError {
        match self.fleet.roster().moving(key, None) {
            Some(hold) => self.unsettled().push((key.clone(), hold.clone())),
            None => self.moves.end(key, Phase::Undone, "its hold is gone"),
        }
        tracing::error!(key = %key, why, "how a move has ended is not known or not kept; its logins wait");
        MoveError::Unsettled { key: key.clone(), why: why.to_owned() }
    }

    /// Finishes or undoes what could not be when it should have been, as far as it can be now. Returns whether there was
    /// any of it.
    pub(crate) fn settle_the_rest(&self) -> bool {
        let were_some = !self.unsettled().is_empty();
        // Why it cannot be was told before.
        let _ = self.settle();
        were_some
    }

    /// Finishes or undoes each: the directory says how far it had come.
    fn settle(&self) -> Result<(), MoveError> {
        // Taken out meanwhile: a directory may take its time, and others may have more of them.
        let mut todo = std::mem::take(&mut *self.unsettled()).into_iter();
        let (mut left, mut settled) = (Vec::new(), Ok(()));
        for (key, hold) in todo.by_ref() {
            let Err(error) = self.settle_one(&key, &hold) else { continue };
            left.push((key, hold));
            let is_of_this_one = matches!(error, MoveError::Directory(DirectoryError::InDoubt(_)));
            settled = Err(error);
            // If the directory cannot be asked, it cannot be asked about the others either.
            if !is_of_this_one {
                break;
            }
        }
        self.unsettled().extend(left.into_iter().chain(todo));
        settled
    }

    fn settle_one(&self, key: &ArchiveKey, hold: &KeyHold) -> Result<(), MoveError> {
        let host = self.directory.settled(key)?.map(|placement| placement.host);
        let roster = self.fleet.roster();
        let held = roster.moving(key, None);
        let Some(ends) = hold.ends.as_ref().filter(|_| held == Some(hold)) else {
            // Another process has ended it, and somebody may have begun anew.
            if held.is_none() {
                self.moves.end(key, Phase::Undone, "its hold is gone");
            }
            return Ok(());
        };
        // What was remembered of it is from before the move.
        self.router.note_move();
        self.router.sources.forget(key);
        self.fleet.release_key(key)?;
        let phase = if host.as_deref() == Some(&*ends.to) { Phase::Done } else { Phase::Undone };
        self.moves.end(key, phase, "how it had ended was not known or not kept at first");
        let (from, to, outcome) = (&ends.from, &ends.to, phase.name());
        tracing::warn!(key = %key, from, to, outcome, "a move is settled whose end was not known or not kept");
        Ok(())
    }

    fn unsettled(&self) -> MutexGuard<'_, Vec<(ArchiveKey, KeyHold)>> {
        self.unsettled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
