//! `[[listener]]`.

use super::{Faults, networks, unique};
use crate::fault::Fault;
use crate::raw::{Place, Section};
use crate::snapshot::{Listener, Protocol};
use std::collections::HashMap;
use std::net::SocketAddr;

const ADDRESS: &str = "write an address and a port such as \"[::]:993\" or \"192.0.2.1:993\"";

pub(super) fn check(file: &mut Section<'_>, faults: &mut Faults) -> Vec<Listener> {
    let sections = file.many("listener", faults);
    if sections.is_empty() {
        let instead = "add `[[listener]]` with `protocol = \"imaps\"` and `address = \"[::]:993\"`";
        faults.push(Fault::new(0..0, "there is no [[listener]]: nobody could connect", instead));
    }
    let mut seen = HashMap::new();
    sections.into_iter().filter_map(|section| one(section, &mut seen, faults)).collect()
}

fn one(
    mut section: Section<'_>,
    seen: &mut HashMap<SocketAddr, ()>,
    faults: &mut Faults,
) -> Option<Listener> {
    let span = section.span.clone();
    let words = [("imap", Protocol::Imap), ("imaps", Protocol::Imaps)];
    let has_protocol: Option<Place<String>> = section.required("protocol", "\"imaps\"", faults);
    let protocol = has_protocol.and_then(|_| section.word("protocol", &words, faults));
    let written: Option<Place<String>> = section.required("address", "\"[::]:993\"", faults);
    let address = written.and_then(|written| match written.value.parse::<SocketAddr>() {
        Ok(address) => {
            if address.port() != 0 {
                unique(seen, address, &written, "the address", faults);
            }
            Some(address)
        }
        Err(_) => {
            faults.push(written.fault("`address` is no address with a port", ADDRESS));
            None
        }
    });
    let plaintext = section.list("plaintext_from", faults);
    let plaintext_from = networks(&plaintext, faults);
    if protocol == Some(Protocol::Imaps)
        && let Some(first) = plaintext.first()
    {
        let what = "`plaintext_from` makes no sense where TLS is implicit";
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
    section.finish(faults);
    Some(Listener { protocol: protocol?, address: address?, plaintext_from, proxy_from, strict_sni, span })
}
