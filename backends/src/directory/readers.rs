//! Connections for look-ups.
//!
//! To begin and to end a look at the database costs more than the look-up itself: two locks and a look at the file.
//! So a connection goes on looking at the state that it saw last, for as long as that is the present one. A state
//! that somebody looks at cannot be cleared out of the log, which would grow without end while there are changes and
//! look-ups at the same time; so that is done only in a directory that has been quiet for a while.

use super::version::Version;
use rusqlite::Connection;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Those that are not in use. A look-up takes microseconds, so there are never more of them than threads that look
/// up.
#[derive(Default)]
pub(super) struct Readers {
    idle: Mutex<Vec<Reader>>,
    quiet: Mutex<Quiet>,
}

/// Whether there have been changes lately.
#[derive(Default)]
struct Quiet {
    /// The state at the last rest.
    last: Option<Version>,
    /// The same, where it had been that at the rest before as well.
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

    /// Whether the state that is `now` has been that for a while.
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

    /// Lets go of every state that is looked at and not in use this moment; `now` is the present one.
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

    /// Does `work` in the state that is `now`, or in a later one, and goes on looking at that where it `may_stay`.
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
        // Its transaction began somewhere between the two; where they are the same, it shows just that state.
        if result.is_ok() && later() == now {
            self.shows = now;
        } else {
            self.end()?;
        }
        result
    }

    /// Lets go of the state that it looks at.
    pub(super) fn end(&mut self) -> rusqlite::Result<()> {
        self.shows = None;
        if !self.connection.is_autocommit() {
            self.connection.prepare_cached("COMMIT")?.execute(())?;
        }
        Ok(())
    }
}
