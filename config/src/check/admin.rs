//! `[admin]`.

use super::Faults;
use crate::fault::Fault;
use crate::raw::{Located, Section};
use crate::snapshot::{Admin, Listener};
use std::path::Path;

/// The socket's file name in the state directory, used when no other path is given.
pub(crate) const SOCKET: &str = "admin.sock";
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
    let mut admin =
        Admin { socket: state_dir.join(SOCKET), listen: None, token_file: None, secrets_dir: None };
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
    admin.secrets_dir = section.optional::<String>("secrets_dir", faults).map(|dir| dir.value.into());
    section.finish(faults);
    admin
}
