//! `[[listener]]` with `protocol = "lookup"`.

use super::{Faults, Taken, unique};
use crate::fault::Fault;
use crate::raw::{Located, Section};
use crate::snapshot::{LookupAddress, LookupListener, LookupProtocol};
use std::net::SocketAddr;
use std::path::PathBuf;

/// The rest of such a section.
pub(super) fn check(
    mut section: Section<'_>,
    seen: &mut Taken,
    others: &[LookupListener],
    faults: &mut Faults,
) -> Option<LookupListener> {
    let written: Option<Located<String>> = section.required("address", "\"127.0.0.1:9145\"", faults);
    let address = written.as_ref().and_then(|written| address_of(written, faults));
    match (&address, &written) {
        (Some(LookupAddress::Tcp(address)), Some(written)) => {
            unique(seen, *address, written, "the address", faults);
        }
        (Some(path), Some(written)) if others.iter().any(|other| other.address == *path) => {
            faults.push(written.fault("two listeners are at this path", "give each a path of its own"));
        }
        _ => {}
    }
    let serves = serves(&mut section, faults);
    let transport: Option<Located<String>> = section.optional("transport", faults);
    if let Some(transport) = &transport
        && (transport.value.is_empty() || transport.value.chars().any(char::is_control))
    {
        faults
            .push(transport.fault("not a transport of Postfix", "write one such as \"lmtp:[{address}]:24\""));
    }
    section.finish(faults);
    let transport = transport.map_or_else(|| "lmtp:{host}".to_owned(), |transport| transport.value);
    Some(LookupListener { address: address?, serves, transport })
}

fn address_of(written: &Located<String>, faults: &mut Faults) -> Option<LookupAddress> {
    if written.value.starts_with('/') {
        return Some(LookupAddress::Unix(PathBuf::from(&written.value)));
    }
    let instead = "write an address of this machine such as \"127.0.0.1:9145\", or the path of a socket";
    match written.value.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Some(LookupAddress::Tcp(address)),
        Ok(_) => {
            let what = "others could ask who exists and where: nobody is asked for a password here";
            faults.push(written.fault(what, instead));
            None
        }
        Err(_) => {
            faults.push(written.fault("`address` is not an address with a port", instead));
            None
        }
    }
}

fn serves(section: &mut Section<'_>, faults: &mut Faults) -> Vec<LookupProtocol> {
    let Some(items) = section.given_list("serves", faults) else { return LookupProtocol::ALL.to_vec() };
    if items.is_empty() {
        let instead = "remove it, or name what is served";
        faults.push(Fault::new(section.span.clone(), "nobody is answered: `serves` is empty", instead));
    }
    let mut serves = Vec::new();
    for item in items {
        let Some(word) = item.text(faults) else { continue };
        match LookupProtocol::ALL.into_iter().find(|protocol| protocol.name() == word.value) {
            Some(protocol) => serves.push(protocol),
            None => {
                let names = LookupProtocol::ALL.map(LookupProtocol::name).join("\", \"");
                let what = format!("nobody asks by \"{}\"", word.value.escape_debug());
                faults.push(word.fault(what, format!("write one of \"{names}\"")));
            }
        }
    }
    serves
}
