//! The page that Prometheus reads. Gauges are read at scrape time.

use super::{Labels, Metrics, key};
use metrics::{Gauge, Key};
use std::collections::HashMap;
use std::sync::PoisonError;

/// The gauges of one page.
pub(crate) struct Page<'m> {
    metrics: &'m Metrics,
    set: HashMap<Key, Gauge>,
}

impl Page<'_> {
    /// Shows `value` under `name`, one of [`super::names`].
    pub(crate) fn set(&mut self, name: &'static str, labels: Labels<'_>, value: f64) {
        let gauge = self.metrics.gauge(name, labels);
        gauge.set(value);
        self.set.insert(key(name, labels), gauge);
    }
}

impl Metrics {
    /// The page as it is now, with the gauges that `fill` sets.
    pub(crate) fn page(&self, fill: impl FnOnce(&mut Page<'_>)) -> String {
        // One page at a time: two at once would overwrite each other's gauges.
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let mut page = Page { metrics: self, set: HashMap::new() };
        fill(&mut page);
        let set = page.set;
        for (_, gone) in shown.iter().filter(|(key, _)| !set.contains_key(*key)) {
            gone.set(0.0);
        }
        *shown = set;
        metrics::with_local_recorder(&self.recorder, || self.process.collect());
        self.gather();
        self.handle.render()
    }

    /// Whether the directory has recently been answered from memory.
    pub(crate) fn is_directory_stale(&self) -> bool {
        self.stale.load(std::sync::atomic::Ordering::Relaxed)
    }
}
