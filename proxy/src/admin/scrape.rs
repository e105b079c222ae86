//! What the Prometheus page shows in addition to counters: the current state of everything, read at scrape time.

use super::Context;
use crate::metrics::{Page, names};
use crate::version::{COMMIT, VERSION};
use std::collections::HashMap;
use std::sync::Arc;
use usher_backends::http::Pool;
use usher_backends::roster::{BackendId, Service, ServiceState, Standing};
use usher_backends::sources::Health;
use usher_config::snapshot::Protocol;

impl Context {
    /// The page as it is now.
    pub(super) fn scrape(&self) -> String {
        self.metrics.page(|page| {
            self.show_itself(page);
            self.show_sessions(page);
            self.show_guessing(page);
            self.show_backends(page);
        })
    }

    fn show_itself(&self, page: &mut Page<'_>) {
        page.set(names::BUILD, &[("version", VERSION), ("commit", COMMIT)], 1.0);
        page.set(names::OPEN, &[], f64::from(self.admission.connections.count()));
        let kept = self.https.web.pools().iter().map(Pool::len).sum::<usize>();
        page.set(names::KEPT, &[], kept as f64);
        page.set(names::HELD, &[], f64::from(self.held_logins.count()));
        page.set(names::FORMER, &[], self.formers.count() as f64);
        page.set(names::PRESSURE, &[], f64::from(self.memory.level()));
        page.set(names::STOPPING, &[], on(self.shutdown.has_begun()));
        page.set(names::SUSPECTED, &[], on(self.health.suspects_itself()));
        let standings = self.router.sources.standings();
        let is_stale = standings.iter().any(|standing| standing.is_stale);
        page.set(names::STALE, &[], on(is_stale || self.metrics.is_directory_stale()));
        for standing in &standings {
            let source = [("source", standing.name)];
            let is_down = matches!(standing.health, Some(Health::Down { .. }));
            page.set(names::SOURCE_UP, &source, on(!is_down));
            if standing.health.is_some() {
                page.set(names::SOURCE_REMEMBERED, &source, standing.remembered as f64);
            }
        }
        let active = self.config.load();
        for (chain, ends) in active.tls.ends.iter().chain(&self.keeper.acquired.ends()) {
            page.set(names::CERTIFICATE, &[("chain", chain)], *ends as f64);
        }
        if active.snapshot.acme.is_some() {
            page.set(names::FAILING, &[], self.keeper.states.failing() as f64);
        }
        for (name, progress) in self.drains.all() {
            page.set(names::DRAIN_LEFT, &[("host", &name)], f64::from(progress.left));
            page.set(names::DRAIN_BEGAN, &[("host", &name)], f64::from(progress.began_with));
        }
    }

    fn show_sessions(&self, page: &mut Page<'_>) {
        let mut counted: HashMap<(Arc<str>, Protocol, Arc<str>), u32> = HashMap::new();
        self.sessions.for_each(|session| {
            let host = session.backend().map_or_else(|| "".into(), |backend| backend.name);
            let about = &session.about;
            *counted.entry((about.listener.clone(), about.protocol, host)).or_default() += 1;
        });
        for ((listener, protocol, host), count) in counted {
            let labels = [("listener", &*listener), ("protocol", protocol.name()), ("host", &*host)];
            page.set(names::SESSIONS, &labels, f64::from(count));
        }
    }

    fn show_guessing(&self, page: &mut Page<'_>) {
        page.set(names::GUESSING_RECORDS, &[], self.guessing.remembered() as f64);
        for (kind, count) in self.guessing.count_bans() {
            page.set(names::BANS, &[("whose", kind)], count as f64);
        }
    }

    fn show_backends(&self, page: &mut Page<'_>) {
        let roster = self.fleet.roster();
        for host in roster.hosts() {
            for service in host.services.offered() {
                self.show_backend(page, &host.id, &host.standing, service);
            }
        }
        for member in roster.arrays().flat_map(|array| &array.members) {
            if member.config.tcp.is_some() {
                self.show_backend(page, &member.id, &member.standing, Service::Tcp);
            }
            if member.config.http.is_some() {
                self.show_backend(page, &member.id, &member.standing, Service::Http);
            }
        }
    }

    fn show_backend(&self, page: &mut Page<'_>, id: &BackendId, standing: &Standing, service: Service) {
        let (host, array) = (&*id.name, id.array.as_deref().unwrap_or_default());
        let now = standing.state(service);
        for state in ServiceState::ALL {
            let labels =
                [("host", host), ("array", array), ("service", service.name()), ("state", state.name())];
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
        if let Some(report) = self.health.report(id, service) {
            let labels = [("host", host), ("array", array), ("service", service.name())];
            page.set(names::CHECK_TIME, &labels, report.took.as_secs_f64());
            if let Some(ends) = report.learnt.certificate_ends {
                page.set(names::HOST_CERTIFICATE, &labels, ends as f64);
            }
        }
    }
}

fn on(is: bool) -> f64 {
    if is { 1.0 } else { 0.0 }
}
