//! HTTP/2 connections without a request, all watched by one timer rather than one each.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// All of them.
pub(crate) struct Idlers {
    epoch: Instant,
    all: Mutex<Vec<Weak<Idler>>>,
}

/// One of them.
pub(crate) struct Idler {
    epoch: Instant,
    /// Requests that are under way.
    open: AtomicUsize,
    /// When the last one ended, in milliseconds since the epoch.
    since: AtomicU64,
    told: Notify,
}

/// Keeps a connection from being idle until it is dropped.
pub(crate) struct Busy(Arc<Idler>);

impl Default for Idlers {
    fn default() -> Self {
        Self { epoch: Instant::now(), all: Mutex::default() }
    }
}

impl Idlers {
    /// Watches a connection for as long as the result is kept.
    pub(crate) fn enter(&self) -> Arc<Idler> {
        let idler = Arc::new(Idler {
            epoch: self.epoch,
            open: AtomicUsize::new(0),
            since: AtomicU64::new(0),
            told: Notify::new(),
        });
        idler.begin_anew();
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&idler));
        idler
    }

    /// Notifies those that have been idle for `most`, or all idle ones if there is no room for them.
    pub(crate) fn sweep(&self, most: Duration, is_short_of_room: bool) {
        let now = milliseconds(self.epoch);
        let most = if is_short_of_room { Duration::ZERO } else { most };
        self.all.lock().unwrap_or_else(PoisonError::into_inner).retain(|idler| {
            let Some(idler) = idler.upgrade() else { return false };
            let passed = now.saturating_sub(idler.since.load(Ordering::Acquire));
            if idler.open.load(Ordering::Acquire) == 0 && u128::from(passed) >= most.as_millis() {
                idler.told.notify_one();
            }
            true
        });
    }
}

impl Idler {
    /// Returns when the connection has been idle for too long.
    pub(crate) async fn unwanted(&self) {
        loop {
            self.told.notified().await;
            // A request may have begun in between.
            if self.open.load(Ordering::Acquire) == 0 {
                return;
            }
        }
    }

    /// Restarts the idle time.
    pub(crate) fn begin_anew(&self) {
        self.since.store(milliseconds(self.epoch), Ordering::Release);
    }

    /// A request begins.
    pub(crate) fn busy(self: &Arc<Self>) -> Busy {
        self.open.fetch_add(1, Ordering::AcqRel);
        Busy(self.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.begin_anew();
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
