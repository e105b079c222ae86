//! The host of the fleet that a source means.

use std::net::IpAddr;
use std::sync::Arc;
use usher_backends::directory::{DirectoryError, Flip};
use usher_backends::roster::{Host, Roster, Service};

/// The name of the host that a directory has `written` as its address, perhaps with the `known` port, or as a name without its
/// domain. `None`: it is not in the fleet, or that is its name already, or several could be meant.
pub(crate) fn name(roster: &Roster, written: &str, known: Option<u16>) -> Option<String> {
    if roster.host(written).is_some() {
        return None;
    }
    let mut at_address = roster.hosts().filter(|host| port(host, written).is_some());
    let first = at_address.next();
    let found = match (first, at_address.next()) {
        // Another server of the machine is perhaps meant.
        (Some(only), None) => {
            let ports = (known, port(only, written));
            Some(only).filter(|_| ports.0.is_none() || ports.0 == ports.1)
        }
        (Some(_), Some(_)) => {
            let is_there = |host: &&Arc<Host>| port(host, written) == known;
            only(roster.hosts().filter(|_| known.is_some()).filter(is_there))
        }
        (None, _) => only(roster.hosts().filter(|host| is_short_for(written, &host.config.name))),
    };
    found.map(|host| host.config.name.clone())
}

/// What a directory may have written for the host called `named`: its name, the same without its domain, and its address as it is
/// configured. Another host may be meant as well.
pub(crate) fn spellings(roster: &Roster, named: &str) -> Vec<String> {
    let mail = roster.host(named).and_then(|host| host.services.mail(Service::Imap));
    let address = mail.and_then(|mail| mail.endpoint.address.rsplit_once(':'));
    let others = [named.split('.').next(), address.map(|(place, _)| place.trim_matches(['[', ']']))];
    let mut all = vec![named.to_owned()];
    for other in others.into_iter().flatten() {
        if !all.iter().any(|known| known == other) {
            all.push(other.to_owned());
        }
    }
    all
}

/// Moves what is on the host called `from` by `flip`, which is told how the directory writes that host: a program of the site's own
/// may write it in another way.
///
/// # Errors
/// As `flip`.
pub(crate) fn flip(
    roster: &Roster,
    from: &str,
    flip: impl Fn(&str) -> Result<Flip, DirectoryError>,
) -> Result<Flip, DirectoryError> {
    match flip(from)? {
        Flip::Elsewhere(Some(written)) if name(roster, &written, None).as_deref() == Some(from) => {
            flip(&written)
        }
        flipped => Ok(flipped),
    }
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
