//! The page that Prometheus reads. What is so at a moment is looked up then, not counted along.

use super::{Labels, Meter, key, names};
use crate::session::Session;
use crate::shared::Shared;
use metrics::{Gauge, Key};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use usher_backends::http::Pool;
use usher_backends::roster::{BackendId, Service, Standing};
use usher_config::snapshot::Protocol;

/// Every word of [`Standing::state`].
const STATES: [&str; 7] = ["up", "returning", "unhealthy", "held", "draining", "drained", "stopped"];

/// The gauges of one page.
struct Page<'m> {
    meter: &'m Meter,
    set: HashMap<Key, Gauge>,
    counted: HashMap<(Arc<str>, Protocol, Arc<str>), u32>,
}

impl Page<'_> {
    fn set(&mut self, name: &'static str, labels: Labels<'_>, value: f64) {
        let gauge = self.meter.gauge(name, labels);
        gauge.set(value);
        self.set.insert(key(name, labels), gauge);
    }

    fn count_session(&mut self, session: &Session) {
        let host = session.backend().map_or_else(|| "".into(), |backend| backend.name);
        let about = &session.about;
        *self.counted.entry((about.listener.clone(), about.protocol, host)).or_default() += 1;
    }
}

impl Meter {
    /// The page as it is now.
    pub(crate) fn page(&self, shared: &Shared) -> String {
        // One page at a time: two would set each other's gauges.
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let mut page = Page { meter: self, set: HashMap::new(), counted: HashMap::new() };
        page.set(names::BUILD, &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        page.set(names::OPEN, &[], f64::from(shared.connections.count()));
        page.set(names::KEPT, &[], shared.web.iter().map(Pool::len).sum::<usize>() as f64);
        page.set(names::HELD, &[], f64::from(shared.held_logins.count()));
        page.set(names::PRESSURE, &[], f64::from(shared.pressure.level()));
        page.set(names::STOPPING, &[], on(shared.is_stopping()));
        page.set(names::SUSPECTED, &[], on(shared.health.suspects_itself()));
        page.set(names::STALE, &[], on(self.stale.load(std::sync::atomic::Ordering::Relaxed)));
        for (chain, ends) in &shared.setting().tls.ends {
            page.set(names::CERTIFICATE, &[("chain", chain)], *ends as f64);
        }
        shared.sessions.for_each(|session| page.count_session(session));
        for ((listener, protocol, host), count) in std::mem::take(&mut page.counted) {
            let labels = [("listener", &*listener), ("protocol", protocol.name()), ("host", &*host)];
            page.set(names::SESSIONS, &labels, f64::from(count));
        }
        for (name, progress) in shared.drains.all() {
            page.set(names::DRAIN_LEFT, &[("host", &name)], f64::from(progress.left));
            page.set(names::DRAIN_BEGAN, &[("host", &name)], f64::from(progress.began_with));
        }
        let roster = shared.fleet.roster();
        for host in roster.hosts() {
            backend(&mut page, shared, &host.id, &host.standing, Service::Imap);
            if host.config.http.is_some() {
                backend(&mut page, shared, &host.id, &host.standing, Service::Http);
            }
        }
        for member in roster.arrays().flat_map(|array| &array.members) {
            if member.config.tcp.is_some() {
                backend(&mut page, shared, &member.id, &member.standing, Service::Tcp);
            }
            if member.config.http.is_some() {
                backend(&mut page, shared, &member.id, &member.standing, Service::Http);
            }
        }
        let set = page.set;
        for (_, gone) in shown.iter().filter(|(key, _)| !set.contains_key(*key)) {
            gone.set(0.0);
        }
        *shown = set;
        metrics::with_local_recorder(&self.recorder, || self.process.collect());
        self.handle.render()
    }
}

fn backend(page: &mut Page<'_>, shared: &Shared, id: &BackendId, standing: &Standing, service: Service) {
    let (host, array) = (&*id.name, id.array.as_deref().unwrap_or_default());
    let now = standing.state(service);
    for state in STATES {
        let labels = [("host", host), ("array", array), ("service", service.name()), ("state", state)];
        page.set(names::STATE, &labels, on(state == now));
    }
    for (hold, holds) in [
        ("operator", standing.holds.operator.is_some()),
        ("agent", standing.holds.agent.hold().is_some()),
        ("boot", standing.holds.boot),
        ("health", !standing.out.is_empty()),
    ] {
        page.set(names::HOLD, &[("host", host), ("array", array), ("hold", hold)], on(holds));
    }
    page.set(names::LEASES, &[("host", host), ("array", array)], f64::from(standing.leases()));
    if let Some(report) = shared.health.report(id, service) {
        let labels = [("host", host), ("array", array), ("service", service.name())];
        page.set(names::CHECK_TIME, &labels, report.took.as_secs_f64());
        if let Some(ends) = report.learnt.certificate_ends {
            page.set(names::HOST_CERTIFICATE, &labels, ends as f64);
        }
    }
}

fn on(is: bool) -> f64 {
    if is { 1.0 } else { 0.0 }
}
