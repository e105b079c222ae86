//! What a crash has left behind.

use super::{Mover, PATIENCE, error::MoveError};
use crate::succession::MoveUnderWay;
use tokio::time::Instant;
use usher_policy::ArchiveKey;

impl Mover {
    /// Goes on with the moves that a predecessor has left. Finishes or undoes the others that were under way when usher ended:
    /// the directory says how far each had come.
    ///
    /// # Errors
    /// [`MoveError`], if the directory cannot be read or the change cannot be saved; the logins wait.
    pub(crate) fn recover(&self, going_on: &[MoveUnderWay]) -> Result<(), MoveError> {
        let left: Vec<_> = {
            let roster = self.fleet.roster();
            let moved =
                roster.moving_keys().filter_map(|(key, hold)| Some((key.clone(), hold.ends.clone()?)));
            moved.collect()
        };
        for (key, ends) in left {
            let shown = key.to_string();
            if let Some(going_on) = going_on.iter().find(|one| one.key == shown) {
                self.moves.begin(&key, &ends.from, &ends.to);
                self.moves.note_ended(&key, going_on.ended);
                if going_on.is_awaited {
                    self.moves.wait_for(&key, Instant::now() + PATIENCE);
                }
                continue;
            }
            let host = self.host_of(&key)?;
            self.fleet.release_key(&key)?;
            let outcome = match host.as_deref() {
                Some(host) if host == ends.to => "finished",
                _ => "undone",
            };
            tracing::warn!(
                key = %key,
                from = ends.from,
                to = ends.to,
                outcome,
                "a move was under way when usher ended"
            );
        }
        Ok(())
    }

    fn host_of(&self, key: &ArchiveKey) -> Result<Option<String>, MoveError> {
        Ok(self.directory.look_up(key)?.map(|placement| placement.host))
    }
}
