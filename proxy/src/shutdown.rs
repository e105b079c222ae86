//! Whether usher is about to stop, or is stopping.

use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;

/// Known to everything that serves.
pub(crate) struct Shutdown {
    /// Shown to those who ask before they connect.
    leaving: AtomicBool,
    stopping: watch::Sender<bool>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { leaving: AtomicBool::new(false), stopping: watch::Sender::new(false) }
    }
}

impl Shutdown {
    /// usher is about to stop; new clients are still served.
    pub(crate) fn announce(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    /// usher stops now.
    pub(crate) fn begin(&self) {
        self.stopping.send_replace(true);
    }

    /// Returns once usher is stopping.
    pub(crate) async fn stopped(&self) {
        // The sender is here, so it is never gone.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }

    /// Whether usher is about to stop, or is stopping.
    pub(crate) fn is_announced(&self) -> bool {
        self.leaving.load(Ordering::Acquire) || self.has_begun()
    }

    /// Whether usher is stopping.
    pub(crate) fn has_begun(&self) -> bool {
        *self.stopping.borrow()
    }
}
