//! Redis.

use super::{Kind, SECRET, Store, run};
use std::process::Command;

pub(super) fn command(store: &Store) -> Command {
    let mut command = Command::new("redis-server");
    let (dir, secure) = (store.dir.path(), store.secure_address().port().to_string());
    command.args(["--tls-port", &secure, "--tls-auth-clients", "no"]);
    command
        .arg("--tls-cert-file")
        .arg(dir.join("server.pem"))
        .arg("--tls-key-file")
        .arg(dir.join("server.key"));
    let (ip, port) = (store.address.ip().to_string(), store.address.port().to_string());
    command.args(["--bind", &ip, "--port", &port, "--requirepass", SECRET, "--appendonly", "yes"]);
    command.args(["--save", "", "--dir"]).arg(store.dir.path());
    command
}

pub(super) fn put(store: &Store, user: &str, host: &str) {
    let (ip, port) = (store.address.ip().to_string(), store.address.port().to_string());
    let key = format!("usher:{user}");
    let mut command = Command::new("redis-cli");
    command.args(["--no-auth-warning", "-e", "-a", SECRET, "-h", &ip, "-p", &port]);
    match store.kind {
        Kind::RedisHash => command.args(["HSET", &key, "host", host, "department", "sales"]),
        _ => command.args(["SET", &key, host]),
    };
    run(&mut command, "");
}
