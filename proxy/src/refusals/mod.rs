//! When a refusal is sent, so that its timing does not reveal its reason.
//!
//! A login under a name that nobody has is refused here, and one with a wrong password by its host. Both must look
//! alike: all refusals take longer than nearly all of the latest by the host that has the name or, of a name that nobody
//! has, by always the same host; and they are sent a random moment after a tick of one clock. When the host itself refuses
//! does not show: some collect their refusals, so that all of them come at the same moments.

mod recent;
mod tick;

use crate::whole_file;
use recent::Recent;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tick::Clock;
use tokio::time::Instant;

/// How long refusals of one protocol take.
pub(crate) struct Refusals {
    recent: Mutex<Recent>,
    clock: Clock,
    /// Where the times are kept across restarts.
    file: PathBuf,
}

impl Refusals {
    /// Continues with the times saved in `file`.
    ///
    /// # Errors
    /// The system's, when it gives no thread.
    pub(crate) fn open(file: PathBuf) -> std::io::Result<Self> {
        let recent = Recent::read(&std::fs::read_to_string(&file).unwrap_or_default());
        Ok(Self { recent: Mutex::new(recent), clock: Clock::start()?, file })
    }

    /// Returns when a refusal by `host` may be sent, for a login that began at `begun`.
    pub(crate) async fn real(&self, host: &str, begun: Instant) {
        let took = begun.elapsed();
        let least = self.recent().note(host, took);
        self.clock.tick_after(begun + least.max(took)).await;
    }

    /// Returns when a refusal may be sent for a login that began at `begun` under a name that nobody has.
    pub(crate) async fn made_up(&self, name: &[u8], begun: Instant) {
        let took = self.recent().draw(name);
        self.clock.tick_after(begun + took).await;
    }

    /// The same as if it came from `host`.
    pub(crate) async fn made_up_by(&self, host: &str, begun: Instant) {
        let took = self.recent().draw_of(host);
        self.clock.tick_after(begun + took).await;
    }

    /// Saves what is known about the hosts for which `is_known` holds, if that has changed.
    pub(crate) fn keep(&self, is_known: impl Fn(&str) -> bool) {
        let Some(text) = self.recent().changed(is_known) else { return };
        // Without the file, the next start is like the first; nothing is lost that anybody waits for.
        if let Err(error) = whole_file::replace(&self.file, text.as_bytes()) {
            tracing::debug!(file = %self.file.display(), %error, "the times of refusals cannot be saved");
        }
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A time in whole microseconds, at most a minute.
fn micros(took: Duration) -> u32 {
    u32::try_from(took.as_micros()).unwrap_or(u32::MAX).min(60_000_000)
}
