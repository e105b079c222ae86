//! A real Cyrus as an instance host, unpacked beside the build: its package would take the place of Dovecot's.

use crate::certificate::Certificate;
use crate::deadline::DEADLINE;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use tempfile::TempDir;

/// Every user's password.
pub const PASSWORD: &str = "secret";

/// The running server, killed with all its processes when it is dropped.
pub struct Cyrus {
    child: Child,
    _dir: TempDir,
}

impl Cyrus {
    /// Serves `users` of example.com with implicit TLS on `address`. Where there is an `authority`, clients are asked for
    /// certificates of it, and may do without.
    pub fn start(
        address: SocketAddr,
        certificate: &Certificate,
        authority: Option<&Certificate>,
        users: &[&str],
    ) -> Self {
        Self::begin(address, None, certificate, authority, users)
    }

    /// Serves `users` of example.com without TLS and with implicit TLS, and talks by SCRAM.
    pub fn start_both(
        (clear, secure): (SocketAddr, SocketAddr),
        certificate: &Certificate,
        users: &[&str],
    ) -> Self {
        Self::begin(secure, Some(clear), certificate, None, users)
    }

    fn begin(
        address: SocketAddr,
        clear: Option<SocketAddr>,
        certificate: &Certificate,
        authority: Option<&Certificate>,
        users: &[&str],
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (path, shown) = (dir.path(), dir.path().display());
        let (chain, key) = certificate.write(path, "cyrus");
        let clients = authority.map_or("tls_client_certs: off\n".to_owned(), |authority| {
            let (authority, _) = authority.write(path, "authority");
            format!("tls_client_ca_file: {}\n", authority.display())
        });
        // It serves as nobody who may do everything.
        let own = std::env::var("USER").unwrap_or_default();
        let user = if rustix::process::geteuid().is_root() { "mail" } else { &own };
        let talks = if clear.is_some() { "SCRAM-SHA-256" } else { "" };
        let config = format!(
            "configdirectory: {shown}/conf\npartition-default: {shown}/spool\ndefaultpartition: default\n\
             cyrus_user: {user}\nservername: cyrus.test\nadmins: cyrus\nvirtdomains: userid\n\
             defaultdomain: internal.invalid\nunixhierarchysep: yes\naltnamespace: yes\nautocreate_quota: 0\n\
             allowplaintext: yes\nsasl_pwcheck_method: auxprop\nsasl_auxprop_plugin: sasldb\n\
             sasl_sasldb_path: {shown}/sasldb2\nsasl_mech_list: PLAIN {talks}\ntls_server_cert: {}\ntls_server_key: {}\n\
             {clients}imapidlepoll: 1s\nfailedloginpause: 0\n",
            chain.display(),
            key.display()
        );
        let programs = unpacked().join("usr/lib/cyrus/bin");
        let run = |program: &str| format!("{}/{program} -C {shown}/imapd.conf", programs.display());
        let without_tls = clear.map_or_else(String::new, |clear| {
            format!(" imap cmd=\"{}\" listen=\"{clear}\" prefork=0\n", run("imapd"))
        });
        let services = format!(
            "START {{\n recover cmd=\"{} -r\"\n}}\nDAEMON {{\n idled cmd=\"{}\"\n}}\n\
             SERVICES {{\n imaps cmd=\"{} -s\" listen=\"{address}\" prefork=0\n{without_tls}}}\n",
            run("ctl_cyrusdb"),
            run("idled"),
            run("imapd")
        );
        std::fs::create_dir_all(path.join("conf/socket")).unwrap();
        std::fs::create_dir_all(path.join("conf/db")).unwrap();
        std::fs::create_dir_all(path.join("spool")).unwrap();
        std::fs::write(path.join("imapd.conf"), config).unwrap();
        std::fs::write(path.join("cyrus.conf"), services).unwrap();
        for user in users {
            let add = "printf %s \"$0\" | saslpasswd2 -p -c -f \"$1/sasldb2\" -u example.com \"$2\"";
            let added = Command::new("sh").args(["-c", add, PASSWORD]).arg(path).arg(user).status();
            assert!(
                added.is_ok_and(|status| status.success()),
                "saslpasswd2; tests/install-peers installs it"
            );
        }
        if rustix::process::geteuid().is_root() {
            let given = Command::new("chown").args(["-R", user]).arg(path).status();
            assert!(given.is_ok_and(|status| status.success()));
        }
        let libraries = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu"];
        let libraries: Vec<String> =
            libraries.iter().map(|at| unpacked().join(at).display().to_string()).collect();
        let child = Command::new(programs.join("master"))
            .args(["-D", "-C"])
            .arg(path.join("imapd.conf"))
            .arg("-M")
            .arg(path.join("cyrus.conf"))
            .arg("-p")
            .arg(path.join("master.pid"))
            .env("LD_LIBRARY_PATH", libraries.join(":"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("Cyrus is there; tests/install-peers unpacks it");
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(begun.elapsed() < DEADLINE, "Cyrus does not start");
            std::thread::yield_now();
        }
        Self { child, _dir: dir }
    }
}

fn unpacked() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/cyrus")
}

impl Drop for Cyrus {
    fn drop(&mut self) {
        // Its services have forked; they are of its group.
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", self.child.id())]).status();
        let _ = self.child.wait();
    }
}
