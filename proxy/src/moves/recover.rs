//! What a crash has left behind.

use super::{Mover, PATIENCE, error::MoveError};
use crate::succession::MoveUnderWay;
use std::sync::PoisonError;
use tokio::time::Instant;
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
            let Some(going_on) = going_on.iter().find(|one| one.key == shown) else {
                left.push((key.clone(), hold.clone()));
                continue;
            };
            self.moves.begin(key, &ends.from, &ends.to);
            self.moves.note_ended(key, going_on.ended);
            if going_on.is_awaited {
                self.moves.wait_for(key, Instant::now() + PATIENCE);
            }
        }
        *self.unsettled.lock().unwrap_or_else(PoisonError::into_inner) = left;
        if let Err(error) = self.settle() {
            tracing::error!(%error, "moves that were under way cannot be finished or undone yet; their logins wait");
        }
    }

    /// Finishes or undoes what [`Mover::recover`] could not, as far as it can be now. Returns whether there was any of it.
    pub(crate) fn settle_the_rest(&self) -> bool {
        let were_some = !self.unsettled.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        // Why it cannot be was told at the start.
        let _ = self.settle();
        were_some
    }

    /// Finishes or undoes each: the directory says how far it had come.
    fn settle(&self) -> Result<(), MoveError> {
        let mut left = self.unsettled.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((key, hold)) = left.last() {
            self.settle_one(key, hold)?;
            left.pop();
        }
        Ok(())
    }

    fn settle_one(&self, key: &ArchiveKey, hold: &KeyHold) -> Result<(), MoveError> {
        let host = self.directory.look_up(key)?.map(|placement| placement.host);
        // An operator may have released it meanwhile, and begun anew.
        let is_held = self.fleet.roster().moving_keys().any(|(held, by)| held == key && by == hold);
        let Some(ends) = hold.ends.as_ref().filter(|_| is_held) else { return Ok(()) };
        // What was remembered of it is from before the move.
        self.router.sources.forget(key);
        self.fleet.release_key(key)?;
        let outcome = if host.as_deref() == Some(&*ends.to) { "finished" } else { "undone" };
        let (from, to) = (&ends.from, &ends.to);
        tracing::warn!(key = %key, from, to, outcome, "a move was under way when usher ended");
        Ok(())
    }
}
