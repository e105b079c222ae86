//! Whether usher serves, leaves its listeners to a successor, or stops.

use crate::workers::Workers;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;

/// Waiting costs a worker nothing that it shares with others, as long as it has one of these for itself.
const SHARDS: usize = 16;

/// How far usher has come with leaving. Later ones include former ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Serving,
    /// A successor has the listeners: those who are here may go on for a while.
    Retiring,
    Stopping,
}

/// Known to everything that serves.
pub(crate) struct Shutdown {
    /// Shown to those who ask before they connect.
    leaving: AtomicBool,
    stages: [watch::Sender<Stage>; SHARDS],
}

impl Default for Shutdown {
    fn default() -> Self {
        let stages = std::array::from_fn(|_| watch::Sender::new(Stage::Serving));
        Self { leaving: AtomicBool::new(false), stages }
    }
}

impl Shutdown {
    /// usher is about to stop; new clients are still served.
    pub(crate) fn announce(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    /// A successor has the listeners from now on.
    pub(crate) fn retire(&self) {
        self.enter(Stage::Retiring);
    }

    /// usher stops now.
    pub(crate) fn begin(&self) {
        self.enter(Stage::Stopping);
    }

    fn enter(&self, stage: Stage) {
        for shard in &self.stages {
            shard.send_if_modified(|now| {
                let is_later = *now < stage;
                *now = stage.max(*now);
                is_later
            });
        }
    }

    fn shard(&self) -> &watch::Sender<Stage> {
        &self.stages[Workers::here() % SHARDS]
    }

    async fn reached(&self, stage: Stage) {
        // The sender is here, so it is never gone.
        let _ = self.shard().subscribe().wait_for(|now| *now >= stage).await;
    }

    /// Returns once usher is stopping.
    pub(crate) async fn stopped(&self) {
        self.reached(Stage::Stopping).await;
    }

    /// Returns once usher has left its listeners to a successor, or is stopping.
    pub(crate) async fn retired(&self) {
        self.reached(Stage::Retiring).await;
    }

    /// Whether usher is about to stop, or is stopping.
    pub(crate) fn is_announced(&self) -> bool {
        self.leaving.load(Ordering::Acquire) || self.has_begun()
    }

    /// Whether usher has left its listeners to a successor, or is stopping.
    pub(crate) fn is_retired(&self) -> bool {
        *self.shard().borrow() >= Stage::Retiring
    }

    /// Whether usher is stopping.
    pub(crate) fn has_begun(&self) -> bool {
        *self.shard().borrow() >= Stage::Stopping
    }
}
