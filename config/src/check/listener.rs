//! `[[listener]]`.

use super::{Faults, Taken, lookup, mechanisms, networks, unique};
use crate::fault::Fault;
use crate::https::ClientCa;
use crate::raw::{Item, Located, Section};
use crate::snapshot::{
    HttpsListener, ImapListener, Listener, LookupListener, Offered, Protocol, RedirectListener, Serves,
    TcpListener,
};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use usher_wire::imap::capability::may_be_offered;
use usher_wire::imap::sasl::Mechanism;

const ADDRESS: &str = "write an address and a port such as \"[::]:993\" or \"192.0.2.1:993\"";

pub(super) fn check(file: &mut Section<'_>, faults: &mut Faults) -> (Vec<Listener>, Vec<LookupListener>) {
    let sections = file.many("listener", faults);
    let is_lookup = |section: &Section<'_>| section.says("protocol", "lookup");
    if sections.iter().all(is_lookup) {
        let instead = "add `[[listener]]` with `protocol = \"imaps\"` and `address = \"[::]:993\"`";
        faults.push(Fault::new(0..0, "there is no [[listener]], so nobody could connect", instead));
    }
    let mut seen = Taken::new();
    let (mut listeners, mut lookups) = (Vec::new(), Vec::new());
    for mut section in sections {
        let spoken = match protocol(&mut section, faults) {
            Some(Spoken::Lookup) => {
                let checked = lookup::check(section, &mut seen, &lookups, faults);
                lookups.extend(checked);
                continue;
            }
            Some(Spoken::By(protocol)) => Some(protocol),
            None => None,
        };
        one(section, spoken, &mut seen, &mut listeners, faults);
    }
    (listeners, lookups)
}

fn one(
    mut section: Section<'_>,
    protocol: Option<Protocol>,
    seen: &mut Taken,
    listeners: &mut Vec<Listener>,
    faults: &mut Faults,
) -> Option<()> {
    let span = section.span.clone();
    let address = address(&mut section, protocol, seen, faults);
    let redirected = redirected(&mut section, protocol, faults);
    let array = array(&mut section, protocol, faults);
    let capabilities = capabilities(&mut section, protocol, faults);
    let plaintext_from = plaintext_from(&mut section, protocol, faults);
    let (mechanisms, client_ca) = of_imap(&mut section, protocol, faults);
    let proxy_from = proxy_from(&mut section, faults);
    let strict_sni = section.optional("strict_sni", faults).is_some_and(|strict| strict.value);
    let (hsts, redirect) = of_https(&mut section, protocol, seen, faults);
    section.finish(faults);
    let (address, last_port) = address?;
    refuse_overlap((address, last_port), &span, listeners, faults);
    let protocol = protocol?;
    let imap = |plaintext_from| {
        let imap = ImapListener { plaintext_from, capabilities, mechanisms, client_ca, strict_sni };
        Serves::Imap(Arc::new(imap))
    };
    let serves = match protocol {
        Protocol::Imap => imap(Some(plaintext_from)),
        Protocol::Imaps => imap(None),
        Protocol::Https => Serves::Https(Arc::new(HttpsListener { hsts, strict_sni })),
        Protocol::Tcp => {
            Serves::Tcp(Arc::new(TcpListener { array: array.unwrap_or_default(), last_port, redirected }))
        }
        // Derived from the HTTPS listener below.
        Protocol::HttpRedirect => return None,
    };
    let listener = Listener { address, serves, proxy_from: proxy_from.clone(), span: span.clone() };
    if let Some(from) = redirect {
        let serves = Serves::HttpRedirect(RedirectListener { redirect_to: address.port() });
        listeners.push(Listener { address: from, serves, proxy_from, span });
    }
    listeners.push(listener);
    Some(())
}

/// What is spoken: by clients, or by others who want to know where a user is.
#[derive(Clone, Copy)]
enum Spoken {
    By(Protocol),
    Lookup,
}

fn protocol(section: &mut Section<'_>, faults: &mut Faults) -> Option<Spoken> {
    let words = [
        ("imap", Spoken::By(Protocol::Imap)),
        ("imaps", Spoken::By(Protocol::Imaps)),
        ("https", Spoken::By(Protocol::Https)),
        ("tcp", Spoken::By(Protocol::Tcp)),
        ("lookup", Spoken::Lookup),
    ];
    section.demand("protocol", "\"imaps\"", faults);
    section.word("protocol", &words, faults)
}

/// The address, and the last port of a range.
fn address(
    section: &mut Section<'_>,
    protocol: Option<Protocol>,
    seen: &mut Taken,
    faults: &mut Faults,
) -> Option<(SocketAddr, u16)> {
    let written: Located<String> = section.required("address", "\"[::]:993\"", faults)?;
    let Some((address, last_port)) = range(&written.value) else {
        faults.push(written.fault("`address` is not an address with a port", ADDRESS));
        return None;
    };
    if last_port != address.port() && protocol.is_some_and(|protocol| protocol != Protocol::Tcp) {
        faults.push(written.fault("only `tcp` listens on a range of ports", ADDRESS));
    }
    for port in address.port()..=last_port {
        let before = faults.len();
        unique(seen, SocketAddr::new(address.ip(), port), &written, "the address", faults);
        if faults.len() > before {
            break;
        }
    }
    Some((address, last_port))
}

fn redirected(section: &mut Section<'_>, protocol: Option<Protocol>, faults: &mut Faults) -> bool {
    let redirected: Option<Located<bool>> = section.optional("redirected", faults);
    if let (Some(Protocol::Imap | Protocol::Imaps | Protocol::Https), Some(redirected)) =
        (protocol, &redirected)
    {
        faults.push(redirected.fault("only `tcp` has redirected ports", "remove it"));
    }
    redirected.is_some_and(|redirected| redirected.value)
}

fn array(section: &mut Section<'_>, protocol: Option<Protocol>, faults: &mut Faults) -> Option<String> {
    let array: Option<Located<String>> = match protocol {
        Some(Protocol::Tcp) => section.required("array", "\"rpc\"", faults),
        Some(_) | None => section.optional("array", faults),
    };
    if let (Some(Protocol::Imap | Protocol::Imaps | Protocol::Https), Some(array)) = (protocol, &array) {
        let instead = "write `protocol = \"tcp\"`, or remove it: users go to their own hosts; requests that \
                       name nobody go to the array of [https]";
        faults.push(array.fault("only `tcp` spreads over an array", instead));
    }
    array.map(|array| array.value)
}

fn plaintext_from(section: &mut Section<'_>, protocol: Option<Protocol>, faults: &mut Faults) -> Vec<IpNet> {
    let written: Vec<Item<'_>> = section.list("plaintext_from", faults);
    let networks = networks(&written, faults);
    if let Some(Protocol::Imaps | Protocol::Https | Protocol::Tcp) = protocol
        && let Some(first) = written.first()
    {
        let what = "`plaintext_from` makes no sense on a listener without STARTTLS";
        let instead = "move it to the listener with `protocol = \"imap\"`";
        faults.push(Fault::new(first.span.clone(), what, instead));
    }
    networks
}

/// `mechanisms` and `client_ca`.
fn of_imap(
    section: &mut Section<'_>,
    protocol: Option<Protocol>,
    faults: &mut Faults,
) -> (Option<Vec<Mechanism>>, Option<ClientCa>) {
    let span = section.span.clone();
    let mechanisms = mechanisms(section, faults);
    let client_ca: Option<Located<String>> = section.optional("client_ca", faults);
    let is_imap = matches!(protocol, None | Some(Protocol::Imap | Protocol::Imaps));
    if !is_imap && (mechanisms.is_some() || client_ca.is_some()) {
        let instead = "move them to a listener for IMAP; `client_ca` for HTTPS is in [https]";
        faults.push(Fault::new(span.clone(), "`mechanisms` and `client_ca` belong to IMAP", instead));
    }
    let is_external = mechanisms.as_ref().is_some_and(|listed| listed.contains(&Mechanism::External));
    if is_external && client_ca.is_none() {
        let instead = "add `client_ca = \"/etc/usher/users-ca.pem\"`";
        faults.push(Fault::new(span, "`external` needs certificates of clients", instead));
    }
    (mechanisms, client_ca.map(|file| ClientCa { file: file.value.into(), span: file.span }))
}

fn proxy_from(section: &mut Section<'_>, faults: &mut Faults) -> Option<Vec<IpNet>> {
    let mut inner = section.table("proxy_protocol", "{ from = [\"10.0.0.0/8\"] }", faults)?;
    let span = inner.span.clone();
    let from = networks(&inner.list("from", faults), faults);
    inner.finish(faults);
    if from.is_empty() {
        let instead = "write `proxy_protocol = { from = [\"10.0.0.0/8\"] }` with the load balancer's network";
        faults.push(Fault::new(span, "`proxy_protocol` needs at least one trusted sender", instead));
    }
    Some(from)
}

/// `hsts` and `redirect_from`.
fn of_https(
    section: &mut Section<'_>,
    protocol: Option<Protocol>,
    seen: &mut Taken,
    faults: &mut Faults,
) -> (Option<Duration>, Option<SocketAddr>) {
    let hsts: Option<Located<Duration>> = section.optional("hsts", faults);
    let redirect: Option<Located<String>> = section.optional("redirect_from", faults);
    if protocol.is_some_and(|protocol| protocol != Protocol::Https) {
        let of_https = hsts.as_ref().map(|hsts| hsts.span.clone());
        if let Some(span) = of_https.or(redirect.as_ref().map(|redirect| redirect.span.clone())) {
            let instead = "move it to the listener with `protocol = \"https\"`";
            faults.push(Fault::new(span, "`hsts` and `redirect_from` belong to HTTPS", instead));
        }
    }
    let redirect = redirect.and_then(|written| {
        let Ok(address) = written.value.parse::<SocketAddr>() else {
            let instead = "write an address and a port such as \"[::]:80\"";
            faults.push(written.fault("`redirect_from` is not an address with a port", instead));
            return None;
        };
        unique(seen, address, &written, "the address", faults);
        Some(address)
    });
    (hsts.map(|hsts| hsts.value), redirect)
}

/// Reports two listeners that would receive each other's connections: they cannot both be opened.
fn refuse_overlap(
    (address, last_port): (SocketAddr, u16),
    span: &Range<usize>,
    others: &[Listener],
    faults: &mut Faults,
) {
    let overlapped = others.iter().find(|other| {
        let theirs = other.ports();
        let share_ports = *theirs.start() <= last_port && address.port() <= *theirs.end();
        let (ours, theirs) = (address.ip(), other.address.ip());
        share_ports && ours != theirs && (covers(ours, theirs) || covers(theirs, ours))
    });
    if let Some(other) = overlapped {
        let what = format!("this address overlaps with the listener on {}", other.address);
        let instead = "list the addresses one by one, or keep only the one for all addresses";
        faults.push(Fault::new(span.clone(), what, instead));
    }
}

/// Whether a socket on `all` also receives connections to `one`. `[::]` receives IPv4 connections as well.
fn covers(all: IpAddr, one: IpAddr) -> bool {
    all.is_unspecified() && (all.is_ipv6() || one.is_ipv4())
}

/// Reads `capabilities`: a list, or `"shared"`.
fn capabilities(section: &mut Section<'_>, protocol: Option<Protocol>, faults: &mut Faults) -> Offered {
    if !section.is_list("capabilities") {
        let is_shared = section.word("capabilities", &[("shared", true)], faults).unwrap_or(false);
        return if is_shared { Offered::Shared } else { Offered::Idle };
    }
    let written: Vec<Located<String>> =
        section.list("capabilities", faults).iter().filter_map(|item| item.text(faults)).collect();
    for name in written.iter().filter(|name| !may_be_offered(&name.value)) {
        let instead = "write names such as \"IDLE\" or \"UIDPLUS\"; usher itself announces the ones for TLS, login and \
                       literals";
        faults.push(name.fault(format!("{:?} cannot be offered before login", name.value), instead));
    }
    if let (Some(Protocol::Https | Protocol::Tcp), Some(first)) = (protocol, written.first()) {
        faults.push(first.fault("`capabilities` belongs to IMAP", "remove it"));
    }
    let names: Vec<&str> = written.iter().map(|name| name.value.as_str()).collect();
    Offered::These(names.join(" "))
}

/// Reads `[::]:6005` or `[::]:6005-6010`.
fn range(written: &str) -> Option<(SocketAddr, u16)> {
    if let Ok(address) = written.parse::<SocketAddr>() {
        return Some((address, address.port()));
    }
    let (first, last) = written.rsplit_once('-')?;
    let first = first.parse::<SocketAddr>().ok()?;
    let last = last.parse::<u16>().ok()?;
    (first.port() != 0 && first.port() < last).then_some((first, last))
}
