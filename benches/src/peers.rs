//! The proxies that usher is measured beside, each as its users would set it up: the same certificate, the same
//! stub backends, two threads or processes, no logs.

use std::error::Error;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
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

/// A directory with the certificate in it, for a peer's configuration.
struct Place {
    dir: TempDir,
    chain: String,
    key: String,
}

impl Place {
    fn new(certificate: &Certificate) -> Result<Self, Box<dyn Error>> {
        let dir = tempfile::tempdir()?;
        // Some give up their rights before they read what is theirs.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755))?;
        let (chain, key) = certificate.write(dir.path(), "peer");
        Ok(Self { chain: chain.display().to_string(), key: key.display().to_string(), dir })
    }

    /// Writes the configuration `name`; returns its path.
    fn config(&self, name: &str, text: &str) -> Result<std::path::PathBuf, Box<dyn Error>> {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }
}

impl Peer {
    /// nginx with this content of `http`, `mail` or both; `TLS;` in it stands for what each of its servers with TLS is told.
    pub(crate) fn nginx(
        certificate: &Certificate,
        processes: u32,
        content: &str,
        address: SocketAddr,
    ) -> Result<Self, Box<dyn Error>> {
        let place = Place::new(certificate)?;
        let path = place.dir.path().display();
        // TLS 1.3 is not among the versions that nginx speaks by default before 1.23.4.
        let tls = format!(
            "ssl_certificate {}; ssl_certificate_key {}; ssl_protocols TLSv1.3; ssl_ecdh_curve X25519;",
            place.chain, place.key
        );
        let content = content.replace("TLS;", &tls);
        // Debian's mail module is a file of its own.
        let module = if content.contains("mail {") { "load_module modules/ngx_mail_module.so;" } else { "" };
        let module = module.replace("modules/", "/usr/lib/nginx/modules/");
        let config = place.config(
            "nginx.conf",
            &format!(
                "{module}\ndaemon off;\nworker_processes {processes};\nuser root;\npid {path}/pid;\n\
                 error_log {path}/error.log;\nworker_rlimit_nofile 20000;\n\
                 events {{ worker_connections 9900; }}\n{content}\n"
            ),
        )?;
        let mut command = Command::new("nginx");
        command.arg("-p").arg(place.dir.path()).arg("-c").arg(config);
        command.arg("-e").arg(place.dir.path().join("error.log"));
        Self::start(command, place, address)
    }

    /// HAProxy with these sections behind its defaults.
    pub(crate) fn haproxy(
        certificate: &Certificate,
        content: &str,
        address: SocketAddr,
    ) -> Result<Self, Box<dyn Error>> {
        let place = Place::new(certificate)?;
        let both = [std::fs::read(&place.chain)?, std::fs::read(&place.key)?].concat();
        let pem = place.config("both.pem", &String::from_utf8(both)?)?;
        let config = place.config(
            "haproxy.cfg",
            &format!(
                "global\n nbthread 2\n maxconn 9500\n ssl-default-bind-curves X25519\ndefaults\n \
                 timeout connect 5s\n timeout client 300s\n timeout server 300s\n{}\n",
                content.replace("PEM", &pem.display().to_string())
            ),
        )?;
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(config);
        Self::start(command, place, address)
    }

    /// Dovecot as a proxy of `imap` (plain) and `imaps`, for the one server at `backend`.
    pub(crate) fn dovecot(
        certificate: &Certificate,
        (imap, imaps): (SocketAddr, SocketAddr),
        backend: SocketAddr,
    ) -> Result<Self, Box<dyn Error>> {
        let place = Place::new(certificate)?;
        let (path, ip) = (place.dir.path().display(), imap.ip());
        let text = format!(
            "base_dir = {path}/run\nstate_dir = {path}/state\nlog_path = /dev/null\nprotocols = imap\n\
             listen = {ip}\nssl = yes\nssl_cert = <{}\nssl_key = <{}\nssl_curve_list = X25519\n\
             disable_plaintext_auth = no\nauth_mechanisms = plain\nmail_max_userip_connections = 100000\n\
             login_trusted_networks = 127.0.0.0/8\n\
             passdb {{\n driver = static\n args = nopassword=y proxy=y host={} port={}\n}}\n\
             service imap-login {{\n service_count = 0\n process_min_avail = 2\n process_limit = 2\n \
             client_limit = 9900\n vsz_limit = 2G\n inet_listener imap {{\n port = {}\n }}\n \
             inet_listener imaps {{\n port = {}\n ssl = yes\n }}\n}}\n\
             service anvil {{\n client_limit = 20000\n}}\nservice auth {{\n client_limit = 20000\n}}\n",
            place.chain,
            place.key,
            backend.ip(),
            backend.port(),
            imap.port(),
            imaps.port(),
        );
        let config = place.config("dovecot.conf", &text)?;
        let mut command = Command::new("dovecot");
        command.arg("-F").arg("-c").arg(config);
        Self::start(command, place, imap)
    }

    fn start(mut command: Command, place: Place, address: SocketAddr) -> Result<Self, Box<dyn Error>> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let peer = Self { child, _dir: place.dir };
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
        // The masters take their workers with them.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// CPU time of a process and its children that live, in seconds.
pub(crate) fn cpu(pid: u32) -> f64 {
    family(pid).into_iter().map(ticks).sum::<f64>() / TICKS
}

/// Resident memory of a process and its children in octets, what they share counted once (Pss).
pub(crate) fn memory(pid: u32) -> f64 {
    family(pid).into_iter().map(pss).sum()
}

/// A process and its children.
fn family(pid: u32) -> Vec<u32> {
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

fn pss(pid: u32) -> f64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) * 1024.0
}
