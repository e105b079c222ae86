//! `[[listener]]`.

use super::{Faults, networks, unique};
use crate::fault::Fault;
use crate::raw::{Place, Section};
use crate::snapshot::{Listener, Offered, Protocol};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use usher_wire::imap::capability::may_be_offered;

const ADDRESS: &str = "write an address and a port such as \"[::]:993\" or \"192.0.2.1:993\"";

pub(super) fn check(file: &mut Section<'_>, faults: &mut Faults) -> Vec<Listener> {
    let sections = file.many("listener", faults);
    if sections.is_empty() {
        let instead = "add `[[listener]]` with `protocol = \"imaps\"` and `address = \"[::]:993\"`";
        faults.push(Fault::new(0..0, "there is no [[listener]]: nobody could connect", instead));
    }
    let mut seen = HashMap::new();
    let mut listeners = Vec::new();
    for section in sections {
        one(section, &mut seen, &mut listeners, faults);
    }
    listeners
}

fn one(
    mut section: Section<'_>,
    seen: &mut HashMap<SocketAddr, ()>,
    listeners: &mut Vec<Listener>,
    faults: &mut Faults,
) -> Option<()> {
    let span = section.span.clone();
    let words = [
        ("imap", Protocol::Imap),
        ("imaps", Protocol::Imaps),
        ("https", Protocol::Https),
        ("tcp", Protocol::Tcp),
    ];
    let has_protocol: Option<Place<String>> = section.required("protocol", "\"imaps\"", faults);
    let protocol = has_protocol.and_then(|_| section.word("protocol", &words, faults));
    let written: Option<Place<String>> = section.required("address", "\"[::]:993\"", faults);
    let address = written.and_then(|written| {
        let Some((address, last_port)) = range(&written.value) else {
            faults.push(written.fault("`address` is no address with a port", ADDRESS));
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
    });
    let redirected: Option<Place<bool>> = section.optional("redirected", faults);
    if let (Some(Protocol::Imap | Protocol::Imaps | Protocol::Https), Some(redirected)) =
        (protocol, &redirected)
    {
        faults.push(redirected.fault("only `tcp` has redirected ports", "remove it"));
    }
    let redirected = redirected.is_some_and(|redirected| redirected.value);
    let array: Option<Place<String>> = match protocol {
        Some(Protocol::Tcp) => section.required("array", "\"rpc\"", faults),
        Some(_) | None => section.optional("array", faults),
    };
    if let (Some(Protocol::Imap | Protocol::Imaps | Protocol::Https), Some(array)) = (protocol, &array) {
        let instead = "write `protocol = \"tcp\"`, or remove it: users go to their own hosts; requests that \
                       name nobody go to the array of [https]";
        faults.push(array.fault("only `tcp` spreads over an array", instead));
    }
    let capabilities = capabilities(&mut section, protocol, faults);
    let plaintext = section.list("plaintext_from", faults);
    let plaintext_from = networks(&plaintext, faults);
    if let Some(Protocol::Imaps | Protocol::Https | Protocol::Tcp) = protocol
        && let Some(first) = plaintext.first()
    {
        let what = "`plaintext_from` makes no sense where TLS does not begin by STARTTLS";
        faults.push(Fault::new(
            first.span.clone(),
            what,
            "move it to the listener with `protocol = \"imap\"`",
        ));
    }
    let proxy_from =
        section.table("proxy_protocol", "{ from = [\"10.0.0.0/8\"] }", faults).map(|mut inner| {
            let span = inner.span.clone();
            let from = networks(&inner.list("from", faults), faults);
            inner.finish(faults);
            if from.is_empty() {
                let instead =
                    "write `proxy_protocol = { from = [\"10.0.0.0/8\"] }` with the load balancer's network";
                faults.push(Fault::new(span, "`proxy_protocol` names no sender that is trusted", instead));
            }
            from
        });
    let strict_sni = section.optional("strict_sni", faults).is_some_and(|strict| strict.value);
    let hsts: Option<Place<Duration>> = section.optional("hsts", faults);
    let redirect: Option<Place<String>> = section.optional("redirect_from", faults);
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
            faults.push(written.fault("`redirect_from` is no address with a port", instead));
            return None;
        };
        unique(seen, address, &written, "the address", faults);
        Some(address)
    });
    section.finish(faults);
    let (address, last_port) = address?;
    let overlapped = listeners.iter().find(|other| {
        let ports = other.address.port() <= last_port && address.port() <= other.last_port;
        let (ours, theirs) = (address.ip(), other.address.ip());
        ports && ours != theirs && (covers(ours, theirs) || covers(theirs, ours))
    });
    if let Some(other) = overlapped {
        let what = format!("this address is also that of the listener on {}", other.address);
        faults.push(Fault::new(span.clone(), what, "name the addresses one by one, or only the one for all"));
    }
    let listener = Listener {
        protocol: protocol?,
        address,
        last_port,
        redirected,
        array: array.map(|array| array.value),
        plaintext_from,
        proxy_from,
        strict_sni,
        hsts: hsts.map(|hsts| hsts.value),
        redirect_to: None,
        capabilities,
        span,
    };
    if let Some(from) = redirect {
        listeners.push(Listener {
            protocol: Protocol::HttpRedirect,
            address: from,
            last_port: from.port(),
            redirect_to: Some(address.port()),
            hsts: None,
            ..listener.clone()
        });
    }
    listeners.push(listener);
    Some(())
}

/// Whether a socket on `all` has the connections to `one` as well. That of all IPv6 addresses has those of IPv4.
fn covers(all: IpAddr, one: IpAddr) -> bool {
    all.is_unspecified() && (all.is_ipv6() || one.is_ipv4())
}

/// Reads `capabilities`: a list, or `"shared"`.
fn capabilities(section: &mut Section<'_>, protocol: Option<Protocol>, faults: &mut Faults) -> Offered {
    if !section.is_list("capabilities") {
        let is_shared = section.word("capabilities", &[("shared", true)], faults).unwrap_or(false);
        return if is_shared { Offered::Shared } else { Offered::Idle };
    }
    let written: Vec<Place<String>> =
        section.list("capabilities", faults).iter().filter_map(|item| item.text(faults)).collect();
    for name in written.iter().filter(|name| !may_be_offered(&name.value)) {
        let instead = "write names such as \"IDLE\" or \"UIDPLUS\"; usher itself says what concerns TLS, logging in and \
                       literals";
        faults.push(
            name.fault(format!("{:?} is nothing that can be offered before login", name.value), instead),
        );
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
