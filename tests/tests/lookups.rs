//! Others ask usher where a user is: Postfix, nginx and Dovecot themselves.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use usher_tests::archive::{Event, Options};
use usher_tests::client::Client;
use usher_tests::deadline::DEADLINE;
use usher_tests::runtime::archive;
use usher_tests::usher::{Setup, Usher, command};

/// usher with two hosts, of which the first has anna and all of a domain, and whoever else asks.
struct Site {
    usher: Usher,
    at: SocketAddr,
    socket: PathBuf,
    one: SocketAddr,
    archives: [std::sync::Arc<usher_tests::archive::Archive>; 2],
}

impl Site {
    /// Whether anna has logged in at the host.
    fn is_in(&self, at: usize) -> bool {
        self.archives[at].events().contains(&Event::LoggedIn("anna@example.com".to_owned()))
    }
}

/// Logs in at a proxy beside usher.
fn logs_in(at: SocketAddr, user: &str) -> String {
    let mut client = Client::plain(at);
    client.line();
    client.command(&format!("a LOGIN {user} secret")).pop().unwrap()
}

fn site() -> Site {
    site_of(Setup::new())
}

fn site_of(setup: Setup) -> Site {
    let hosts = [("one.test", setup.at(10143)), ("two.test", setup.at(10144))];
    let archives = hosts.map(|(name, at)| archive(Options::named(name), at));
    archives.iter().for_each(|archive| archive.add_user("anna@example.com", "secret"));
    let (at, socket) = (setup.at(9145), setup.dir.path().join("lookup.sock"));
    let mut setup = setup
        .section(&format!("[[listener]]\nprotocol = \"lookup\"\naddress = \"{at}\"\n"))
        .section(&format!(
            "[[listener]]\nprotocol = \"lookup\"\naddress = {socket:?}\nserves = [\"socketmap\", \"dict\"]\ntransport = \"lmtp:[{{address}}]:24\"\n"
        ));
    for (name, at) in hosts {
        setup = setup.host(name, at, "tls = \"none\"", "");
    }
    let users = [("anna@example.com", "one.test"), ("@wide.test", "two.test")];
    Site { usher: setup.users(&users).start(), at, socket, one: hosts[0].1, archives }
}

/// Postfix, as far as its tables are concerned.
struct Postfix(TempDir);

impl Postfix {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("main.cf"), "compatibility_level = 3.6\nmail_owner = postfix\n")
            .unwrap();
        std::fs::write(dir.path().join("master.cf"), "").unwrap();
        Self(dir)
    }

    /// What a table says of a key: its answer, and whether Postfix would have to ask again.
    fn asks(&self, table: &str, key: &str) -> Result<Option<String>, String> {
        let mut command = Command::new("/usr/sbin/postmap");
        command.arg("-c").arg(self.0.path()).args(["-q", key, table]);
        let Output { status, stdout, stderr } =
            command.output().expect("Postfix is installed; tests/install-peers does it");
        let (said, told) =
            (String::from_utf8(stdout).unwrap(), String::from_utf8_lossy(&stderr).into_owned());
        match (status.success(), told.is_empty()) {
            (true, _) => Ok(Some(said.trim_end().to_owned())),
            (false, true) => Ok(None),
            (false, false) => Err(told),
        }
    }
}

#[test]
fn postfix_delivers_where_a_user_is() {
    let site = site();
    let postfix = Postfix::new();
    let inet = format!("{}:{}", site.at.ip(), site.at.port());
    let (map, host) = (format!("socketmap:inet:{inet}:transport"), format!("socketmap:inet:{inet}:host"));
    let (table, unix) =
        (format!("tcp:{inet}"), format!("socketmap:unix:{}:transport", site.socket.display()));
    let on = |said: &str| Ok(Some(said.to_owned()));
    for (key, said) in [
        ("anna@example.com", Some("one.test")),
        ("ANNA@Example.com", Some("one.test")),
        ("x@wide.test", Some("two.test")),
        ("nobody@example.com", None),
        ("example.com", None),
        ("anna", None),
        ("@wide.test", None),
    ] {
        let transport = said.map(|host| format!("lmtp:{host}"));
        assert_eq!(postfix.asks(&map, key), Ok(transport.clone()), "{key}");
        assert_eq!(postfix.asks(&table, key), Ok(transport), "{key}");
        assert_eq!(postfix.asks(&host, key), Ok(said.map(ToOwned::to_owned)), "{key}");
    }
    let address = site.one.ip();
    assert_eq!(postfix.asks(&unix, "anna@example.com"), on(&format!("lmtp:[{address}]:24")));
    assert!(postfix.asks(&map.replace(":transport", ":other"), "anna@example.com").is_err());
    // It follows a move in the same moment, and waits while that is under way.
    site.usher.did(&["user", "hold", "anna@example.com"]);
    assert!(
        postfix.asks(&map, "anna@example.com").is_err() && postfix.asks(&table, "anna@example.com").is_err()
    );
    site.usher.did(&["user", "release", "anna@example.com"]);
    site.usher.did(&["move", "user", "anna@example.com", "two.test", "--wait"]);
    assert_eq!(postfix.asks(&map, "anna@example.com"), on("lmtp:two.test"));
    assert_eq!(postfix.asks(&table, "anna@example.com"), on("lmtp:two.test"));
    let page = site.usher.shows("/metrics").as_str().unwrap().to_owned();
    assert!(page.contains("usher_lookups_answered_total{protocol=\"socketmap\",result=\"found\"}"), "{page}");
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn nginx_proxies_to_where_a_user_is() {
    let site = site();
    let (dir, at) = (tempfile::tempdir().unwrap(), SocketAddr::new(site.at.ip(), 15143));
    let shown = dir.path().display();
    let config = format!(
        "load_module /usr/lib/nginx/modules/ngx_mail_module.so;\ndaemon off;\nmaster_process off;\npid {shown}/pid;\n\
         error_log {shown}/log;\nevents {{}}\nmail {{ server_name mail.test; auth_http {}/auth;\n\
         server {{ listen {at}; protocol imap; }} }}\n",
        site.at
    );
    std::fs::write(dir.path().join("nginx.conf"), config).unwrap();
    let mut nginx = Command::new("nginx");
    nginx.arg("-c").arg(dir.path().join("nginx.conf")).arg("-e").arg(dir.path().join("log"));
    let _running = Running(nginx.stdin(Stdio::null()).spawn().expect("nginx is installed"));
    let until = Instant::now() + DEADLINE;
    while TcpStream::connect(at).is_err() {
        assert!(
            Instant::now() < until,
            "{}",
            std::fs::read_to_string(dir.path().join("log")).unwrap_or_default()
        );
        thread::sleep(Duration::from_millis(20));
    }
    let logs_in = |user: &str| logs_in(at, user);
    assert!(logs_in("anna@example.com").starts_with("a OK"));
    assert!(site.is_in(0) && !site.is_in(1));
    assert!(logs_in("nobody@example.com").starts_with("a NO"));
    site.usher.did(&["move", "user", "anna@example.com", "two.test", "--wait"]);
    assert!(logs_in("anna@example.com").starts_with("a OK"));
    assert!(site.is_in(1));
}

/// Dovecot as a proxy that knows nobody itself.
struct Dovecot(TempDir);

impl Dovecot {
    fn start(socket: &Path, at: SocketAddr) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let shown = dir.path().display();
        std::fs::write(
            dir.path().join("usher.conf.ext"),
            format!(
                "uri = proxy:{}:usher\nkey passdb {{\n key = passdb/%u\n format = json\n}}\npassdb_objects = passdb\ndefault_pass_scheme = PLAIN\n",
                socket.display()
            ),
        )
        .unwrap();
        let config = format!(
            "base_dir = {shown}/run\nlog_path = {shown}/log\nssl = no\nprotocols = imap\ndefault_internal_user = root\n\
             default_login_user = nobody\ndisable_plaintext_auth = no\nlisten = {}\n\
             service imap-login {{\n inet_listener imap {{\n port = {}\n }}\n inet_listener imaps {{\n port = 0\n }}\n}}\npassdb {{\n driver = dict\n args = {shown}/usher.conf.ext\n}}\n\
             userdb {{\n driver = static\n args = uid=nobody gid=nogroup home=/tmp\n}}\n",
            at.ip(),
            at.port()
        );
        std::fs::write(dir.path().join("dovecot.conf"), config).unwrap();
        let mut started = Command::new("dovecot");
        started.arg("-c").arg(dir.path().join("dovecot.conf"));
        // It goes on in the background, and would keep a pipe open.
        let started = started.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(started.expect("Dovecot is installed").success());
        Self(dir)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.0.path().join("log")).unwrap_or_default()
    }

    /// What the passdb says of a user.
    fn passdb(&self, user: &str) -> (bool, String) {
        let mut command = Command::new("doveadm");
        command.arg("-c").arg(self.0.path().join("dovecot.conf")).args(["auth", "lookup", user]);
        let until = Instant::now() + DEADLINE;
        loop {
            let output = command.output().unwrap();
            let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            // It is just starting.
            if !said.contains("connect(") || Instant::now() > until {
                return (output.status.success(), said);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        let mut stop = Command::new("doveadm");
        let _ = stop.arg("-c").arg(self.0.path().join("dovecot.conf")).arg("stop").output();
    }
}

#[test]
fn dovecot_proxies_to_where_a_user_is() {
    if !rustix::process::getuid().is_root() {
        eprintln!("not run: this Dovecot is started as root");
        return;
    }
    let site = site();
    std::fs::set_permissions(site.socket.parent().unwrap(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let at = SocketAddr::new(site.at.ip(), 15143);
    let dovecot = Dovecot::start(&site.socket, at);
    let (found, said) = dovecot.passdb("anna@example.com");
    assert!(found && said.contains(&format!("host      : {}", site.one.ip())), "{said}");
    assert!(said.contains("port      : 10143") && said.contains("proxy     : y"), "{said}");
    let (found, said) = dovecot.passdb("nobody@example.com");
    assert!(!found && said.contains("doesn't exist"), "{said}");
    let logs_in = |user: &str| logs_in(at, user);
    assert!(logs_in("anna@example.com").starts_with("a OK"), "{}", dovecot.log());
    assert!(site.is_in(0) && !site.is_in(1));
    site.usher.did(&["user", "hold", "anna@example.com"]);
    let (found, said) = dovecot.passdb("anna@example.com");
    assert!(!found && !said.contains("doesn't exist"), "{said}");
    site.usher.did(&["user", "release", "anna@example.com"]);
    site.usher.did(&["move", "user", "anna@example.com", "two.test", "--wait"]);
    let (found, said) = dovecot.passdb("anna@example.com");
    assert!(found && said.contains("port      : 10144"), "{said}");
    assert!(logs_in("nobody@example.com").starts_with("a NO"));
    assert!(logs_in("anna@example.com").starts_with("a OK"));
    assert!(site.is_in(1));
}

/// Sends bytes, and reads until the other side has nothing more to say.
fn says(at: SocketAddr, bytes: &[u8]) -> String {
    let stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    converse(&stream, bytes, || stream.shutdown(Shutdown::Write))
}

/// The same at a socket of the file system.
fn says_at(socket: &Path, bytes: &[u8]) -> String {
    let stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    converse(&stream, bytes, || stream.shutdown(Shutdown::Write))
}

fn converse(mut stream: impl Read + Write, bytes: &[u8], end: impl Fn() -> io::Result<()>) -> String {
    stream.write_all(bytes).unwrap();
    let _ = end();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn what_is_not_a_question_has_no_answer_and_disturbs_nobody() {
    let site = site();
    let huge = [b"99999:".as_slice(), &[b'x'; 6000]].concat();
    let long = [b"get ".as_slice(), &vec![b'x'; 20_000], b"\n"].concat();
    for bad in [
        b"\xff\x00".as_slice(),
        b"12",
        b"5:ab",
        b"5:abcdex",
        b"999999:",
        b":,",
        &huge,
        &long,
        b"GET / HTTP/1.0\r\n",
    ] {
        assert_eq!(says(site.at, bad), "", "{:?}", String::from_utf8_lossy(&bad[..bad.len().min(20)]));
    }
    assert_eq!(
        says(site.at, b"put anna@example.com x\nget anna@example.com\n"),
        "400 only \"get\" is understood\n200 lmtp:one.test\n"
    );
    assert_eq!(says(site.at, b"get anna%40example.com\n"), "200 lmtp:one.test\n");
    assert!(says(site.at, b"POST /auth HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 405 "));
    let pop = b"GET /auth HTTP/1.0\r\nAuth-User: anna@example.com\r\nAuth-Protocol: pop3\r\n\r\n";
    assert!(says(site.at, pop).contains("Only IMAP is served"));
    let silent: Vec<_> = (0..50).map(|_| TcpStream::connect(site.at).unwrap()).collect();
    assert_eq!(says(site.at, b"26:transport anna@example.com,"), "16:OK lmtp:one.test,");
    drop(silent);
    // What is not for a listener is not answered there.
    let mut stream = UnixStream::connect(&site.socket).unwrap();
    stream.write_all(b"get anna@example.com\n").unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert_eq!(answer, "");
}

#[test]
fn whoever_asks_while_processes_succeed_each_other_is_answered() {
    const UPGRADES: usize = 5;
    const QUESTION: &[u8] = b"21:host anna@example.com,";
    let mut site = site();
    let (at, socket) = (site.at, site.socket.clone());
    thread::scope(|scope| {
        let upgrading = scope.spawn(|| (0..UPGRADES).for_each(|_| site.usher.upgraded()));
        while !upgrading.is_finished() {
            assert_eq!(says(at, QUESTION), "11:OK one.test,");
            assert_eq!(says_at(&socket, QUESTION), "11:OK one.test,");
        }
    });
}

#[test]
fn whoever_goes_on_asking_comes_to_the_successor() {
    // The former process stays.
    let keep = "old_sessions = \"keep\"\ndrain_deadline = \"10m\"";
    let mut site = site_of(Setup::new().server(keep));
    let mut session = Client::tls(site.usher.imaps());
    assert!(session.command("a LOGIN anna@example.com secret").pop().unwrap().starts_with("a OK"));
    let mut stream = TcpStream::connect(site.at).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut asks = || {
        let mut answer = [0; 15];
        stream.write_all(b"21:host anna@example.com,").and_then(|()| stream.read_exact(&mut answer)).ok()?;
        Some(String::from_utf8_lossy(&answer).into_owned())
    };
    assert_eq!(asks().as_deref(), Some("11:OK one.test,"));
    site.usher.upgraded();
    let until = Instant::now() + DEADLINE;
    while let Some(answer) = asks() {
        assert_eq!(answer, "11:OK one.test,");
        assert!(Instant::now() < until, "the former process goes on answering");
    }
    assert_eq!(says(site.at, b"21:host anna@example.com,"), "11:OK one.test,");
    assert!(session.command("b NOOP").pop().unwrap().starts_with("b OK"), "the session stays");
}

#[test]
fn a_successor_answers_and_nobody_else_may_ask() {
    let mut site = site();
    let upgraded = site.usher.upgrade();
    assert!(upgraded.status.success());
    assert_eq!(says(site.at, b"26:transport anna@example.com,"), "16:OK lmtp:one.test,");
    let postfix = Postfix::new();
    let unix = format!("socketmap:unix:{}:host", site.socket.display());
    assert_eq!(postfix.asks(&unix, "anna@example.com"), Ok(Some("one.test".to_owned())));
    let file = site.usher.config().with_file_name("open.toml");
    let text = std::fs::read_to_string(site.usher.config()).unwrap();
    std::fs::write(&file, text.replace(&site.at.to_string(), "0.0.0.0:9145")).unwrap();
    let output = command(&["check", "--config", file.to_str().unwrap()]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(78) && said.contains("others could ask who exists"), "{said}");
}
