//! The configuration of one usher, made for the test.

use super::{HTTPS, IMAP, IMAPS, Lines, Usher, binary, command};
use crate::address;
use crate::certificate::Certificate;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tempfile::TempDir;

/// A configuration in the making.
pub struct Setup {
    pub dir: TempDir,
    pub ip: IpAddr,
    pub certificate: Arc<Certificate>,
    names_certificate: bool,
    pub(super) server: String,
    pub(super) imap: String,
    pub(super) imaps: String,
    pub(super) https: Option<String>,
    pub(super) rest: String,
    pub(super) wrapper: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

impl Setup {
    /// Listeners on an address of its own, a certificate for `mail.test`, no hosts, and short deadlines.
    pub fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            ip: address::own(),
            certificate: Certificate::for_names(&["mail.test"]),
            names_certificate: true,
            server: "login_wait = \"2s\"\ndrain_deadline = \"1s\"\n".to_owned(),
            imap: String::new(),
            imaps: String::new(),
            https: None,
            rest: "[[domain]]\nname = \"example.com\"\ndefault_for = [\"any\"]\n".to_owned(),
            wrapper: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// Names no certificate.
    pub fn without_certificate(mut self) -> Self {
        self.names_certificate = false;
        self
    }

    /// Replaces the keys of `[server]` beyond name and state.
    pub fn server(mut self, keys: &str) -> Self {
        self.server = format!("{keys}\n");
        self
    }

    /// Adds keys to the STARTTLS listener.
    pub fn imap(mut self, keys: &str) -> Self {
        self.imap.push_str(keys);
        self
    }

    /// Adds keys to the implicit-TLS listener.
    pub fn imaps(mut self, keys: &str) -> Self {
        self.imaps.push_str(keys);
        self
    }

    /// Adds a listener for HTTPS with these keys.
    pub fn https(mut self, keys: &str) -> Self {
        self.https = Some(keys.to_owned());
        self
    }

    /// Adds a host whose web service is at `address`; `http` are the keys of its endpoint, `keys` those of the
    /// host. It is not probed unless `keys` say how.
    pub fn web_host(self, name: &str, address: SocketAddr, http: &str, keys: &str) -> Self {
        let imap = SocketAddr::new(address.ip(), 9);
        let health = if keys.contains("health") {
            ""
        } else {
            "health = { imap = { probe = \"none\" }, http = { probe = \"none\" } }\n"
        };
        let keys = format!("http = {{ address = \"{address}\", {http} }}\n{health}{keys}");
        self.section(&format!(
            "[[instance_host]]\nname = \"{name}\"\nimap = {{ address = \"{imap}\", tls = \"none\" }}\n{keys}"
        ))
    }

    /// Adds sections.
    pub fn section(mut self, text: &str) -> Self {
        self.rest.push_str(text);
        self.rest.push('\n');
        self
    }

    /// Adds `[limits]`.
    pub fn limits(self, keys: &str) -> Self {
        self.section(&format!("[limits]\n{keys}"))
    }

    /// Adds a host; `imap` are the keys of its endpoint beyond the address, `keys` those of the host. It is
    /// not probed unless `keys` say how, so that it hears nobody but the test.
    pub fn host(self, name: &str, address: SocketAddr, imap: &str, keys: &str) -> Self {
        let health = if keys.contains("health") { "" } else { "health = { imap = { probe = \"none\" } }\n" };
        self.section(&format!(
            "[[instance_host]]\nname = \"{name}\"\nimap = {{ address = \"{address}\", {imap} }}\n{health}{keys}"
        ))
    }

    /// Runs usher by another program, such as `prlimit`.
    pub fn wrapped(mut self, words: &[&str]) -> Self {
        self.wrapper = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// The address of a port of this test.
    pub fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip, port)
    }

    /// Writes the configuration, and returns where.
    pub fn write(&self) -> PathBuf {
        let (chain, key) = self.certificate.write(self.dir.path(), "usher");
        let certificate = match self.names_certificate {
            true => format!("[[certificate]]\nchain = {chain:?}\nkey = {key:?}\n"),
            false => String::new(),
        };
        let text = format!(
            "[server]\nname = \"mail.test\"\nstate_dir = {:?}\n{}\n\
             [[listener]]\nprotocol = \"imap\"\naddress = \"{}\"\n{}\n\
             [[listener]]\nprotocol = \"imaps\"\naddress = \"{}\"\n{}\n\
             {certificate}{}",
            self.dir.path().join("state"),
            self.server,
            self.at(IMAP),
            self.imap,
            self.at(IMAPS),
            self.imaps,
            self.rest,
        );
        // Tests fail to log in on purpose, and all from here.
        let never =
            if text.contains("[guessing]") { "" } else { "\n[guessing]\nnever = [\"127.0.0.0/8\"]\n" };
        let https = self.https.as_ref().map(|keys| {
            format!("\n[[listener]]\nprotocol = \"https\"\naddress = \"{}\"\n{keys}\n", self.at(HTTPS))
        });
        let text = text + never + &https.unwrap_or_default();
        let path = self.dir.path().join("usher.toml");
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Puts users on hosts.
    pub fn users(self, users: &[(&str, &str)]) -> Self {
        let config = self.write();
        let csv: String = users.iter().map(|(user, host)| format!("{user},{host}\n")).collect();
        let path = self.dir.path().join("users.csv");
        std::fs::write(&path, csv).unwrap();
        let output =
            command(&["user", "--config", config.to_str().unwrap(), "import", path.to_str().unwrap()]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self
    }

    /// Starts usher and waits until it serves.
    pub fn start(self) -> Usher {
        self.start_with(&[])
    }

    /// Starts usher with another configuration file, whose listeners are at the ports of the test's.
    pub fn start_by(self, config: &Path) -> Usher {
        self.start_at(config.to_owned(), &[])
    }

    /// Starts usher with these arguments beyond the configuration.
    pub fn start_with(self, arguments: &[&str]) -> Usher {
        let config = self.write();
        self.start_at(config, arguments)
    }

    fn start_at(self, config: PathBuf, arguments: &[&str]) -> Usher {
        let mut usher = Usher {
            child: self.spawn(&config, arguments),
            setup: self,
            config,
            log: Lines::default(),
            successors: Vec::new(),
        };
        usher.listen_to();
        usher.wait_for_log("serving");
        usher
    }

    /// The program that usher is started as: a link, which a test may let lead elsewhere.
    pub fn program(&self) -> PathBuf {
        let link = self.dir.path().join("usher");
        if !link.is_symlink() && !link.exists() {
            std::os::unix::fs::symlink(binary(), &link).unwrap();
        }
        link
    }

    pub(super) fn spawn(&self, config: &Path, arguments: &[&str]) -> Child {
        let mut words = self.wrapper.clone();
        words.push(self.program().to_str().unwrap().to_owned());
        Command::new(&words[0])
            .args(&words[1..])
            .args(["serve", "--config"])
            .arg(config)
            .args(arguments)
            .envs(self.environment.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("usher starts")
    }

    /// Sets a variable of usher's environment.
    pub fn environment(mut self, key: &str, value: &str) -> Self {
        self.environment.push((key.to_owned(), value.to_owned()));
        self
    }
}
