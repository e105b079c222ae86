//! `[[instance_host]]`.

use super::{Faults, health, is_host_and_port, is_host_name, unique};
use crate::fault::Fault;
use crate::raw::{Located, Section};
use crate::snapshot::{
    BackendTls, ClientAddress, ClientCertificate, HttpEndpoint, HttpVersion, InitialState, InstanceHost,
    LoginAs, MailEndpoint, MasterUser, Pin,
};
use std::collections::HashMap;
use usher_policy::Services;
use usher_policy::identity::LoginTemplate;

/// Two, for rotation. Nobody would keep track of more.
const PINS_CAP: usize = 2;
const IMAP: &str = "{ address = \"10.0.0.11:993\", tls = \"implicit\" }";
const HTTP: &str = "{ address = \"10.0.0.11:8472\", tls = \"implicit\" }";
const FINGERPRINT: &str = "write \"sha256:\" and the 64 hexadecimal digits of the certificate's SHA-256, \
     or \"spki-sha256:\" and those of its public key's";

pub(super) fn check(file: &mut Section<'_>, faults: &mut Faults) -> Vec<InstanceHost> {
    let mut seen = HashMap::new();
    let sections = file.many("instance_host", faults);
    sections.into_iter().filter_map(|section| one(section, &mut seen, faults)).collect()
}

fn one(
    mut section: Section<'_>,
    seen: &mut HashMap<String, ()>,
    faults: &mut Faults,
) -> Option<InstanceHost> {
    let name: Option<Located<String>> = section.required("name", "\"ih1.example.com\"", faults);
    if let Some(name) = &name {
        if is_host_name(&name.value) {
            unique(seen, name.value.to_ascii_lowercase(), name, "the instance host", faults);
        } else {
            faults.push(name.fault("`name` is not a host name", "write a name such as \"ih1.example.com\""));
        }
    }
    let imap = section.required_table("imap", IMAP, faults);
    let imap = imap.and_then(|imap| endpoint(imap, faults));
    let http = http(&mut section, faults);
    let has_tls = imap.as_ref().is_none_or(|imap| imap.tls != BackendTls::None)
        || http.as_ref().is_some_and(|http| http.tls);
    if let Some(first) = section.list("fingerprints", faults).first().filter(|_| !has_tls) {
        let what = "fingerprints without TLS are never checked";
        let instead = "write `tls = \"implicit\"` or `tls = \"starttls\"`, or remove the fingerprints";
        faults.push(Fault::new(first.span.clone(), what, instead));
    }
    let pins = pins(&mut section, faults);
    let login_as = section.optional("login_as", faults).and_then(|written| login_as(&written, faults));
    let client_certificate = client_certificate(&mut section, faults);
    let external = external(&mut section, faults);
    let max_sessions = section.optional("max_sessions", faults);
    let initial_state = initial_state(&mut section, faults);
    let health = health::check(&mut section, health::Of::Host, faults);
    section.finish(faults);
    Some(InstanceHost {
        name: name?.value.to_ascii_lowercase(),
        services: Services::new(imap?, http),
        pins,
        login_as: login_as.unwrap_or(LoginAs::Typed),
        client_certificate,
        max_sessions: max_sessions.map(|most| most.value),
        initial_state,
        external,
        health,
    })
}

/// Who lets in users that have shown a certificate.
fn external(section: &mut Section<'_>, faults: &mut Faults) -> Option<MasterUser> {
    let example = "{ master_user = \"admin\", master_password_file = \"/etc/usher/master.secret\" }";
    let mut section = section.table("external", example, faults)?;
    let user: Option<Located<String>> = section.required("master_user", "\"admin\"", faults);
    let file: Option<Located<String>> =
        section.required("master_password_file", "\"/etc/usher/master.secret\"", faults);
    section.finish(faults);
    Some(MasterUser { user: user?.value, password_file: file?.value.into() })
}

fn login_as(written: &Located<String>, faults: &mut Faults) -> Option<LoginAs> {
    let read = match written.value.as_str() {
        "typed" => Some(LoginAs::Typed),
        "canonical" => Some(LoginAs::Canonical),
        template => LoginTemplate::parse(template).map(LoginAs::Template),
    };
    if read.is_none() {
        faults.push(written.fault(
            format!("`login_as` cannot be \"{}\"", written.value.escape_debug()),
            "write \"typed\", \"canonical\", or a template of {user}, {local}, {domain} and {tenant}, \
             such as \"{local}%{domain}\"",
        ));
    }
    read
}

/// The `fingerprints` of a backend.
pub(super) fn pins(section: &mut Section<'_>, faults: &mut Faults) -> Vec<Pin> {
    let written = section.list("fingerprints", faults);
    let mut pins = Vec::new();
    for item in &written {
        let Some(text) = item.text(faults) else { continue };
        match pin(&text.value) {
            Some(pin) => pins.push(pin),
            None => faults.push(text.fault("not a fingerprint", FINGERPRINT)),
        }
    }
    if let Some(third) = written.get(PINS_CAP) {
        let instead = "keep the certificate in use and the one to come";
        faults.push(Fault::new(third.span.clone(), "more than two fingerprints", instead));
    }
    pins
}

/// The `http` of a backend.
pub(super) fn http(section: &mut Section<'_>, faults: &mut Faults) -> Option<HttpEndpoint> {
    let mut section = section.table("http", HTTP, faults)?;
    let address = address(&mut section, "\"10.0.0.11:8472\"", faults);
    let words = [("implicit", true), ("none", false)];
    section.demand("tls", "\"implicit\"", faults);
    let tls = section.word("tls", &words, faults);
    let client_address = client_address(&mut section, faults);
    if client_address == ClientAddress::ImapId {
        let instead = "write \"proxy-v1\" or \"proxy-v2\"; `Forwarded` contains the address in any case";
        faults.push(Fault::new(section.span.clone(), "HTTP has no IMAP ID", instead));
    }
    let version = section.word("version", &[("1.1", HttpVersion::One), ("2", HttpVersion::Two)], faults);
    let rewrite = section.optional("rewrite", faults).is_none_or(|rewrite| rewrite.value);
    let max_connections: Option<Located<u32>> = section.optional("max_connections", faults);
    if let Some(none) = max_connections.as_ref().filter(|most| most.value == 0) {
        faults.push(none.fault(
            "this would allow no connections at all",
            "write 1 or more, or remove the key for no limit",
        ));
    }
    section.finish(faults);
    Some(HttpEndpoint {
        address: address?,
        tls: tls?,
        client_address,
        version: version.unwrap_or(HttpVersion::One),
        rewrite,
        max_connections: max_connections.map(|most| most.value),
    })
}

/// The `client_certificate` of a backend.
pub(super) fn client_certificate(section: &mut Section<'_>, faults: &mut Faults) -> ClientCertificate {
    let words = [
        ("auto", ClientCertificate::Auto),
        ("always", ClientCertificate::Always),
        ("never", ClientCertificate::Never),
    ];
    section.word("client_certificate", &words, faults).unwrap_or_default()
}

/// The `initial_state` of a backend.
pub(super) fn initial_state(section: &mut Section<'_>, faults: &mut Faults) -> InitialState {
    let words = [
        ("remembered", InitialState::Remembered),
        ("started", InitialState::Started),
        ("stopped", InitialState::Stopped),
    ];
    section.word("initial_state", &words, faults).unwrap_or(InitialState::Remembered)
}

/// The `client_address` of an endpoint.
pub(super) fn client_address(section: &mut Section<'_>, faults: &mut Faults) -> ClientAddress {
    let words = [
        ("none", ClientAddress::None),
        ("proxy-v1", ClientAddress::ProxyV1),
        ("proxy-v2", ClientAddress::ProxyV2),
        ("imap-id", ClientAddress::ImapId),
    ];
    section.word("client_address", &words, faults).unwrap_or(ClientAddress::None)
}

/// The `address` of an endpoint.
fn address(section: &mut Section<'_>, example: &str, faults: &mut Faults) -> Option<String> {
    let address: Located<String> = section.required("address", example, faults)?;
    if !is_host_and_port(&address.value) {
        let instead = "write a host and a port such as \"10.0.0.11:993\" or \"ih1.example.com:993\"";
        faults.push(address.fault("`address` is not a host with a port", instead));
    }
    Some(address.value)
}

fn endpoint(mut section: Section<'_>, faults: &mut Faults) -> Option<MailEndpoint> {
    let address = address(&mut section, "\"10.0.0.11:993\"", faults);
    let words =
        [("implicit", BackendTls::Implicit), ("starttls", BackendTls::StartTls), ("none", BackendTls::None)];
    section.demand("tls", "\"implicit\"", faults);
    let tls = section.word("tls", &words, faults);
    let client_address = client_address(&mut section, faults);
    section.finish(faults);
    Some(MailEndpoint { address: address?, tls: tls?, client_address })
}

/// Reads a fingerprint; colons between the digits, as openssl prints them, are fine.
fn pin(written: &str) -> Option<Pin> {
    let (kind, digits) = written.split_once(':')?;
    let digits: Vec<u8> = digits.bytes().filter(|b| *b != b':').collect();
    let mut fingerprint = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (octet, pair) in fingerprint.iter_mut().zip(digits.chunks(2)) {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| !pair.starts_with('+'))?;
        *octet = u8::from_str_radix(pair, 16).ok()?;
    }
    match kind {
        "sha256" => Some(Pin::Certificate(fingerprint)),
        "spki-sha256" => Some(Pin::Key(fingerprint)),
        _ => None,
    }
}
