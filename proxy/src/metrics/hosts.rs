//! Metrics of each host, through handles that are found by its name.

use super::{Labels, METADATA, Metrics, counter, key, names};
use dashmap::DashMap;
use foldhash::fast::RandomState;
use metrics::{Counter, Histogram, Recorder};
use metrics_exporter_prometheus::PrometheusRecorder;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The handles of all hosts that have been used, which are as many as have ever been configured.
#[derive(Default)]
pub(super) struct Hosts(DashMap<String, Host, RandomState>);

/// Of one host.
struct Host {
    logins: Histogram,
    requests: Histogram,
    from_client: Counter,
    from_backend: Counter,
    broken: Counter,
    errors: Counter,
    uses: AtomicU64,
}

impl Host {
    fn new(recorder: &PrometheusRecorder, name: &str) -> Self {
        let histogram =
            |metric: &'static str| recorder.register_histogram(&key(metric, &[("host", name)]), &METADATA);
        let count = |metric: &'static str, label: &'static str, word: &'static str| {
            let labels: Labels<'_> = &[("host", name), (label, word)];
            counter(recorder, metric, labels)
        };
        Self {
            logins: histogram(names::HOST_LOGIN_TIME),
            requests: histogram(names::HOST_REQUEST_TIME),
            from_client: count(names::HOST_BYTES, "from", "client"),
            from_backend: count(names::HOST_BYTES, "from", "backend"),
            broken: count(names::HOST_FAILURES, "kind", "broken"),
            errors: count(names::HOST_FAILURES, "kind", "5xx"),
            uses: AtomicU64::new(0),
        }
    }
}

/// What a session or a request came to at its host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Used {
    /// Bytes that the client sent after login.
    pub(crate) from_client: u64,
    /// Bytes that the host sent.
    pub(crate) from_backend: u64,
    /// The host broke it off.
    pub(crate) is_broken: bool,
}

impl Metrics {
    /// A login at `host` has been answered by it; `took` is its own time, without the client's in a conversation.
    pub(crate) fn host_login(&self, host: &str, took: Option<Duration>) {
        self.with_host(host, |host| {
            took.iter().for_each(|took| host.logins.record(took.as_secs_f64()));
            host.uses.fetch_add(1, Ordering::Relaxed);
        });
    }

    /// A request at `host` is over; status 0: there was no response.
    pub(crate) fn host_request(&self, host: &str, status: u16, took: Duration, used: Used) {
        self.with_host(host, |host| {
            host.requests.record(took.as_secs_f64());
            host.uses.fetch_add(1, Ordering::Relaxed);
            if status >= 500 {
                host.errors.increment(1);
            }
            host.note(used);
        });
    }

    /// A session at `host` is over.
    pub(crate) fn host_session(&self, host: &str, used: Used) {
        self.with_host(host, |host| host.note(used));
    }

    /// Logins and requests that `host` has had.
    pub(crate) fn uses(&self, host: &str) -> u64 {
        self.hosts.0.get(host).map_or(0, |host| host.uses.load(Ordering::Relaxed))
    }

    fn with_host(&self, name: &str, note: impl FnOnce(&Host)) {
        // Nearly always it is there, and its name need not be copied.
        if let Some(host) = self.hosts.0.get(name) {
            return note(&host);
        }
        if !name.is_empty() {
            note(&self.hosts.0.entry(name.to_owned()).or_insert_with(|| Host::new(&self.recorder, name)));
        }
    }
}

impl Host {
    fn note(&self, used: Used) {
        self.from_client.increment(used.from_client);
        self.from_backend.increment(used.from_backend);
        if used.is_broken {
            self.broken.increment(1);
        }
    }
}
