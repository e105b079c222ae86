//! The proxies that usher is measured beside, each as its users would set it up: the same certificate, the same
//! stub backends, two threads, no logs.

use std::error::Error;
use std::fmt::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use usher_tests::certificate::Certificate;

/// Clock ticks a second, as the kernel counts CPU time for processes (`USER_HZ`).
const TICKS: f64 = 100.0;
const PATIENCE: Duration = Duration::from_secs(10);

/// A proxy that runs, and ends when it is dropped.
pub(crate) struct Peer {
    child: Child,
    _dir: TempDir,
}

impl Peer {
    /// nginx with this content of `http`, `mail` or both.
    pub(crate) fn nginx(
        certificate: &Certificate,
        content: &str,
        address: SocketAddr,
    ) -> Result<Self, Box<dyn Error>> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().display();
        let (chain, key) = certificate.write(dir.path(), "peer");
        let content = content
            .replace("CHAIN", &chain.display().to_string())
            .replace("KEY", &key.display().to_string())
            .replace("DIR", &path.to_string());
        let config = format!(
            "daemon off;\nworker_processes 2;\nuser root;\npid {path}/pid;\nerror_log {path}/error.log;\n\
             worker_rlimit_nofile 20000;\n\
             events {{ worker_connections 9000; }}\n{content}\n"
        );
        std::fs::write(dir.path().join("nginx.conf"), config)?;
        let mut command = Command::new("nginx");
        command.arg("-p").arg(dir.path()).arg("-c").arg(dir.path().join("nginx.conf"));
        command.arg("-e").arg(dir.path().join("error.log"));
        Self::start(command, dir, address)
    }

    /// HAProxy with these sections behind its defaults.
    pub(crate) fn haproxy(
        certificate: &Certificate,
        content: &str,
        address: SocketAddr,
    ) -> Result<Self, Box<dyn Error>> {
        let dir = tempfile::tempdir()?;
        let (chain, key) = certificate.write(dir.path(), "peer");
        let both = dir.path().join("both.pem");
        std::fs::write(&both, [std::fs::read(chain)?, std::fs::read(key)?].concat())?;
        let content = content.replace("PEM", &both.display().to_string());
        let config = format!(
            "global\n nbthread 2\n maxconn 9000\n ssl-default-bind-curves X25519\ndefaults\n timeout connect 5s\n \
             timeout client 60s\n timeout server 60s\n{content}\n"
        );
        std::fs::write(dir.path().join("haproxy.cfg"), config)?;
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(dir.path().join("haproxy.cfg"));
        Self::start(command, dir, address)
    }

    fn start(mut command: Command, dir: TempDir, address: SocketAddr) -> Result<Self, Box<dyn Error>> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let peer = Self { child, _dir: dir };
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            if Instant::now() > until {
                return Err(format!("nothing listens on {address}: {command:?}").into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(peer)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // nginx's master takes its workers with it.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// CPU time of a process and its children that live, in seconds.
pub(crate) fn cpu(pid: u32) -> f64 {
    family(pid).iter().map(|pid| ticks(*pid)).sum::<f64>() / TICKS
}

/// A process and its children.
pub(crate) fn family(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    all.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
    all
}

fn ticks(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Behind the name, which may hold anything, utime and stime are the 12th and 13th.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    rest.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum()
}

/// The middle of several figures, and how far they lie apart.
pub(crate) fn median(figures: &mut [f64]) -> (f64, f64, f64) {
    figures.sort_by(f64::total_cmp);
    let at = |at: usize| figures.get(at).copied().unwrap_or(f64::NAN);
    (at(figures.len() / 2), at(0), at(figures.len().saturating_sub(1)))
}

/// One row of a table: what, and each proxy's figures.
pub(crate) fn row(what: &str, unit: &str, figures: &mut [(&str, Vec<f64>)]) -> String {
    let mut line = format!("| {what} |");
    let mut medians = Vec::new();
    for (name, figures) in figures.iter_mut() {
        let (middle, least, most) = median(figures);
        medians.push((*name, middle));
        let _ = write!(line, " {middle:.1} ({least:.1} to {most:.1}) {unit} |");
    }
    let own = medians.first().map_or(f64::NAN, |(_, own)| *own);
    for (_, other) in medians.iter().skip(1) {
        let _ = write!(line, " {:.2} |", own / other);
    }
    line
}
