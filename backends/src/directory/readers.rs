//! Connections for look-ups.
//!
//! Beginning and ending a read transaction costs more than the look-up itself: two locks and a check of the file. So a
//! connection keeps reading the state that it saw last for as long as that is current. A state that is being read
//! cannot be removed from the log, which would grow without limit while there are changes and look-ups at the same
//! time; so this is done only once the directory has been quiet for a while.

use super::version::Version;
use rusqlite::Connection;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Those that are not in use. A look-up takes microseconds, so there are never more of them than threads doing
/// look-ups.
#[derive(Default)]
pub(super) struct Readers {
    idle: Mutex<Vec<Reader>>,
    quiet: Mutex<Quiet>,
}

/// Whether there have been changes lately.
#[derive(Default)]
struct Quiet {
    /// The state when [`Readers::rest`] was last called.
    last: Option<Version>,
    /// The same, if it was already that state the time before.
    settled: Option<Version>,
}

/// One connection.
pub(super) struct Reader {
    connection: Connection,
    /// The state that its transaction shows, while that is open.
    shows: Option<Version>,
}

impl Readers {
    fn lock(&self) -> MutexGuard<'_, Vec<Reader>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn quiet(&self) -> MutexGuard<'_, Quiet> {
        self.quiet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `now` has been the current state for a while.
    pub(super) fn is_settled(&self, now: Option<Version>) -> bool {
        now.is_some() && self.quiet().settled == now
    }

    /// The one that was used last.
    pub(super) fn take(&self) -> Option<Reader> {
        self.lock().pop()
    }

    /// Keeps one for the next look-up.
    pub(super) fn put(&self, reader: Reader) {
        self.lock().push(reader);
    }

    /// Closes all of them.
    pub(super) fn let_go(&self) {
        self.lock().clear();
    }

    /// Ends the read transactions of all connections that are not in use; `now` is the current state.
    pub(super) fn rest(&self, now: Option<Version>) {
        let mut quiet = self.quiet();
        quiet.settled = quiet.last.filter(|last| Some(*last) == now);
        quiet.last = now;
        drop(quiet);
        self.lock().retain_mut(|reader| reader.end().is_ok());
    }
}

impl Reader {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection, shows: None }
    }

    /// Runs `work` on state `now` or a later one, and keeps reading that state if it `may_stay`.
    pub(super) fn read<T>(
        &mut self,
        now: Option<Version>,
        may_stay: bool,
        later: impl FnOnce() -> Option<Version>,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        if now.is_some() && self.shows == now {
            return work(&self.connection);
        }
        self.end()?;
        if !may_stay {
            return work(&self.connection);
        }
        self.connection.prepare_cached("BEGIN")?.execute(())?;
        let result = work(&self.connection);
        // The transaction began somewhere between the two; if they are equal, it shows exactly that state.
        if result.is_ok() && later() == now {
            self.shows = now;
        } else {
            self.end()?;
        }
        result
    }

    /// Ends its read transaction.
    pub(super) fn end(&mut self) -> rusqlite::Result<()> {
        self.shows = None;
        if !self.connection.is_autocommit() {
            self.connection.prepare_cached("COMMIT")?.execute(())?;
        }
        Ok(())
    }
}
