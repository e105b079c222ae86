//! HTTP services, as sites write them.

use super::{SECRET, Store};
use std::process::Command;

const PROGRAM: &str = include_str!("service.py");

pub(super) fn prepare(store: &Store) {
    let dir = store.dir.path();
    std::fs::write(dir.join("service.py"), PROGRAM).unwrap();
    std::fs::create_dir(dir.join("users")).unwrap();
}

pub(super) fn command(store: &Store) -> Command {
    let mut command = Command::new("/usr/bin/python3");
    command.arg(store.dir.path().join("service.py")).arg(store.address.ip().to_string());
    command.arg(store.address.port().to_string()).arg(SECRET);
    command.arg(store.secure_address().port().to_string()).current_dir(store.dir.path());
    command
}

pub(super) fn put(store: &Store, user: &str, host: &str) {
    let name: String = user.bytes().map(|byte| format!("{byte:02x}")).collect();
    let next = store.dir.path().join(format!("{name}.next"));
    std::fs::write(&next, host).unwrap();
    std::fs::rename(next, store.dir.path().join("users").join(name)).unwrap();
}
