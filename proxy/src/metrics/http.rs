//! Metrics of requests.

use super::gathered::Gathered;
use super::{METADATA, Metrics, counter, key, names};
use http::Version;
use metrics::{Counter, Recorder};
use metrics_exporter_prometheus::PrometheusRecorder;
use std::time::Duration;

const VERSIONS: [&str; 3] = ["1.0", "1.1", "2"];
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// Each version with each class.
const KINDS: usize = VERSIONS.len() * CLASSES.len();
/// The kind of those that end as most do.
const COMPLETE: usize = KINDS;

/// Counters and histograms of requests.
pub(crate) struct Http {
    requests: Gathered<{ KINDS + 1 }>,
    retries: Counter,
}

impl Http {
    pub(super) fn new(recorder: &PrometheusRecorder) -> Self {
        let end = [("protocol", "https"), ("by", "backend"), ("stage", "relay"), ("cause", "complete")];
        let counters = std::array::from_fn(|kind| {
            let version = VERSIONS.get(kind / CLASSES.len());
            let labels =
                version.map(|version| [("version", *version), ("code", CLASSES[kind % CLASSES.len()])]);
            match labels {
                Some(labels) => counter(recorder, names::REQUESTS, &labels),
                None => counter(recorder, names::CLOSED, &end),
            }
        });
        let time = recorder.register_histogram(&key(names::REQUEST_TIME, &[]), &METADATA);
        let requests = Gathered::new(counters, vec![time]);
        Self { requests, retries: counter(recorder, names::RETRIES, &[]) }
    }

    /// Counts the end of a request; status 0: there was no response. `is_complete`: a response of a backend was passed on as
    /// a whole.
    pub(crate) fn request(&self, version: Version, status: u16, took: Duration, is_complete: bool) {
        let version = match version {
            Version::HTTP_10 => 0,
            Version::HTTP_2 => 2,
            _ => 1,
        };
        let class = usize::from(status / 100);
        let kind = (class < CLASSES.len()).then_some(version * CLASSES.len() + class);
        self.requests.note(kind.into_iter().chain(is_complete.then_some(COMPLETE)), took);
    }

    /// Counts what the workers have kept.
    pub(super) fn gather(&self) {
        self.requests.hand_all_on();
    }

    /// A request is sent a second time.
    pub(crate) fn retried(&self) {
        self.retries.increment(1);
    }
}

impl Metrics {
    /// usher has answered a request itself.
    pub(crate) fn http_refused(&self, cause: &'static str) {
        self.count(names::REFUSED, &[("cause", cause)], 1);
    }
}
