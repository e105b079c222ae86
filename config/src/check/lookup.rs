//! `[[listener]]` with `protocol = "lookup"`.

use super::Faults;
use crate::raw::{Located, Section};
use crate::snapshot::{LookupAddress, LookupListener, LookupProtocol};
use std::net::SocketAddr;
use std::path::PathBuf;

/// The rest of such a section.
pub(super) fn check(mut section: Section<'_>, faults: &mut Faults) -> Option<LookupListener> {
    let address: Option<Located<String>> = section.required("address", "\"127.0.0.1:9145\"", faults);
    let address = address.and_then(|written| address_of(&written, faults));
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
