//! The host of the fleet that a source means.

use std::net::IpAddr;
use std::sync::Arc;
use usher_backends::directory::Placement;
use usher_backends::roster::{Host, Roster, Service};

/// The name of the host that a placement names by its address, or by a name without its domain. `None`: it is not in
/// the fleet, or the placement has its name already, or several could be meant.
pub(super) fn name(roster: &Roster, placement: &Placement) -> Option<String> {
    if roster.host(&placement.host).is_some() {
        return None;
    }
    let mut at_address = roster.hosts().filter(|host| port(host, &placement.host).is_some());
    let first = at_address.next();
    let found = match (first, at_address.next()) {
        // Another server of the machine is perhaps meant.
        (Some(only), None) => {
            let ports = (placement.port, port(only, &placement.host));
            Some(only).filter(|_| ports.0.is_none() || ports.0 == ports.1)
        }
        (Some(_), Some(_)) => {
            let is_there = |host: &&Arc<Host>| port(host, &placement.host) == placement.port;
            only(roster.hosts().filter(|_| placement.port.is_some()).filter(is_there))
        }
        (None, _) => only(roster.hosts().filter(|host| is_short_for(&placement.host, &host.config.name))),
    };
    found.map(|host| host.config.name.clone())
}

fn only<T>(mut found: impl Iterator<Item = T>) -> Option<T> {
    let first = found.next();
    first.filter(|_| found.next().is_none())
}

/// The port of a host whose mail is at `address`.
fn port(host: &Host, address: &str) -> Option<u16> {
    let (name, port) = host.services.mail(Service::Imap)?.endpoint.address.rsplit_once(':')?;
    let name = name.trim_matches(['[', ']']);
    let is_there = match (name.parse::<IpAddr>(), address.parse::<IpAddr>()) {
        (Ok(one), Ok(other)) => one == other,
        _ => name.eq_ignore_ascii_case(address),
    };
    port.parse().ok().filter(|_| is_there)
}

fn is_short_for(short: &str, name: &str) -> bool {
    !short.contains('.') && name.split('.').next() == Some(short)
}
