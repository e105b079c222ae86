//! A real HAProxy as a web service, which answers everything itself and counts it.

use crate::deadline::DEADLINE;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The running server, killed when it is dropped.
pub struct Haproxy {
    child: Child,
    dir: TempDir,
}

impl Haproxy {
    /// Starts one on `address` that answers everything itself.
    pub fn start(address: SocketAddr) -> Self {
        let answers = "http-request return status 200 content-type text/plain string \"haproxy\"";
        Self::with(address, &format!("frontend seen\n bind {address}\n {answers}\n"))
    }

    /// Starts one on `address` in front of what listens in the clear on `behind`, with its default check of HTTP.
    pub fn in_front_of(address: SocketAddr, behind: SocketAddr) -> Self {
        let check = "option httpchk\n timeout connect 5s\n timeout server 60s\n server s";
        Self::with(address, &format!("listen seen\n bind {address}\n {check} {behind} check inter 100ms\n"))
    }

    fn with(address: SocketAddr, parts: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("haproxy.cfg");
        let text = format!(
            "global\n stats socket {}/stats level admin\ndefaults\n mode http\n timeout client 60s\n \
             timeout http-request 60s\n{parts}",
            dir.path().display()
        );
        std::fs::write(&config, text).unwrap();
        let child = Command::new("haproxy")
            .arg("-db")
            .arg("-f")
            .arg(&config)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("haproxy is installed; tests/install-peers does it");
        let until = Instant::now() + DEADLINE;
        // It listens a moment before its socket has its name.
        let stats = dir.path().join("stats");
        while TcpStream::connect(address).is_err() || UnixStream::connect(&stats).is_err() {
            assert!(Instant::now() < until, "haproxy does not listen on {address}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, dir }
    }

    /// What it says of the server behind it.
    pub fn check_of_server(&self) -> String {
        let [status, code] = self.columns("s", ["check_status", "check_code"]);
        format!("{status} {code}")
    }

    /// How many requests it has seen.
    pub fn requests(&self) -> usize {
        let [total] = self.columns("FRONTEND", ["req_tot"]);
        total.parse().unwrap()
    }

    /// The columns of this `name` in the row of its statistics that is about `what`.
    fn columns<const N: usize>(&self, what: &str, name: [&str; N]) -> [String; N] {
        let mut socket = UnixStream::connect(self.dir.path().join("stats")).unwrap();
        socket.write_all(b"show stat\n").unwrap();
        let mut table = String::new();
        socket.read_to_string(&mut table).unwrap();
        let names: Vec<_> = table.lines().next().unwrap().split(',').collect();
        let row = table.lines().find(|line| line.starts_with(&format!("seen,{what},"))).unwrap();
        let row: Vec<_> = row.split(',').collect();
        name.map(|name| row[names.iter().position(|known| *known == name).unwrap()].to_owned())
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
