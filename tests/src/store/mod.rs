//! Real servers that know where users are: what sites have instead of usher's own directory.

mod door;
mod ldap;
mod namespace;
mod postgres;
mod redis;
mod service;
mod site;

pub use door::{Door, Mode};
pub use namespace::Namespace;
pub use site::{FORGETFUL, HOME, Site};

use crate::certificate::Certificate;
use crate::deadline::DEADLINE;
use rustix::process::{Pid, Signal, kill_process};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What all of them ask for.
pub const SECRET: &str = "store-secret";

/// Which one, and what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// PostgreSQL with usher's tables.
    Postgres,
    /// PostgreSQL with a table of the site's own.
    PostgresQuery,
    /// OpenLDAP with `mailHost`.
    Ldap,
    /// Redis with a string for each user.
    Redis,
    /// Redis with a hash for each user.
    RedisHash,
    /// An HTTP service that answers in JSON.
    Json,
    /// A service such as nginx asks.
    AuthHttp,
}

/// A running server, stopped when it is dropped.
pub struct Store {
    pub kind: Kind,
    pub dir: TempDir,
    pub address: SocketAddr,
    pub certificate: Arc<Certificate>,
    /// Where it runs, if that is not here.
    namespace: Option<Arc<Namespace>>,
    child: Option<Child>,
}

impl Store {
    /// Starts one on `address`.
    pub fn start(kind: Kind, address: SocketAddr) -> Self {
        Self::start_in(None, kind, address)
    }

    /// Starts one in a network of its own, if that is wanted.
    pub(super) fn start_in(namespace: Option<Arc<Namespace>>, kind: Kind, address: SocketAddr) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let certificate = Certificate::for_names(&[&address.ip().to_string()]);
        certificate.write(dir.path(), "server");
        let mut store = Self { kind, dir, address, certificate, namespace, child: None };
        std::fs::write(store.dir.path().join("secret"), SECRET).unwrap();
        std::fs::write(store.dir.path().join("ca.pem"), store.certificate.pem()).unwrap();
        match kind {
            Kind::Postgres | Kind::PostgresQuery => postgres::prepare(&store),
            Kind::Ldap => ldap::prepare(&store),
            Kind::Redis | Kind::RedisHash => {}
            Kind::Json | Kind::AuthHttp => service::prepare(&store),
        }
        store.launch();
        match kind {
            Kind::Postgres | Kind::PostgresQuery => postgres::make(&store),
            Kind::Ldap => ldap::make(&store),
            Kind::Redis | Kind::RedisHash | Kind::Json | Kind::AuthHttp => {}
        }
        store
    }

    /// Starts the program, and waits until it can be reached.
    pub fn launch(&mut self) {
        let mut command = match self.kind {
            Kind::Postgres | Kind::PostgresQuery => postgres::command(self),
            Kind::Ldap => ldap::command(self),
            Kind::Redis | Kind::RedisHash => redis::command(self),
            Kind::Json | Kind::AuthHttp => service::command(self),
        };
        if let Some(namespace) = &self.namespace {
            command = namespace.run_by(&command);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let log = std::fs::File::options().create(true).append(true).open(self.dir.path().join("log"));
        command.stderr(log.unwrap());
        self.child = Some(command.spawn().expect("it is installed; tests/install-peers does it"));
        let until = Instant::now() + DEADLINE;
        while !self.is_ready() {
            assert!(Instant::now() < until, "{:?} does not start: {}", self.kind, self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn is_ready(&self) -> bool {
        match self.kind {
            Kind::Postgres | Kind::PostgresQuery => postgres::is_ready(self),
            _ => TcpStream::connect(self.address).is_ok(),
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// `[directory]` for it, as it is reached at `through`.
    pub fn section(&self, through: SocketAddr) -> String {
        let secret = self.dir.path().join("secret");
        match self.kind {
            Kind::Postgres => {
                let url = format!("postgres://usher@{through}/usher?sslmode=disable");
                format!(
                    "source = \"postgres\"\n[directory.postgres]\nurl = \"{url}\"\npassword_file = {secret:?}"
                )
            }
            Kind::PostgresQuery => {
                let url = format!("postgres://usher@{through}/usher?sslmode=disable");
                format!(
                    "source = \"postgres\"\n[directory.postgres]\nurl = \"{url}\"\npassword_file = {secret:?}\n\
                     query = \"SELECT host, department FROM mailboxes WHERE address = $1\"\nnotify = \"mailboxes\""
                )
            }
            Kind::Ldap => format!(
                "source = \"ldap\"\n[directory.ldap]\nurls = [\"ldap://{through}\"]\nbase = \"{}\"\n\
                 bind_dn = \"{}\"\npassword_file = {secret:?}\npreset = \"mailhost\"\nattributes = [\"departmentNumber\"]",
                ldap::BASE,
                ldap::ROOT
            ),
            Kind::Redis => format!(
                "source = \"redis\"\n[directory.redis]\nurl = \"redis://{through}\"\npassword_file = {secret:?}"
            ),
            Kind::RedisHash => format!(
                "source = \"redis\"\n[directory.redis]\nurl = \"redis://{through}\"\npassword_file = {secret:?}\nvalue = \"hash\""
            ),
            Kind::Json => format!(
                "source = \"http\"\n[directory.http]\nurl = \"http://{through}/users/{{user}}\"\n\
                 secret_header = \"X-Auth-Key\"\nsecret_file = {secret:?}"
            ),
            Kind::AuthHttp => format!(
                "source = \"http\"\n[directory.http]\nurl = \"http://{through}/auth\"\nstyle = \"auth_http\"\n\
                 secret_header = \"X-Auth-Key\"\nsecret_file = {secret:?}"
            ),
        }
    }

    /// The same by TLS from the beginning, straight to it.
    pub fn secure_section(&self) -> String {
        let through = if self.is_postgres() { self.address } else { self.secure_address() };
        let mut section = self.section(through).replace("?sslmode=disable", "");
        for scheme in ["ldap", "redis", "http"] {
            section = section.replace(&format!("{scheme}://"), &format!("{scheme}s://"));
        }
        self.trusting(&section)
    }

    /// `section`, which trusts only what is in a file beside it.
    pub(super) fn trusting(&self, section: &str) -> String {
        format!("{section}\nca = {:?}", self.dir.path().join("ca.pem"))
    }

    fn is_postgres(&self) -> bool {
        matches!(self.kind, Kind::Postgres | Kind::PostgresQuery)
    }

    /// Where it speaks TLS from the beginning; PostgreSQL has one port for both.
    fn secure_address(&self) -> SocketAddr {
        SocketAddr::new(self.address.ip(), self.address.port() + 2)
    }

    /// Puts a user, or `@` and a domain, on a host; twice if `again`.
    pub fn put(&self, user: &str, host: &str) {
        match self.kind {
            Kind::Postgres | Kind::PostgresQuery => postgres::put(self, user, host),
            Kind::Ldap => ldap::put(self, user, host),
            Kind::Redis | Kind::RedisHash => redis::put(self, user, host),
            Kind::Json | Kind::AuthHttp => service::put(self, user, host),
        }
    }

    /// Whether it knows of domains by itself, or is asked for them.
    pub fn has_domains(&self) -> bool {
        matches!(self.kind, Kind::Postgres | Kind::Ldap | Kind::Redis | Kind::RedisHash)
    }

    /// Runs SQL.
    pub fn sql(&self, text: &str) -> String {
        postgres::sql(self, text)
    }

    /// Adds entries, below what everything is below: `{base}`.
    pub fn ldif(&self, text: &str) {
        ldap::add(self, &text.replace("{base}", ldap::BASE));
    }

    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
    }

    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// What is asked for from now on by usher is another password than the server has.
    pub fn forget_secret(&self) {
        std::fs::write(self.dir.path().join("secret"), "wrong").unwrap();
    }

    pub fn remember_secret(&self) {
        std::fs::write(self.dir.path().join("secret"), SECRET).unwrap();
    }

    /// Signals it and its children, which leave its process group where it is PostgreSQL.
    fn signal(&self, signal: Signal) {
        let Some(child) = self.child.as_ref().map(Child::id) else { return };
        for process in children(child).into_iter().chain([child]) {
            if let Some(process) = Pid::from_raw(process as i32) {
                let _ = kill_process(process, signal);
            }
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.kill();
    }
}

fn children(parent: u32) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let processes = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_child = |process: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        after_name.split_whitespace().nth(1) == Some(&parent.to_string())
    };
    processes.filter(is_child).collect()
}

/// Runs a command that must succeed, with `input`.
fn run(command: &mut Command, input: &str) -> String {
    use std::io::Write;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it is installed; tests/install-peers does it");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {told}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Gives what is at `path` to a user that a server runs as which refuses to be root.
fn give_to(path: &Path, owner: &str) {
    run(Command::new("chown").arg("-R").arg(owner).arg(path), "");
}
