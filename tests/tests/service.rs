//! usher under systemd, as the units of the packages start it: of `make proof`, because it needs root and a system of its own.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use usher_tests::address;
use usher_tests::archive::Options;
use usher_tests::client::Client;
use usher_tests::dovecot::{Dovecot, Mode};
use usher_tests::runtime::archive;
use usher_tests::usher::binary;

const GONE: &str = "* BYE [UNAVAILABLE] Connection is closing, please reconnect.";
const CLIENTS: usize = 8;

/// A system with systemd as process 1, ended when it is dropped.
struct System {
    root: PathBuf,
    outside: Child,
    process: u32,
}

impl System {
    fn start() -> Self {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = tests.join("../target/systemd-root");
        let mut outside =
            Command::new(tests.join("systemd-root")).arg(&root).stdout(Stdio::null()).spawn().unwrap();
        // Debian has to be fetched the first time.
        let until = Instant::now() + Duration::from_secs(600);
        let process = loop {
            assert!(outside.try_wait().unwrap().is_none() && Instant::now() < until, "no systemd");
            let children = format!("/proc/{0}/task/{0}/children", outside.id());
            let children = std::fs::read_to_string(children).unwrap_or_default();
            let process = children.split_whitespace().next().and_then(|number| number.parse().ok());
            let is_it = |process: &u32| {
                let name = std::fs::read_to_string(format!("/proc/{process}/comm"));
                name.is_ok_and(|name| name.trim() == "systemd")
            };
            match process.filter(is_it) {
                Some(process) => break process,
                None => std::thread::sleep(Duration::from_millis(50)),
            }
        };
        let system = Self { root, outside, process };
        while !system.run(&["systemctl", "is-active", "basic.target"]).status.success() {
            assert!(Instant::now() < until, "systemd does not start");
            std::thread::sleep(Duration::from_millis(100));
        }
        system
    }

    fn run(&self, words: &[&str]) -> Output {
        let target = self.process.to_string();
        let enter = ["--target", &target, "--all", "--root", "--wd"];
        Command::new("nsenter").args(enter).args(words).output().unwrap()
    }

    fn did(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn main_process(&self) -> u32 {
        let shown = self.did(&["systemctl", "show", "--property", "MainPID", "--value", "usher"]);
        shown.trim().parse().unwrap()
    }

    /// Puts usher there, with the units of the packages.
    fn install(&self, config: &str) {
        let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/systemd");
        let there = self.root.join("etc/systemd/system");
        for unit in std::fs::read_dir(units).unwrap() {
            let unit = unit.unwrap();
            std::fs::copy(unit.path(), there.join(unit.file_name())).unwrap();
        }
        // What namespaces and the limits of a test machine do not allow.
        std::fs::create_dir_all(there.join("usher.service.d")).unwrap();
        let here = "[Service]\nPrivateDevices=no\nLimitNOFILE=16000\n";
        std::fs::write(there.join("usher.service.d/here.conf"), here).unwrap();
        std::fs::create_dir_all(self.root.join("etc/usher")).unwrap();
        std::fs::write(self.root.join("etc/usher/usher.toml"), config).unwrap();
        self.replace_program();
        let _ = self.run(&["rm", "-rf", "/var/lib/usher"]);
        self.did(&["systemctl", "daemon-reload"]);
    }

    /// The program is another file from now on, of the same content.
    fn replace_program(&self) {
        let next = self.root.join("usr/bin/usher.next");
        std::fs::copy(binary(), &next).unwrap();
        std::fs::rename(next, self.root.join("usr/bin/usher")).unwrap();
    }
}

impl Drop for System {
    fn drop(&mut self) {
        let _ = self.run(&["systemctl", "kill", "--signal", "KILL", "usher"]);
        let _ = self.outside.kill();
        let _ = self.outside.wait();
    }
}

#[derive(Default)]
struct Seen {
    served: AtomicUsize,
    /// Accepted, and not answered: what a process takes with it that is killed.
    lost: AtomicUsize,
    is_over: AtomicBool,
}

/// Comes all the time; nobody may be refused, and whoever waits is served within 5 s.
fn come(address: SocketAddr, seen: &Seen) {
    while !seen.is_over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let mut stream = TcpStream::connect(address).expect("nobody is refused");
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut greeting = [0; 5];
        match stream.read_exact(&mut greeting) {
            Ok(()) => assert!(&greeting == b"* OK ", "{greeting:?}"),
            Err(error) => {
                assert!(
                    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof),
                    "{error}"
                );
                seen.lost.fetch_add(1, Ordering::Relaxed);
                continue;
            }
        }
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?}");
        let _ = stream.write_all(b"a LOGOUT\r\n");
        let _ = stream.read_to_end(&mut Vec::new());
        seen.served.fetch_add(1, Ordering::Relaxed);
    }
}

/// Does `work` while clients come, `count` of them after it. Returns how many were lost.
fn meanwhile(address: SocketAddr, count: usize, work: impl FnOnce()) -> usize {
    let seen = Seen::default();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| come(address, &seen))).collect();
        let served = |more: usize| {
            let wanted = seen.served.load(Ordering::Relaxed) + more;
            while seen.served.load(Ordering::Relaxed) < wanted {
                assert!(clients.iter().all(|client| !client.is_finished()), "a client was refused");
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        served(CLIENTS);
        work();
        served(count);
        seen.is_over.store(true, Ordering::Relaxed);
    });
    seen.lost.load(Ordering::Relaxed)
}

fn config(ip: IpAddr, imap: SocketAddr) -> String {
    format!(
        "[server]\nname = \"mail.test\"\nstate_dir = \"/var/lib/usher\"\n[admin]\nsocket = \"/run/usher/admin.sock\"\n\
         [[listener]]\nprotocol = \"imap\"\naddress = \"{ip}:143\"\nplaintext_from = [\"127.0.0.0/8\"]\n\
         [[instance_host]]\nname = \"ih.test\"\nimap = {{ address = \"{imap}\", tls = \"none\" }}\n\
         health = {{ imap = {{ probe = \"none\" }} }}\n"
    )
}

#[test]
#[ignore = "needs root, and a Debian system of its own"]
fn nobody_is_refused_under_systemd() {
    let ip = address::own();
    let (home, address) = (SocketAddr::new(ip, 10143), SocketAddr::new(ip, 143));
    let archive = archive(Options::named("ih.test"), home);
    archive.add_user("anna@example.com", "secret");
    let system = System::start();
    system.install(&config(ip, home));
    system.did(&["systemctl", "start", "usher"]);
    system.did(&["usher", "user", "set", "anna@example.com", "ih.test"]);
    let log_in = || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(b"a LOGIN anna@example.com secret\r\n").unwrap();
        let mut said = String::new();
        while !said.contains("a OK") {
            let mut octets = [0; 512];
            let count = stream.read(&mut octets).unwrap();
            assert!(count > 0, "{said}");
            said.push_str(&String::from_utf8_lossy(&octets[..count]));
        }
        stream
    };
    let rest = |mut stream: TcpStream| {
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        rest.trim_end().to_owned()
    };
    // Killed: systemd keeps the listeners, and only those are lost whom it had accepted.
    let lost = meanwhile(address, 10_000, || {
        for _ in 0..5 {
            let killed = system.main_process();
            system.did(&["systemctl", "kill", "--signal", "KILL", "usher"]);
            while [0, killed].contains(&system.main_process()) {}
        }
    });
    assert!(lost <= 5 * CLIENTS, "{lost}");
    // Restarted: all are told.
    let idle = log_in();
    let lost = meanwhile(address, 1000, || {
        (0..5).for_each(|_| drop(system.did(&["systemctl", "restart", "usher"])));
    });
    assert_eq!((lost, rest(idle).as_str()), (0, GONE));
    // Reloaded: the same process; with another program, another one.
    let (first, idle) = (system.main_process(), log_in());
    system.did(&["systemctl", "reload", "usher"]);
    assert_eq!(system.main_process(), first);
    system.replace_program();
    let lost = meanwhile(address, 1000, || drop(system.did(&["systemctl", "reload", "usher"])));
    assert_eq!(lost, 0);
    assert_ne!(system.main_process(), first);
    assert!(system.did(&["usher", "status"]).contains("1 sessions are with the former process"));
    // A restart ends the sessions of the former process too.
    system.did(&["systemctl", "restart", "usher"]);
    assert_eq!(rest(idle), GONE);
    // A configuration at fault: the process that serves goes on.
    let text = std::fs::read_to_string(system.root.join("etc/usher/usher.toml")).unwrap();
    std::fs::write(system.root.join("etc/usher/usher.toml"), format!("{text}nonsense = 1\n")).unwrap();
    system.replace_program();
    let serving = system.main_process();
    assert!(!system.run(&["systemctl", "reload", "usher"]).status.success());
    assert_eq!(system.main_process(), serving);
    std::fs::write(system.root.join("etc/usher/usher.toml"), text).unwrap();
    // By a socket unit: usher is started by the first client.
    system.did(&["systemctl", "stop", "usher"]);
    let unit = system.root.join("etc/systemd/system/usher-imap.socket");
    let text = std::fs::read_to_string(&unit).unwrap().replace("[::]:143", &address.to_string());
    std::fs::write(&unit, text).unwrap();
    system.did(&["systemctl", "daemon-reload"]);
    system.did(&["systemctl", "start", "usher-imap.socket"]);
    assert_eq!(system.main_process(), 0);
    let lost = meanwhile(address, 1000, || {
        (0..5).for_each(|_| drop(system.did(&["systemctl", "restart", "usher"])));
    });
    assert_eq!(lost, 0);
    system.did(&["systemctl", "stop", "usher-imap.socket", "usher"]);
}

/// Everything in the system whose name says that it is usher's, but for what dpkg notes about packages that are gone.
fn left_over(system: &System) -> String {
    let find = "find / -xdev -name '*usher*' -not -path '/tmp/*' -not -path '/proc/*' -not -path '/sys/*' -not -path '/run/*'; \
                getent passwd usher; getent group usher; true";
    system.did(&["sh", "-c", find])
}

#[test]
#[ignore = "needs root, and a Debian system of its own"]
fn from_the_package_to_a_login_and_away_again() {
    let ip = address::own();
    let home = SocketAddr::new(ip, 10143);
    let dovecot = Dovecot::start("ih.test", home, Mode::StartTls);
    dovecot.add_user("anna@example.com");
    let system = System::start();
    // What other proofs have put there.
    system.did(&[
        "sh",
        "-c",
        "dpkg --purge usher; rm -rf /etc/systemd/system/usher* /etc/systemd/system/*/usher* /etc/usher /var/lib/usher /usr/bin/usher*; userdel usher || true",
    ]);
    assert_eq!(left_over(&system), "");
    let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/debian/build");
    let packages = tempfile::tempdir().unwrap();
    let built =
        Command::new(build).arg(binary()).arg(packages.path()).env("COMPRESSION", "none").output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    for package in std::fs::read_dir(packages.path()).unwrap() {
        let package = package.unwrap();
        let name = package.file_name().into_string().unwrap();
        std::fs::copy(package.path(), system.root.join("tmp").join(name.split('_').next().unwrap())).unwrap();
    }
    let begun = Instant::now();
    let said = system.did(&["dpkg", "--install", "/tmp/usher"]);
    assert!(said.contains("init --wizard"), "{said}");
    println!("dpkg --install: {:?}", begun.elapsed());
    // What namespaces and the limits of a test machine do not allow.
    let dropin = system.root.join("etc/systemd/system/usher.service.d");
    std::fs::create_dir_all(&dropin).unwrap();
    std::fs::write(dropin.join("here.conf"), "[Service]\nPrivateDevices=no\nLimitNOFILE=16000\n").unwrap();
    let answers =
        format!("mail.test\nimap imaps\n{home}\nyes\nih.test\n\nlater\ndomain\nexample.com\nih.test\n");
    std::fs::write(system.root.join("tmp/answers"), answers).unwrap();
    let begun = Instant::now();
    let said =
        system.did(&["sh", "-c", "usher init --wizard --replace /etc/usher/usher.toml < /tmp/answers 2>&1"]);
    assert!(said.contains("systemctl enable --now usher"), "{said}");
    system.did(&["usher", "check"]);
    system.did(&["systemd-analyze", "verify", "usher.service"]);
    system.did(&["systemctl", "daemon-reload"]);
    system.did(&["systemctl", "enable", "--now", "usher"]);
    system.did(&["usher", "user", "set", "@example.com", "ih.test"]);
    let mut client = Client::tls(SocketAddr::new(ip, 993));
    client.login("anna@example.com", "secret");
    println!("from the wizard to a login: {:?}", begun.elapsed());
    let process = system.main_process();
    let uid = system.did(&["stat", "--format", "%U", &format!("/proc/{process}")]);
    assert_eq!(uid.trim(), "usher");
    // Another version takes over from the one that serves, and the session goes on.
    let said = system.did(&["dpkg", "--install", "/tmp/usher"]);
    assert!(!said.contains("init --wizard"), "{said}");
    assert_ne!(system.main_process(), process);
    let mut another = Client::tls(SocketAddr::new(ip, 993));
    another.login("anna@example.com", "secret");
    drop((client, another));
    std::fs::remove_dir_all(&dropin).unwrap();
    system.did(&["dpkg", "--remove", "usher"]);
    system.did(&["dpkg", "--purge", "usher"]);
    assert_eq!(left_over(&system), "");
}
