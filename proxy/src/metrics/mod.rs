//! Metrics. Labels are bounded: listeners, hosts and words from closed sets, never a user and never anything that a
//! client chose.

mod gathered;
mod handles;
mod hosts;
mod http;
pub(crate) mod names;
mod page;

use gathered::Gathered;
use handles::Handles;
use hosts::Hosts;
pub(crate) use hosts::Used;
use http::Http;
pub(crate) use page::Page;

use crate::log::{self, Timed};
use crate::tls::ClientStream;
use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder, SharedString, Unit,
};
use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use names::Kind;
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use usher_backends::directory::Found;
use usher_backends::sources::Said;
use usher_config::snapshot::Protocol;

/// Up to ten seconds; most of the buckets are for directory look-ups and other short times.
const BUCKETS: [f64; 15] =
    [0.000_05, 0.000_1, 0.000_25, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// The same of a host: there may be thousands of them.
const HOST_BUCKETS: [f64; 6] = [0.005, 0.025, 0.1, 0.5, 2.5, 10.0];

static METADATA: Metadata<'static> = Metadata::new("usher", Level::INFO, None);

pub(crate) type Labels<'l> = &'l [(&'static str, &'l str)];

/// Bytes relayed, as counted by sessions.
pub(crate) struct Bytes {
    pub(crate) from_client: Counter,
    pub(crate) from_backend: Counter,
}

/// The source that is asked without handles being looked for.
const EMBEDDED: &str = "embedded";
/// What a look-up can come to.
const RESULTS: [&str; 4] = ["found", "nobody", "remembered", "failed"];

/// Metrics of look-ups, by what they came to.
struct Lookups {
    embedded: Gathered<{ RESULTS.len() }>,
    /// That of all sources.
    stage: Histogram,
}

impl Lookups {
    fn new(recorder: &PrometheusRecorder) -> Self {
        let results = RESULTS
            .map(|result| counter(recorder, names::LOOKUPS, &[("source", EMBEDDED), ("result", result)]));
        let histogram = |name, labels| recorder.register_histogram(&key(name, labels), &METADATA);
        let time = histogram(names::LOOKUP_TIME, &[("source", EMBEDDED)]);
        let stage = histogram(names::STAGE_TIME, &[("stage", "directory")]);
        Self { embedded: Gathered::new(results, vec![time, stage.clone()]), stage }
    }
}

/// Counts everything.
pub(crate) struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    process: metrics_process::Collector,
    pub(crate) bytes: Bytes,
    pub(crate) http: Http,
    hosts: Hosts,
    lookups: Lookups,
    counters: Handles<Counter>,
    histograms: Handles<Histogram>,
    stale: AtomicBool,
    /// Gauges of the last page, so that those that are gone can be set to zero.
    shown: Mutex<HashMap<Key, Gauge>>,
}

impl Metrics {
    /// All metrics, at zero.
    ///
    /// # Errors
    /// The exporter's.
    pub(crate) fn new() -> Result<Self, BuildError> {
        let builder = PrometheusBuilder::new().set_buckets(&BUCKETS)?;
        let of_a_host = Matcher::Prefix("usher_host_".to_owned());
        let recorder = builder.set_buckets_for_metric(of_a_host, &HOST_BUCKETS)?.build_recorder();
        for (name, kind, help) in names::ALL {
            let (key, help) = (KeyName::from(*name), SharedString::const_str(help));
            match kind {
                Kind::Counter => recorder.describe_counter(key, None, help),
                Kind::Gauge => recorder.describe_gauge(key, None, help),
                Kind::Histogram => recorder.describe_histogram(key, Some(Unit::Seconds), help),
            }
        }
        let process = metrics_process::Collector::default();
        metrics::with_local_recorder(&recorder, || process.describe());
        let handle = recorder.handle();
        let bytes = Bytes {
            from_client: counter(&recorder, names::BYTES, &[("from", "client")]),
            from_backend: counter(&recorder, names::BYTES, &[("from", "backend")]),
        };
        let http = Http::new(&recorder);
        let stale = AtomicBool::new(false);
        let lookups = Lookups::new(&recorder);
        let (counters, histograms, hosts) = (Handles::default(), Handles::default(), Hosts::default());
        let shown = Mutex::default();
        let metrics = Self {
            recorder,
            handle,
            process,
            bytes,
            http,
            hosts,
            lookups,
            counters,
            histograms,
            stale,
            shown,
        };
        metrics.begin_at_zero();
        Ok(metrics)
    }

    /// Rates and alerts count the first event only if there was a zero before it.
    fn begin_at_zero(&self) {
        for protocol in ["imap", "imaps"] {
            for mechanism in [
                "login-command",
                "PLAIN",
                "LOGIN",
                "XOAUTH2",
                "OAUTHBEARER",
                "EXTERNAL",
                "SCRAM-SHA-1",
                "SCRAM-SHA-256",
            ] {
                for result in
                    ["ok", "refused", "unknown-user", "unavailable", "denied", "held-off", "ended", "aborted"]
                {
                    self.count(
                        names::LOGINS,
                        &[("protocol", protocol), ("mechanism", mechanism), ("result", result)],
                        0,
                    );
                }
            }
        }
        for by in ["source", "user", "known", "crowd", "operator", "rate", "sessions"] {
            self.count(names::HELD_OFF, &[("by", by)], 0);
        }
        for protocol in ["imap", "imaps", "https"] {
            self.count(names::GUESSES, &[("protocol", protocol)], 0);
        }
        self.count(names::DELAYED, &[], 0);
        for result in ["applied", "refused"] {
            self.count(names::RELOADS, &[("result", result)], 0);
        }
        // The start counts as a reload.
        self.gauge(names::RELOADED, &[]).set(1.0);
        self.gauge(names::RELOADED_AT, &[]).set(usher_backends::roster::now() as f64);
    }

    /// Counts connections to a listener with this result.
    pub(crate) fn connections(&self, listener: &str, protocol: Protocol, result: &'static str) -> Counter {
        let labels = [("listener", listener), ("protocol", protocol.name()), ("result", result)];
        counter(&self.recorder, names::CONNECTIONS, &labels)
    }

    /// A handshake with a client; `None`: it failed.
    pub(crate) fn handshake(&self, stream: Option<&ClientStream>, took: Duration) {
        let (version, kind) = stream.map_or(("none", "failed"), |stream| {
            (stream.tls_version(), if stream.is_resumed() { "resumed" } else { "full" })
        });
        self.count_words(names::HANDSHAKES, [("version", version), ("kind", kind)]);
        self.stage("tls", took);
    }

    /// A directory look-up.
    pub(crate) fn lookup(&self, said: &Said, took: Duration) {
        let result = match &said.found {
            Ok(Found::Now(Some(_))) => 0,
            Ok(Found::Now(None)) => 1,
            Ok(Found::Remembered(_)) => 2,
            Err(_) => 3,
        };
        if said.source != EMBEDDED {
            return self.lookup_elsewhere(said.source, result, took);
        }
        let stale = !matches!(said.found, Ok(Found::Now(_)));
        // Mostly it is as it was, and nobody else's processor has to hear of it.
        if self.stale.load(Ordering::Relaxed) != stale && self.stale.swap(stale, Ordering::Relaxed) != stale {
            match stale {
                true => tracing::error!("the directory cannot be read; last known answers are used"),
                false => tracing::warn!("the directory can be read again"),
            }
        }
        self.lookups.embedded.note([result], took);
    }

    /// Of a source that is elsewhere, which itself says when it is out.
    fn lookup_elsewhere(&self, source: &'static str, result: usize, took: Duration) {
        let result = RESULTS.get(result).copied().unwrap_or_default();
        self.count(names::LOOKUPS, &[("source", source), ("result", result)], 1);
        let time =
            self.recorder.register_histogram(&key(names::LOOKUP_TIME, &[("source", source)]), &METADATA);
        time.record(took.as_secs_f64());
        self.lookups.stage.record(took.as_secs_f64());
    }

    /// The outcome of a login.
    pub(crate) fn login(
        &self,
        protocol: Protocol,
        mechanism: &'static str,
        result: &'static str,
        took: Duration,
    ) {
        let labels = [("protocol", protocol.name()), ("mechanism", mechanism), ("result", result)];
        self.count_words(names::LOGINS, labels);
        self.time(names::LOGIN_TIME, [("result", result)], took);
    }

    /// A login, a request or a connection that access rules deny, because of its address, the name that it shows, or
    /// the directory's entry of that name.
    pub(crate) fn access_denied(&self, protocol: Protocol, by: &'static str) {
        self.count_words(names::DENIED, [("protocol", protocol.name()), ("by", by)]);
    }

    /// An order of a certificate; `Err`: at which stage it has failed, a word of a closed set.
    pub(crate) fn acme_order(&self, result: Result<(), &'static str>) {
        self.count_words(names::ORDERS, [("result", result.err().unwrap_or("ok"))]);
    }

    /// A failed login that counts as a guess.
    pub(crate) fn guess_failed(&self, protocol: Protocol) {
        self.count_words(names::GUESSES, [("protocol", protocol.name())]);
    }

    /// A login has to wait because others have failed.
    pub(crate) fn guess_delayed(&self) {
        self.count_words(names::DELAYED, []);
    }

    /// A login is refused untried; `by` is a word of a closed set.
    pub(crate) fn guess_refused(&self, by: &'static str) {
        self.count_words(names::HELD_OFF, [("by", by)]);
    }

    /// A host has referred somebody to another one.
    pub(crate) fn stale_entry(&self) {
        self.count(names::STALE_ENTRIES, &[], 1);
    }

    /// Somebody else was told where a user is.
    pub(crate) fn answered(&self, protocol: &'static str, result: &'static str) {
        self.count_words(names::ANSWERED, [("protocol", protocol), ("result", result)]);
    }

    /// A stage of a connection.
    pub(crate) fn stage(&self, stage: &'static str, took: Duration) {
        self.time(names::STAGE_TIME, [("stage", stage)], took);
    }

    /// A connection to a host that is ready for a login, or for bytes.
    pub(crate) fn connected(&self, host: &str, took: Duration) {
        tracing::debug!(host, milliseconds = took.as_secs_f64() * 1e3, "connected");
        self.stage("connect", took);
        log::slow(&Timed { stage: "connect", host, user: "", session: &"", took });
    }

    /// A connection to a host failed.
    pub(crate) fn connect_failed(&self, host: &str, stage: &'static str) {
        self.count(names::CONNECT_FAILURES, &[("host", host), ("stage", stage)], 1);
    }

    /// A health check.
    pub(crate) fn checked(&self, host: &str, service: &'static str, good: bool) {
        let result = if good { "good" } else { "failed" };
        self.count(names::CHECKS, &[("host", host), ("service", service), ("result", result)], 1);
    }

    /// The end of a connection.
    pub(crate) fn closed(
        &self,
        protocol: Protocol,
        by: &'static str,
        stage: &'static str,
        cause: &'static str,
    ) {
        let labels = [("protocol", protocol.name()), ("by", by), ("stage", stage), ("cause", cause)];
        self.count_words(names::CLOSED, labels);
    }

    /// A reload.
    pub(crate) fn reloaded(&self, applied: bool) {
        let result = if applied { "applied" } else { "refused" };
        self.count(names::RELOADS, &[("result", result)], 1);
        self.gauge(names::RELOADED, &[]).set(if applied { 1.0 } else { 0.0 });
        if applied {
            self.gauge(names::RELOADED_AT, &[]).set(usher_backends::roster::now() as f64);
        }
    }

    /// Must be called regularly, so that histograms do not grow.
    pub(crate) fn tidy_up(&self) {
        self.gather();
        self.handle.run_upkeep();
    }

    /// Counts what the workers have kept.
    fn gather(&self) {
        self.lookups.embedded.hand_all_on();
        self.http.gather();
    }

    fn count(&self, name: &'static str, labels: Labels<'_>, by: u64) {
        counter(&self.recorder, name, labels).increment(by);
    }

    fn count_words<const N: usize>(&self, name: &'static str, labels: [(&'static str, &'static str); N]) {
        let make = |labels: &[_]| counter(&self.recorder, name, labels);
        self.counters.with(name, labels, make, |counter| counter.increment(1));
    }

    fn time<const N: usize>(
        &self,
        name: &'static str,
        labels: [(&'static str, &'static str); N],
        took: Duration,
    ) {
        let make = |labels: &[_]| self.recorder.register_histogram(&key(name, labels), &METADATA);
        self.histograms.with(name, labels, make, |histogram| histogram.record(took.as_secs_f64()));
    }

    fn gauge(&self, name: &'static str, labels: Labels<'_>) -> Gauge {
        self.recorder.register_gauge(&key(name, labels), &METADATA)
    }
}

fn counter(recorder: &PrometheusRecorder, name: &'static str, labels: Labels<'_>) -> Counter {
    recorder.register_counter(&key(name, labels), &METADATA)
}

fn key(name: &'static str, labels: Labels<'_>) -> Key {
    let labels: Vec<_> = labels.iter().map(|(key, value)| Label::new(*key, (*value).to_owned())).collect();
    Key::from_parts(name, labels)
}
