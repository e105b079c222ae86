//! A real Dovecot, on an address of the test's own, in a directory of its own.

use crate::certificate::Certificate;
use crate::deadline::DEADLINE;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How its listener speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Implicit TLS behind a PROXY header.
    Implicit,
    /// STARTTLS, which it demands.
    StartTls,
    /// No TLS, behind a PROXY header.
    Plain,
}

/// A running Dovecot, stopped when it is dropped.
pub struct Dovecot {
    pub name: String,
    pub certificate: Arc<Certificate>,
    dir: TempDir,
    child: Child,
    owner: Option<(u32, u32)>,
    address: SocketAddr,
}

/// Every user's password.
pub const PASSWORD: &str = "secret";

impl Dovecot {
    /// Starts one called `name` on `address`, which lets everybody in.
    pub fn start(name: &str, address: SocketAddr, mode: Mode) -> Self {
        Self::begin(name, address, mode, |_, text| text)
    }

    /// Starts one that lets in only those whom it has.
    pub fn with_users_of_its_own(name: &str, address: SocketAddr, mode: Mode) -> Self {
        Self::begin(name, address, mode, |dir, text| {
            // A master user is let in for those whom it has.
            let text = with_listed_users(dir, &text);
            text.replace("master = yes\n", "master = yes\n result_success = continue\n")
        })
    }

    /// Starts one that takes tokens too, about which it asks at `introspection`.
    pub fn with_tokens(name: &str, address: SocketAddr, mode: Mode, introspection: &str) -> Self {
        Self::begin(name, address, mode, |dir, text| {
            let file = dir.join("oauth2.conf");
            let keys = format!(
                "introspection_mode = get\nintrospection_url = {introspection}\n\
                 username_attribute = username\nactive_attribute = active\nactive_value = true\n"
            );
            std::fs::write(&file, keys).unwrap();
            let tokens = format!(
                "passdb {{\n driver = oauth2\n mechanisms = xoauth2 oauthbearer\n args = {}\n}}\npassdb {{\n",
                file.display()
            );
            let text = text.replacen("passdb {\n", &tokens, 1);
            let text = text.replace(" client_limit = 1000\n", " client_limit = 1000\n service_count = 0\n");
            text.replace("auth_mechanisms = plain login", "auth_mechanisms = plain login xoauth2 oauthbearer")
        })
    }

    /// Starts one that talks by SCRAM too, and lets in only those whom it has.
    pub fn with_scram(name: &str, address: SocketAddr, mode: Mode) -> Self {
        Self::begin(name, address, mode, |dir, text| {
            let text = with_listed_users(dir, &text);
            // One process for many logins: otherwise most of their time is that of making one.
            let text = text.replace(" client_limit = 1000\n", " client_limit = 1000\n service_count = 0\n");
            text.replace(
                "auth_mechanisms = plain login",
                "auth_mechanisms = plain login scram-sha-1 scram-sha-256",
            )
        })
    }

    /// Starts one that takes the word of a PROXY header for who has shown a certificate.
    pub fn with_external(name: &str, address: SocketAddr, mode: Mode) -> Self {
        Self::begin(name, address, mode, |_, text| {
            let shown =
                "passdb {\n driver = static\n args = nopassword=y\n mechanisms = external\n}\npassdb {\n";
            let text = text.replacen("passdb {\n", shown, 1);
            text.replace(
                "auth_mechanisms = plain login",
                "auth_mechanisms = plain login external\nauth_ssl_username_from_cert = yes",
            )
        })
    }

    fn begin(
        name: &str,
        address: SocketAddr,
        mode: Mode,
        change: impl FnOnce(&Path, String) -> String,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let certificate = Certificate::for_names(&[name]);
        let (chain, key) = certificate.write(dir.path(), "dovecot");
        // Dovecot reads mail as an ordinary user only; root gives it that of the mail group.
        let owner = rustix::process::getuid().is_root().then(|| (id("-u", "mail"), id("-g", "mail")));
        let path = dir.path().join("dovecot.conf");
        let text = config(dir.path(), &chain, &key, address, mode, owner);
        let text = change(dir.path(), text);
        std::fs::write(&path, text).unwrap();
        std::fs::create_dir(dir.path().join("mail")).unwrap();
        if let Some((uid, gid)) = owner {
            chown(dir.path().join("mail"), Some(uid), Some(gid)).unwrap();
        }
        let child = launch(&path, address);
        Self { name: name.to_owned(), certificate, dir, child, owner, address }
    }

    /// Kills it and all its processes, as a crash would.
    pub fn kill(&mut self) {
        let group = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw).unwrap();
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.child.wait();
    }

    /// Starts it again after it was killed.
    pub fn start_again(&mut self) {
        let _ = std::fs::remove_file(self.dir.path().join("run/master.pid"));
        self.child = launch(&self.dir.path().join("dovecot.conf"), self.address);
    }

    /// Gives `user` a message that names this server.
    pub fn add_user(&self, user: &str) {
        let maildir = self.dir.path().join("mail").join(user).join("Maildir");
        let message = maildir.join("cur/1.welcome:2,");
        for part in ["cur", "new", "tmp"] {
            std::fs::create_dir_all(maildir.join(part)).unwrap();
        }
        let text =
            format!("From: archive@{0}\nTo: {user}\nSubject: held by {0}\n\nThis is {0}.\n", self.name);
        std::fs::write(&message, text).unwrap();
        if let Some((uid, gid)) = self.owner {
            let dirs = [maildir.parent().unwrap(), &maildir, &message];
            let parts = ["cur", "new", "tmp"].map(|part| maildir.join(part));
            for path in dirs.into_iter().chain(parts.iter().map(PathBuf::as_path)) {
                chown(path, Some(uid), Some(gid)).unwrap();
            }
        }
    }

    /// Lets `user` in, of one that has users of its own, and gives them a message.
    pub fn let_in(&self, user: &str) {
        use std::io::Write;
        let mut list = std::fs::OpenOptions::new().append(true).open(self.dir.path().join("users")).unwrap();
        writeln!(list, "{user}:{{plain}}{PASSWORD}::::::").unwrap();
        self.add_user(user);
    }

    /// Lets `user` in whose password is kept by `scheme`, and gives them a message.
    pub fn let_in_by(&self, scheme: &str, user: &str) {
        use std::io::Write;
        let hashed = Command::new("doveadm").args(["pw", "-s", scheme, "-p", PASSWORD]).output().unwrap();
        let hashed = String::from_utf8(hashed.stdout).unwrap();
        let mut list = std::fs::OpenOptions::new().append(true).open(self.dir.path().join("users")).unwrap();
        writeln!(list, "{user}:{}::::::", hashed.trim()).unwrap();
        self.add_user(user);
    }

    /// How many logins have failed here.
    pub fn failures(&self) -> usize {
        self.log().matches("auth failed").count()
    }

    /// Puts a message behind those that `user` has; those delivered so are in the order of their names.
    pub fn deliver(&self, user: &str, name: &str, raw: &[u8]) {
        let message = self.dir.path().join("mail").join(user).join(format!("Maildir/cur/2.{name}:2,"));
        std::fs::write(&message, raw).unwrap();
        if let Some((uid, gid)) = self.owner {
            chown(&message, Some(uid), Some(gid)).unwrap();
        }
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        let _ = pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::TERM));
        let _ = self.child.wait();
    }
}

/// Its configuration with a list of users in place of everybody.
fn with_listed_users(dir: &Path, text: &str) -> String {
    let list = dir.join("users");
    std::fs::write(&list, "").unwrap();
    let everybody = format!("passdb {{\n driver = static\n args = password={PASSWORD}\n}}\n");
    let listed = format!("passdb {{\n driver = passwd-file\n args = {}\n}}\n", list.display());
    text.replace(&everybody, &listed)
}

/// Starts it in a process group of its own, and waits until it listens.
fn launch(config: &Path, address: SocketAddr) -> Child {
    let child = Command::new("dovecot")
        .args(["-F", "-c"])
        .arg(config)
        .stdin(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("dovecot is installed; tests/install-peers does it");
    let until = Instant::now() + DEADLINE;
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < until, "dovecot does not listen on {address}");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

fn id(which: &str, user: &str) -> u32 {
    let output = Command::new("id").args([which, user]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().parse().unwrap()
}

fn config(
    dir: &Path,
    chain: &Path,
    key: &Path,
    address: SocketAddr,
    mode: Mode,
    owner: Option<(u32, u32)>,
) -> String {
    let (dir, chain, key) = (dir.display(), chain.display(), key.display());
    let (listener, ssl) = match mode {
        Mode::Implicit => ("ssl = yes\nhaproxy = yes", "required"),
        Mode::StartTls => ("ssl = no", "required"),
        Mode::Plain => ("haproxy = yes", "no"),
    };
    let as_whom = match owner {
        Some((uid, gid)) => {
            format!("mail_uid = {uid}\nmail_gid = {gid}\nfirst_valid_uid = 1\nfirst_valid_gid = 1")
        }
        None => {
            let user = std::env::var("USER").unwrap_or_else(|_| "nobody".to_owned());
            format!(
                "default_internal_user = {user}\ndefault_login_user = {user}\n\
                 service anvil {{\n chroot =\n}}\nservice imap-login {{\n chroot =\n}}"
            )
        }
    };
    let (ip, port) = (address.ip(), address.port());
    format!(
        "base_dir = {dir}/run\nstate_dir = {dir}/state\nlog_path = {dir}/log\nprotocols = imap\n\
         ssl = {ssl}\nssl_cert = <{chain}\nssl_key = <{key}\ndisable_plaintext_auth = no\n\
         auth_mechanisms = plain login\nauth_failure_delay = 0\nmail_max_userip_connections = 10000\n\
         haproxy_trusted_networks = 127.0.0.0/8\nlogin_trusted_networks = 127.0.0.0/8\n\
         auth_master_user_separator = *\n\
         passdb {{\n driver = static\n args = password={PASSWORD}\n master = yes\n}}\n\
         passdb {{\n driver = static\n args = password={PASSWORD}\n}}\n\
         userdb {{\n driver = static\n args = home={dir}/mail/%u\n}}\n\
         mail_location = maildir:~/Maildir\nlisten = {ip}\n\
         service imap-login {{\n client_limit = 1000\n inet_listener imap {{\n port = {port}\n {listener}\n }}\n\
         inet_listener imaps {{\n port = 0\n }}\n}}\n\
         service imap {{\n process_limit = 2000\n}}\nservice anvil {{\n client_limit = 5000\n unix_listener anvil-auth-penalty {{\n mode = 0\n }}\n}}\n\
         service auth {{\n client_limit = 5000\n}}\n{as_whom}\n"
    )
}
