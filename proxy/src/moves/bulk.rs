//! Moves many keys from one host to another.

use super::{MoveError, Mover, Order};
use crate::route::registered;
use crate::succession::BulkUnderWay;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};
use usher_policy::ArchiveKey;
use usher_policy::access::Pattern;

/// Keys that are moved at a time.
const AT_ONCE: usize = 32;
/// Keys that are read at a time.
const PAGE: u32 = 1000;
/// Failures that are told in full.
const TOLD: usize = 100;

/// What is moved.
pub(crate) struct BulkOrder {
    pub(crate) from: String,
    pub(crate) to: String,
    /// Only keys that match.
    pub(crate) matching: Option<Pattern>,
    /// Keys per second.
    pub(crate) rate: u32,
    pub(crate) by: String,
}

/// How far it has come.
pub(crate) struct Bulk {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) total: usize,
    moved: AtomicUsize,
    failed: AtomicUsize,
    matching: Option<String>,
    rate: u32,
    by: String,
    is_stopped: AtomicBool,
    is_over: AtomicBool,
    failures: Mutex<Vec<String>>,
}

impl Bulk {
    /// How many keys have been moved, and how many could not be.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.moved.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }

    /// Whether nothing is moved any more.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// What is left to be moved, for another process.
    pub(super) fn rest(&self) -> BulkUnderWay {
        let (from, to, by) = (self.from.clone(), self.to.clone(), self.by.clone());
        BulkUnderWay { from, to, matching: self.matching.clone(), rate: self.rate, by }
    }

    /// Moves no more than what is under way. Returns whether it was stopped before.
    pub(crate) fn stop(&self) -> bool {
        self.is_stopped.swap(true, Ordering::Relaxed)
    }

    /// What could not be moved and why, the first of them.
    pub(crate) fn failures(&self) -> Vec<String> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, moved: Result<(), MoveError>) {
        let Err(error) = moved else {
            self.moved.fetch_add(1, Ordering::Relaxed);
            return;
        };
        if let MoveError::Unsettled { .. } = error {
            // The others would wait as well, for whatever this one waits for.
            self.stop();
        }
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() < TOLD {
            failures.push(error.to_string());
        }
    }
}

impl Mover {
    /// The keys on the host `from` that match.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub(crate) fn keys(&self, from: &str, matching: Option<&Pattern>) -> Result<Vec<ArchiveKey>, MoveError> {
        let mut keys = Vec::new();
        let roster = self.fleet.roster();
        let is_meant = |written: &String| {
            let name = registered::name(&roster, written, None);
            written == from || name.as_deref() == Some(from)
        };
        for written in registered::spellings(&roster, from).into_iter().filter(is_meant) {
            let mut after = None;
            loop {
                let page = self.directory.page(Some(&written), after.as_ref(), PAGE)?;
                after = page.last().map(|entry| entry.key.clone());
                let is_last = page.len() < PAGE as usize;
                let wanted = page.into_iter().map(|entry| entry.key);
                keys.extend(
                    wanted.filter(|key| matching.is_none_or(|matching| matching.matches(&key.to_string()))),
                );
                if is_last {
                    break;
                }
            }
        }
        Ok(keys)
    }

    /// Begins to move the keys on one host to another, in the background.
    ///
    /// # Errors
    /// [`MoveError`], if nothing can be moved there, or others are being moved.
    pub(crate) fn begin_bulk(self: &Arc<Self>, order: BulkOrder) -> Result<Arc<Bulk>, MoveError> {
        self.is_fit(&order.to)?;
        let mut latest = self.bulk.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.as_ref().is_some_and(|bulk| !bulk.is_over()) {
            return Err(MoveError::Busy);
        }
        let keys = self.keys(&order.from, order.matching.as_ref())?;
        let bulk = Arc::new(Bulk {
            from: order.from.clone(),
            to: order.to.clone(),
            total: keys.len(),
            moved: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
            matching: order.matching.as_ref().map(|matching| matching.as_str().to_owned()),
            rate: order.rate,
            by: order.by.clone(),
            is_stopped: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            failures: Mutex::default(),
        });
        *latest = Some(bulk.clone());
        tracing::info!(from = order.from, to = order.to, keys = keys.len(), rate = order.rate, "moving many");
        tokio::spawn(self.clone().move_many(order, keys, bulk.clone()));
        Ok(bulk)
    }

    async fn move_many(self: Arc<Self>, order: BulkOrder, keys: Vec<ArchiveKey>, bulk: Arc<Bulk>) {
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let pause = Duration::from_secs(1) / order.rate.max(1);
        let mut next = Instant::now();
        for key in keys {
            sleep_until(next).await;
            next = (next + pause).max(Instant::now() - pause);
            let Ok(place) = places.clone().acquire_owned().await else { break };
            if bulk.is_stopped.load(Ordering::Relaxed) {
                break;
            }
            let order = Order { key, to: order.to.clone(), by: order.by.clone() };
            let (mover, bulk, handle) = (self.clone(), bulk.clone(), Handle::current());
            // The disk is waited for where that delays nobody.
            tokio::task::spawn_blocking(move || {
                bulk.note(handle.block_on(mover.carry_out(&order, None)));
                drop(place);
            });
        }
        let _ = places.acquire_many(AT_ONCE as u32).await;
        bulk.is_over.store(true, Ordering::Release);
        let (moved, failed) = bulk.counts();
        tracing::info!(from = order.from, to = order.to, moved, failed, "moved many");
    }
}
