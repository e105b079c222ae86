//! `[admin]`.

use super::{Faults, networks};
use crate::fault::Fault;
use crate::raw::{Item, Located, Section};
use crate::snapshot::{Admin, Listener, TrustedProxy};
use ipnet::IpNet;
use std::path::Path;

/// The socket's file name in the state directory, used when no other path is given.
pub(crate) const SOCKET: &str = "admin.sock";
/// The header in which proxies name somebody, unless another one is given.
const USER_HEADER: &str = "remote-user";
/// Longest path of a Unix socket in bytes: `sun_path` without its terminating NUL.
const PATH_CAP: usize = 107;

/// Reports a socket path that is too long. The default path depends on the state directory.
fn tell_if_too_long(socket: &Path, faults: &mut Faults) {
    if socket.as_os_str().len() > PATH_CAP {
        let what = format!("the path {} is too long for the admin socket", socket.display());
        faults.push(Fault::new(0..0, what, "add `[admin]` with a shorter `socket`"));
    }
}

/// Reports a listener that already has the API's address.
pub(super) fn tell_if_taken(admin: &Admin, listeners: &[Listener], faults: &mut Faults) {
    let Some(listen) = admin.listen else { return };
    let taken = listeners.iter().find(|listener| {
        let (ours, theirs) = (listen.ip(), listener.address.ip());
        let same = ours == theirs
            || (ours.is_unspecified() || theirs.is_unspecified()) && ours.is_ipv4() == theirs.is_ipv4();
        same && listener.ports().contains(&listen.port())
    });
    if let Some(listener) = taken {
        let what = format!("the [admin] address {listen} is also the address of this listener");
        faults.push(Fault::new(listener.span.clone(), what, "choose another `listen` in [admin]"));
    }
}

pub(super) fn check(file: &mut Section<'_>, state_dir: &Path, faults: &mut Faults) -> Admin {
    let mut admin = Admin {
        socket: state_dir.join(SOCKET),
        listen: None,
        token_file: None,
        reader_token_file: None,
        trusted_proxy: None,
        secrets_dir: None,
    };
    let Some(mut section) = file.single("admin", faults) else {
        tell_if_too_long(&admin.socket, faults);
        return admin;
    };
    if let Some(socket) = section.optional::<String>("socket", faults) {
        if socket.value.is_empty() || socket.value.len() > PATH_CAP {
            let instead = "write a path of at most 107 bytes such as \"/run/usher/admin.sock\"";
            faults.push(socket.fault("`socket` is not a valid path for a Unix socket", instead));
        }
        admin.socket = socket.value.into();
    } else {
        tell_if_too_long(&admin.socket, faults);
    }
    let listen: Option<Located<String>> = section.optional("listen", faults);
    if let Some(listen) = listen {
        match listen.value.parse() {
            Ok(address) => admin.listen = Some(address),
            Err(_) => faults.push(listen.fault(
                "`listen` is not an address with a port",
                "write an address and a port such as \"127.0.0.1:9143\"",
            )),
        }
    }
    admin.token_file = section.optional::<String>("token_file", faults).map(|file| file.value.into());
    let reader: Option<Located<String>> = section.optional("reader_token_file", faults);
    if let Some(reader) = &reader
        && admin.token_file.as_deref() == Some(Path::new(&reader.value))
    {
        let instead = "name another file, with another token";
        faults.push(reader.fault("whoever may only read has the token of those who may change", instead));
    }
    admin.reader_token_file = reader.map(|file| file.value.into());
    admin.trusted_proxy = trusted_proxy(&mut section, faults);
    admin.secrets_dir = section.optional::<String>("secrets_dir", faults).map(|dir| dir.value.into());
    section.finish(faults);
    admin
}

/// `trusted_proxy`.
fn trusted_proxy(section: &mut Section<'_>, faults: &mut Faults) -> Option<TrustedProxy> {
    const EXAMPLE: &str = "{ from = [\"192.0.2.7\"], operators = [\"anna\"] }";
    let mut inner = section.table("trusted_proxy", EXAMPLE, faults)?;
    let span = inner.span.clone();
    let from = networks(&inner.list("from", faults), faults);
    let header: Option<Located<String>> = inner.optional("user_header", faults);
    let operators: Vec<Item<'_>> = inner.list("operators", faults);
    let secret_file: Option<Located<String>> = inner.optional("secret_file", faults);
    inner.finish(faults);
    let is_shared = |network: &IpNet| {
        network.addr().is_loopback() || network.network().is_loopback() || network.prefix_len() == 0
    };
    if secret_file.is_none() && from.iter().any(is_shared) {
        let what = "everybody on the machine has this address, also a browser that some page leads here";
        let instead = "add `secret_file`, and let the proxy send what is in it as `X-Usher-Proxy`";
        faults.push(Fault::new(span.clone(), what, instead));
    }
    if from.is_empty() {
        let instead = format!("write `trusted_proxy = {EXAMPLE}` with the proxy's address");
        faults.push(Fault::new(span, "`trusted_proxy` needs at least one address", instead));
    }
    let is_token = |name: &str| {
        let is_usual = ["authorization", "host", "origin", "x-usher-console", "x-usher-proxy"];
        !name.is_empty()
            && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
            && !is_usual.contains(&name.to_ascii_lowercase().as_str())
    };
    if let Some(header) = header.as_ref().filter(|header| !is_token(&header.value)) {
        let instead = "write a name of letters, digits and hyphens such as \"Remote-User\"";
        faults.push(
            header.fault("`user_header` is not the name of a header that could name somebody", instead),
        );
    }
    let user_header = header.map_or_else(|| USER_HEADER.to_owned(), |header| header.value);
    let mut named = Vec::new();
    for name in &operators {
        let Some(name) = name.text(faults) else { continue };
        if !name.value.is_ascii() || name.value.trim() != name.value || name.value.is_empty() {
            faults.push(
                name.fault("this name cannot come in a header", "write it in ASCII, as the proxy sends it"),
            );
        }
        named.push(name.value);
    }
    Some(TrustedProxy {
        from,
        secret_file: secret_file.map(|file| file.value.into()),
        user_header: user_header.to_ascii_lowercase(),
        operators: named,
    })
}
