//! Whether usher is about to stop, or stops.

use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;

/// Heard by all who serve.
pub(crate) struct Shutdown {
    /// Said to whoever asks before they connect.
    leaving: AtomicBool,
    stopping: watch::Sender<bool>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { leaving: AtomicBool::new(false), stopping: watch::Sender::new(false) }
    }
}

impl Shutdown {
    /// usher is about to stop; those who come are still served.
    pub(crate) fn announce(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    /// usher stops.
    pub(crate) fn begin(&self) {
        self.stopping.send_replace(true);
    }

    /// Returns once usher stops.
    pub(crate) async fn stopped(&self) {
        // The sender is here, so it is never gone.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }

    /// Whether usher is about to stop, or stops.
    pub(crate) fn is_announced(&self) -> bool {
        self.leaving.load(Ordering::Acquire) || self.has_begun()
    }

    /// Whether usher stops.
    pub(crate) fn has_begun(&self) -> bool {
        *self.stopping.borrow()
    }
}
