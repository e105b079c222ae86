//! Metrics of requests, through handles because there are many per second.

use super::{METADATA, Metrics, counter, key, names};
use http::Version;
use metrics::{Counter, Histogram, Recorder};
use metrics_exporter_prometheus::PrometheusRecorder;
use std::time::Duration;

const VERSIONS: [&str; 3] = ["1.0", "1.1", "2"];
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// Counters and histograms of requests.
pub(crate) struct Http {
    /// By version and class.
    requests: [[Counter; CLASSES.len()]; VERSIONS.len()],
    time: Histogram,
    retries: Counter,
    /// How most requests end.
    complete: Counter,
}

impl Http {
    pub(super) fn new(recorder: &PrometheusRecorder) -> Self {
        let requests = VERSIONS.map(|version| {
            CLASSES.map(|class| counter(recorder, names::REQUESTS, &[("version", version), ("code", class)]))
        });
        let time = recorder.register_histogram(&key(names::REQUEST_TIME, &[]), &METADATA);
        let end = [("protocol", "https"), ("by", "backend"), ("stage", "relay"), ("cause", "complete")];
        let complete = counter(recorder, names::CLOSED, &end);
        Self { requests, time, retries: counter(recorder, names::RETRIES, &[]), complete }
    }

    /// Counts the end of a request; status 0: there was no response.
    pub(crate) fn request(&self, version: Version, status: u16, took: Duration) {
        let version = match version {
            Version::HTTP_10 => 0,
            Version::HTTP_2 => 2,
            _ => 1,
        };
        let counter = self.requests.get(version).and_then(|classes| classes.get(usize::from(status / 100)));
        if let Some(counter) = counter {
            counter.increment(1);
        }
        self.time.record(took.as_secs_f64());
    }

    /// A response was passed on as a whole.
    pub(crate) fn completed(&self) {
        self.complete.increment(1);
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
