//! Turns tables into checked values, one file per section, and reports all faults at once.

mod access;
mod acme;
mod admin;
mod array;
mod certificate;
mod directory;
mod domain;
mod guessing;
mod health;
mod host;
mod https;
mod limits;
mod listener;
mod log;
mod login;
mod lookup;
mod server;
mod tls;
mod tracing;

pub(crate) use admin::SOCKET;

use crate::fault::Fault;
use crate::raw::{Item, Located, Section, Shape, Trace};
use crate::snapshot::{InstanceHost, Snapshot};
use ipnet::IpNet;
use std::collections::HashMap;
use std::net::SocketAddr;
use toml::de::DeTable;
use usher_wire::imap::sasl::Mechanism;

type Faults = Vec<Fault>;

/// Addresses that are taken.
type Taken = HashMap<SocketAddr, ()>;

/// Most syntax errors shown. Later ones are often consequences of the first.
const SYNTAX_SHOWN: usize = 3;

pub(crate) fn check(text: &str) -> Result<Snapshot, Vec<Fault>> {
    let document = parse(text)?;
    read(Section::new("the file", document.get_ref(), 0..0))
}

/// Everything that may be written, as far as reading these texts shows it: some keys are asked for only where others have
/// a certain value.
pub(crate) fn shape(texts: &[&str]) -> Shape {
    let trace = Trace::default();
    for text in texts {
        let (document, _) = DeTable::parse_recoverable(text);
        // What is at fault in it is of no interest.
        let _ = read(Section::traced(document.get_ref(), trace.clone()));
    }
    trace.shape()
}

fn read(mut file: Section<'_>) -> Result<Snapshot, Vec<Fault>> {
    let mut faults = Faults::new();
    let server = server::check(&mut file, &mut faults);
    let state_dir = server.as_ref().map(|server| server.state_dir.clone()).unwrap_or_default();
    let admin = admin::check(&mut file, &state_dir, &mut faults);
    let log = log::check(&mut file, &mut faults);
    let tracing = tracing::check(&mut file, &mut faults);
    let (listeners, lookups) = listener::check(&mut file, &mut faults);
    admin::tell_if_taken(&admin, &listeners, &mut faults);
    let certificates = certificate::check(&mut file, &mut faults);
    let tls = tls::check(&mut file, &mut faults);
    let acme = acme::check(&mut file, &listeners, &mut faults);
    let hosts = host::check(&mut file, &mut faults);
    let arrays = array::check(&mut file, &listeners, &mut faults);
    let limits = limits::check(&mut file, &mut faults);
    let domain::Checked { mut domains, oauth, mechanisms: domain_mechanisms } =
        domain::check(&mut file, &mut faults);
    login::check(&mut file, &mut domains, &mut faults);
    let guessing = guessing::check(&mut file, &mut faults);
    let access = access::check(&mut file, &domains, &mut faults);
    let https = https::check(&mut file, &listeners, &arrays, &domains, &mut faults);
    let client_setup = https::client_setup(&mut file, &listeners, &mut faults);
    let directory = directory::check(&mut file, &hosts, &domains, &mut faults);
    file.finish(&mut faults);
    match server {
        Some(server) if faults.is_empty() => acme::has_names(Snapshot {
            server,
            admin,
            log,
            tracing,
            listeners,
            certificates,
            tls,
            acme,
            hosts,
            arrays,
            https,
            client_setup,
            limits,
            access,
            guessing: guessing.into(),
            lookups,
            directory,
            oauth,
            domain_mechanisms,
            domains,
        }),
        _ => {
            faults.sort_by_key(|fault| fault.span.start);
            Err(faults)
        }
    }
}

pub(crate) fn check_host(text: &str) -> Result<InstanceHost, Vec<Fault>> {
    let document = parse(text)?;
    let mut faults = Faults::new();
    let mut file = Section::new("the host", document.get_ref(), 0..0);
    let mut hosts = host::check(&mut file, &mut faults);
    file.finish(&mut faults);
    match hosts.pop() {
        Some(host) if faults.is_empty() => Ok(host),
        _ => {
            faults.sort_by_key(|fault| fault.span.start);
            Err(faults)
        }
    }
}

fn parse(text: &str) -> Result<toml::Spanned<DeTable<'_>>, Vec<Fault>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let fault = |error: &toml::de::Error| {
        let span = error.span().unwrap_or(0..0);
        Fault::new(
            span,
            error.message().to_owned(),
            "this is not valid TOML; check the quotes and brackets here",
        )
    };
    if errors.is_empty() { Ok(document) } else { Err(errors.iter().take(SYNTAX_SHOWN).map(fault).collect()) }
}

/// A list of networks.
fn networks(items: &[Item<'_>], faults: &mut Faults) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for item in items {
        let Some(text) = item.text(faults) else { continue };
        match text.value.parse().or_else(|_| text.value.parse().map(|ip: std::net::IpAddr| IpNet::from(ip))) {
            Ok(network) => networks.push(network),
            Err(_) => faults.push(text.fault(
                "not a network",
                "write a network such as \"10.0.0.0/8\" or \"2001:db8::/32\", or one address",
            )),
        }
    }
    networks
}

/// The mechanisms in the list `mechanisms`, by the words of the file; `None`: there is no such list.
fn mechanisms(section: &mut Section<'_>, faults: &mut Faults) -> Option<Vec<Mechanism>> {
    let written = section.given_list("mechanisms", faults)?;
    let mut mechanisms = Vec::new();
    for item in &written {
        let Some(text) = item.text(faults) else { continue };
        let word = text.value.to_ascii_lowercase();
        match Mechanism::OFFERED.into_iter().find(|known| known.rule_name() == word) {
            Some(mechanism) if mechanisms.contains(&mechanism) => {}
            Some(mechanism) => mechanisms.push(mechanism),
            None => faults.push(text.fault(
                format!("`mechanisms` cannot have \"{}\"", text.value.escape_debug()),
                format!("write {}", Mechanism::OFFERED.map(Mechanism::rule_name).join(", ")),
            )),
        }
    }
    Some(mechanisms)
}

/// A host name by its form: labels of letters, digits and hyphens (RFC 1123 section 2.1), or an address.
fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

/// A host name or an address, with a port.
fn is_host_and_port(address: &str) -> bool {
    if address.parse::<SocketAddr>().is_ok_and(|address| address.port() != 0) {
        return true;
    }
    match address.rsplit_once(':') {
        Some((host, port)) => is_host_name(host) && port.parse::<u16>().is_ok_and(|port| port != 0),
        None => false,
    }
}

/// Reports `value` if it has been seen before.
fn unique<T: std::hash::Hash + Eq>(
    seen: &mut HashMap<T, ()>,
    value: T,
    place: &Located<String>,
    what: &str,
    faults: &mut Faults,
) {
    if seen.insert(value, ()).is_some() {
        let shown = place.value.escape_debug();
        faults.push(place.fault(format!("{what} \"{shown}\" appears twice"), "remove one of the two"));
    }
}
