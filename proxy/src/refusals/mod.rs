//! When a refusal leaves, so that its time does not tell why.
//!
//! A login under a name that nobody has is refused here, and one with a wrong password at its host. Both are to look
//! alike: a made-up refusal takes as long as a recent real one of a host did, always of the same host for the same name,
//! and both leave a moment of chance behind the ticks of one clock.

mod recent;
mod tick;

use recent::Recent;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tick::Clock;
use tokio::time::Instant;

/// How long refusals of one protocol take.
pub(crate) struct Refusals {
    recent: Mutex<Recent>,
    clock: Clock,
    /// What lasts from one start to the next.
    file: PathBuf,
}

impl Refusals {
    /// Goes on from what was known before, in `file`.
    ///
    /// # Errors
    /// The system's, when it gives no thread.
    pub(crate) fn open(file: PathBuf) -> std::io::Result<Self> {
        let recent = Recent::read(&std::fs::read_to_string(&file).unwrap_or_default());
        Ok(Self { recent: Mutex::new(recent), clock: Clock::start()?, file })
    }

    /// Returns when a refusal by `host` leaves of a login that began at `begun`.
    pub(crate) async fn real(&self, host: &str, begun: Instant) {
        let took = begun.elapsed();
        let least = self.recent().note(host, took);
        self.clock.tick_after(begun + least.max(took)).await;
    }

    /// Returns when the refusal leaves of a login that began at `begun` under a name that nobody has.
    pub(crate) async fn made_up(&self, name: &[u8], begun: Instant) {
        let took = self.recent().draw(name);
        self.clock.tick_after(begun + took).await;
    }

    /// Writes down what is known of the hosts for which `is_known` holds, where that has changed.
    pub(crate) fn keep(&self, is_known: impl Fn(&str) -> bool) {
        let Some(text) = self.recent().changed(is_known) else { return };
        // A start without it is one like the first; nothing is lost that anybody waits for.
        if let Err(error) = write(&self.file, &text) {
            tracing::debug!(file = %self.file.display(), %error, "times of refusals cannot be kept");
        }
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write(file: &Path, text: &str) -> std::io::Result<()> {
    let next = file.with_extension("next");
    std::fs::File::create(&next)?.write_all(text.as_bytes())?;
    std::fs::rename(next, file)
}

/// A time in whole microseconds, at most a minute.
fn micros(took: Duration) -> u32 {
    u32::try_from(took.as_micros()).unwrap_or(u32::MAX).min(60_000_000)
}
