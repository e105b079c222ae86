//! Connections for look-ups.
//!
//! To begin and to end a look at the database costs more than the look-up itself: two locks and a look at the file.
//! So a connection goes on looking at the state that it saw last, for as long as that is the present one. One that
//! is not needed lets go of it, as a state that somebody looks at cannot be cleared out of the log.

use super::version::Version;
use rusqlite::Connection;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Those that are not in use. A look-up takes microseconds, so there are never more of them than threads that look
/// up.
#[derive(Default)]
pub(super) struct Readers(Mutex<Vec<Reader>>);

/// One connection.
pub(super) struct Reader {
    connection: Connection,
    /// The state that its transaction shows, while that is open.
    shows: Option<Version>,
}

impl Readers {
    fn lock(&self) -> MutexGuard<'_, Vec<Reader>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one that was used last.
    pub(super) fn take(&self) -> Option<Reader> {
        self.lock().pop()
    }

    /// Keeps one for the next look-up.
    pub(super) fn put(&self, reader: Reader) {
        self.lock().push(reader);
    }

    /// Lets go of every state that is looked at and not in use this moment.
    pub(super) fn rest(&self) {
        self.lock().retain_mut(|reader| reader.end().is_ok());
    }
}

impl Reader {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection, shows: None }
    }

    /// Does `work` in the state that is `now`, or in a later one.
    pub(super) fn read<T>(
        &mut self,
        now: Option<Version>,
        later: impl FnOnce() -> Option<Version>,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        if now.is_some() && self.shows == now {
            return work(&self.connection);
        }
        self.end()?;
        if now.is_none() {
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
