//! Which services of a roster are watched, and by which rules.

use crate::roster::{BackendId, Roster, Service};
use usher_config::health::{HealthPolicy, HttpProbe, ImapProbe, TcpProbe};

/// A service as the roster has it.
pub(super) struct ProbeTarget<'r> {
    pub(super) id: &'r BackendId,
    pub(super) service: Service,
    pub(super) policy: &'r HealthPolicy,
    /// Where it is; a different place is a different service.
    pub(super) place: String,
    pub(super) agent: Option<&'r String>,
}

/// Every service of the roster.
pub(super) fn services(roster: &Roster) -> Vec<ProbeTarget<'_>> {
    let mut services = Vec::new();
    for host in roster.hosts() {
        let (id, config, policy) = (&host.id, &host.config, &host.config.health);
        let (pins, agent) = (&config.pins, policy.agent.as_ref());
        let places =
            config.services.map(|mail| format!("{mail:?}{pins:?}"), |http| format!("{http:?}{pins:?}"));
        for (service, place) in places.each() {
            services.push(ProbeTarget { id, service, policy, place, agent });
        }
    }
    for array in roster.arrays() {
        let policy = &array.config.health;
        for member in &array.members {
            let (id, config) = (&member.id, &member.config);
            let agent = config.agent.as_ref();
            if let Some(tcp) = &config.tcp {
                let place = format!("{tcp:?}{:?}", array.config.probe_port);
                services.push(ProbeTarget { id, service: Service::Tcp, policy, place, agent });
            }
            if let Some(http) = &config.http {
                let place = format!("{http:?}{:?}", config.pins);
                services.push(ProbeTarget { id, service: Service::Http, policy, place, agent });
            }
        }
    }
    services
}

/// Whether it is probed at all.
pub(super) fn is_probed(policy: &HealthPolicy, service: Service) -> bool {
    match service {
        Service::Imap => policy.imap != ImapProbe::None,
        Service::Http => policy.http != HttpProbe::None,
        Service::Tcp => policy.tcp != TcpProbe::None,
    }
}
