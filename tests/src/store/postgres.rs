//! PostgreSQL.

use super::{Kind, SECRET, Store, give_to, run};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

const OWN: &str = "CREATE TABLE mailboxes (address text NOT NULL, host text, department text);
    CREATE INDEX ON mailboxes (address);
    CREATE FUNCTION told() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_notify('mailboxes', NEW.address); RETURN NULL; END $$;
    CREATE TRIGGER told AFTER INSERT OR UPDATE ON mailboxes FOR EACH ROW EXECUTE FUNCTION told();
    GRANT SELECT ON mailboxes TO usher;";

/// The directory of its programs.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("tests/install-peers installs PostgreSQL");
    versions.map(|version| version.unwrap().path().join("bin")).max().unwrap()
}

/// It refuses to be run by root.
fn by_itself(program: &str) -> Command {
    let path = programs().join(program);
    if !rustix::process::getuid().is_root() {
        return Command::new(path);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(path);
    command
}

pub(super) fn prepare(store: &Store) {
    let dir = store.dir.path();
    let (chain, key) = (dir.join("server.pem"), dir.join("server.key"));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(dir.join("admin"), SECRET).unwrap();
    let data = dir.join("data");
    std::fs::create_dir(&data).unwrap();
    if rustix::process::getuid().is_root() {
        [&data, &key, &chain].into_iter().for_each(|path| give_to(path, "postgres"));
    }
    let mut init = by_itself("initdb");
    init.arg("-D").arg(&data).args(["-U", "admin", "-A", "scram-sha-256", "--no-sync", "-E", "UTF8"]);
    run(init.arg(format!("--pwfile={}", dir.join("admin").display())).current_dir("/"), "");
    let address = store.address;
    let conf = format!(
        "listen_addresses = '{}'\nport = {}\nunix_socket_directories = ''\nfsync = off\nmax_connections = 60\n\
         ssl = on\nssl_cert_file = '{}'\nssl_key_file = '{}'\n",
        address.ip(),
        address.port(),
        chain.display(),
        key.display()
    );
    std::fs::write(data.join("postgresql.auto.conf"), conf).unwrap();
    let hba = "host all all all scram-sha-256\n";
    std::fs::write(data.join("pg_hba.conf"), hba).unwrap();
}

pub(super) fn command(store: &Store) -> Command {
    let mut command = by_itself("postgres");
    command.arg("-D").arg(store.dir.path().join("data")).current_dir("/");
    command
}

fn psql(store: &Store, database: &str) -> Command {
    let mut command = Command::new("psql");
    let address = store.address;
    let at = format!("host={} port={} user=admin dbname={database}", address.ip(), address.port());
    command.env("PGPASSWORD", SECRET).args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]).arg(at);
    command
}

pub(super) fn is_ready(store: &Store) -> bool {
    let mut asked = psql(store, "postgres");
    let asked = asked.args(["-c", "SELECT 1"]).stdout(Stdio::null()).stderr(Stdio::null());
    asked.status().is_ok_and(|status| status.success())
}

pub(super) fn make(store: &Store) {
    run(
        &mut psql(store, "postgres"),
        &format!("CREATE ROLE usher LOGIN PASSWORD '{SECRET}'; CREATE DATABASE usher OWNER usher;"),
    );
    if store.kind == Kind::PostgresQuery {
        sql(store, OWN);
    }
}

pub(super) fn sql(store: &Store, text: &str) -> String {
    run(&mut psql(store, "usher"), text)
}

pub(super) fn put(store: &Store, user: &str, host: &str) {
    let (user, host) = (user.replace('\'', "''"), host.replace('\'', "''"));
    if store.kind == Kind::PostgresQuery {
        sql(store, &format!("INSERT INTO mailboxes VALUES ('{user}', '{host}', 'sales')"));
        return;
    }
    let (kind, key) = match user.strip_prefix('@') {
        Some(domain) => (2, domain),
        None => (0, user.as_str()),
    };
    // As a program of the site's own would.
    sql(
        store,
        &format!(
            "WITH c AS (INSERT INTO usher.change (at, by, kind, key) VALUES (0, 'site', {kind}, '{key}') RETURNING id)
             INSERT INTO usher.entry SELECT {kind}, '{key}', '{host}', id, NULL FROM c
             ON CONFLICT (kind, key) DO UPDATE SET host = excluded.host, change = excluded.change"
        ),
    );
}
