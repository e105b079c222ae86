//! Limits the number of connections to one backend. Callers that find none free wait in order of arrival.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout_at};
use usher_config::snapshot::HttpVersion;

/// A request that takes longer is assumed to wait for news: its connection no longer counts.
const LONG: Duration = Duration::from_secs(60);
/// How often to look for such requests while somebody waits.
const LOOK: Duration = Duration::from_millis(500);

/// Concurrent requests on an HTTP/2 connection: as many as every server accepts (RFC 9113 section 6.5.2).
pub(crate) const USERS: usize = 100;

/// The bound of one backend.
pub struct Bound {
    epoch: Instant,
    /// Requests that may be in progress: as many as can have a connection at once.
    requests: Arc<Semaphore>,
    /// Connections that may exist, including those that are closing.
    connections: Arc<Semaphore>,
    /// HTTP/1 connections, to find those that have been serving one request for long.
    known: Mutex<Vec<Weak<Counted>>>,
}

/// The right to send a request.
#[derive(Debug)]
pub struct Slot(OwnedSemaphorePermit);

/// What a connection, or one user of it, counts for.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    connection: Mutex<Option<OwnedSemaphorePermit>>,
    slot: Mutex<Option<OwnedSemaphorePermit>>,
    /// When its current request began, in milliseconds since the epoch.
    since: AtomicU64,
    /// It used to count, and no longer does.
    is_free: std::sync::atomic::AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bound {
    /// Allows `most` connections that speak `version`, each with up to `users` concurrent requests.
    pub(crate) fn new(most: u32, version: HttpVersion, users: usize) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let requests = match version {
            HttpVersion::One => most,
            HttpVersion::Two => most.saturating_mul(users).min(Semaphore::MAX_PERMITS),
        };
        Self {
            epoch: Instant::now(),
            requests: Arc::new(Semaphore::new(requests)),
            connections: Arc::new(Semaphore::new(most)),
            known: Mutex::default(),
        }
    }

    /// Waits for the right to send a request; `None` if it cannot be had before `until`.
    pub async fn slot(&self, until: tokio::time::Instant) -> Option<Slot> {
        self.wait(&self.requests, until).await.map(Slot)
    }

    /// Whether no more connections are allowed.
    pub fn is_full(&self) -> bool {
        self.connections.available_permits() == 0
    }

    /// Waits for the right to open a connection; `None` if it cannot be had before `until`.
    pub(crate) async fn connection(&self, until: tokio::time::Instant) -> Option<OwnedSemaphorePermit> {
        self.wait(&self.connections, until).await
    }

    /// Counts a connection of HTTP/1.
    pub(crate) fn count(&self, connection: OwnedSemaphorePermit) -> Arc<Counted> {
        let counted = Arc::new(Counted { connection: Mutex::new(Some(connection)), ..Counted::default() });
        counted.since.store(self.now(), Ordering::Relaxed);
        let mut known = lock(&self.known);
        known.retain(|counted| counted.strong_count() > 0);
        known.push(Arc::downgrade(&counted));
        counted
    }

    /// A request begins on a connection.
    pub(crate) fn begin(&self, counted: &Counted, slot: Slot) {
        counted.since.store(self.now(), Ordering::Relaxed);
        *lock(&counted.slot) = Some(slot.0);
    }

    async fn wait(&self, of: &Arc<Semaphore>, until: tokio::time::Instant) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = of.clone().try_acquire_owned() {
            return Some(permit);
        }
        let waiting = of.clone().acquire_owned();
        tokio::pin!(waiting);
        let work = async {
            loop {
                tokio::select! {
                    permit = &mut waiting => return permit.ok(),
                    () = sleep(LOOK) => self.release_long(),
                }
            }
        };
        self.release_long();
        timeout_at(until, work).await.ok().flatten()
    }

    fn release_long(&self) {
        let now = self.now();
        let known: Vec<Arc<Counted>> = lock(&self.known).iter().filter_map(Weak::upgrade).collect();
        for counted in known {
            let lasted = now.saturating_sub(counted.since.load(Ordering::Relaxed));
            let is_busy = lock(&counted.slot).is_some();
            if is_busy && u128::from(lasted) > LONG.as_millis() {
                counted.release();
            }
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Counted {
    /// Stops counting it: it speaks another protocol now, has been serving one request for long, or is gone.
    pub(crate) fn release(&self) {
        self.is_free.store(true, Ordering::Release);
        drop(lock(&self.slot).take());
        drop(lock(&self.connection).take());
    }

    /// The request is over.
    pub(crate) fn end(&self) {
        drop(lock(&self.slot).take());
    }

    /// Whether another connection may have taken its place by now.
    pub(crate) fn is_released(&self) -> bool {
        self.is_free.load(Ordering::Acquire)
    }
}
