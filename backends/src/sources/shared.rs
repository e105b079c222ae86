//! A connection that many questions share, until one of them fails on it.

use super::fault::SourceFault;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Mutex as Turn;

/// The connection, and which one it is.
pub(super) struct Shared<C> {
    current: Mutex<Option<(u64, C)>>,
    connecting: Turn<u64>,
}

/// One use of it. Whatever it does not end well, nobody else uses that connection.
pub(super) struct Use<'s, C> {
    shared: &'s Shared<C>,
    number: u64,
    connection: C,
    is_good: bool,
}

impl<C: Clone> Shared<C> {
    pub(super) fn new() -> Self {
        Self { current: Mutex::new(None), connecting: Turn::new(0) }
    }

    fn current(&self) -> MutexGuard<'_, Option<(u64, C)>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn in_use(&self) -> Option<Use<'_, C>> {
        let (number, connection) = self.current().clone()?;
        Some(Use { shared: self, number, connection, is_good: false })
    }

    /// The connection; `connect` makes it if there is none.
    pub(super) async fn get(
        &self,
        connect: impl Future<Output = Result<C, SourceFault>>,
    ) -> Result<Use<'_, C>, SourceFault> {
        if let Some(in_use) = self.in_use() {
            return Ok(in_use);
        }
        let mut number = self.connecting.lock().await;
        // Somebody else has connected meanwhile.
        if let Some(in_use) = self.in_use() {
            return Ok(in_use);
        }
        let connection = connect.await?;
        *number += 1;
        *self.current() = Some((*number, connection.clone()));
        Ok(Use { shared: self, number: *number, connection, is_good: false })
    }
}

impl<C> Use<'_, C> {
    /// It may be used again.
    pub(super) fn done(mut self) {
        self.is_good = true;
    }
}

impl<C> Deref for Use<'_, C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.connection
    }
}

impl<C> DerefMut for Use<'_, C> {
    fn deref_mut(&mut self) -> &mut C {
        &mut self.connection
    }
}

impl<C> Drop for Use<'_, C> {
    fn drop(&mut self) {
        if self.is_good {
            return;
        }
        let mut current = self.shared.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|(number, _)| *number == self.number) {
            *current = None;
        }
    }
}
