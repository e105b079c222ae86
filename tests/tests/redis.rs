//! Redis as sites run it: behind sentinels, as a cluster, and by TLS.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use usher_tests::archive::Options;
use usher_tests::certificate::Certificate;
use usher_tests::client::Client;
use usher_tests::deadline::DEADLINE;
use usher_tests::runtime::archive;
use usher_tests::usher::{Setup, Usher};

const SECRET: &str = "store-secret";

/// One server.
struct Redis {
    child: Child,
    at: SocketAddr,
    _dir: TempDir,
}

impl Redis {
    fn start(at: SocketAddr, more: &[&str], port: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // A sentinel writes down what it knows.
        let config = dir.path().join("redis.conf");
        let lines: String = more.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(
            &config,
            format!(
                "bind {}\n{port} {}\ndir {}\nsave \"\"\n{lines}",
                at.ip(),
                at.port(),
                dir.path().display()
            ),
        )
        .unwrap();
        let mut command = Command::new("redis-server");
        command.arg(&config).stdin(Stdio::null()).stdout(Stdio::null());
        if lines.contains("sentinel ") {
            command.arg("--sentinel");
        }
        let child = command.spawn().expect("Redis is installed; tests/install-peers does it");
        let until = Instant::now() + DEADLINE;
        while std::net::TcpStream::connect(at).is_err() {
            assert!(Instant::now() < until, "Redis does not start");
            thread::sleep(Duration::from_millis(20));
        }
        Self { child, at, _dir: dir }
    }

    /// What it answers; `more` are options of the client.
    fn says(&self, more: &[&str], words: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        let (ip, port) = (self.at.ip().to_string(), self.at.port().to_string());
        command.args(["--no-auth-warning", "-a", SECRET, "-h", &ip, "-p", &port]).args(more).args(words);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn usher(setup: Setup, keys: &str) -> Usher {
    let at = setup.at(10143);
    let host = archive(Options::named("one.test"), at);
    for number in 0..20 {
        host.add_user(&format!("u{number}@example.com"), "secret");
    }
    let file = setup.dir.path().join("redis.secret");
    std::fs::write(&file, SECRET).unwrap();
    let section =
        format!("[directory]\nsource = \"redis\"\n[directory.redis]\npassword_file = {file:?}\n{keys}");
    let setup = setup.server("login_wait = \"300ms\"\noutage_reply = \"no\"\ndrain_deadline = \"1s\"");
    setup.section(&section).host("one.test", at, "tls = \"none\"", "").start()
}

/// Logs everybody in, until that succeeds.
fn everybody_logs_in(usher: &Usher) {
    for number in 0..20 {
        let until = Instant::now() + DEADLINE;
        loop {
            let mut client = Client::tls(usher.imaps());
            let said = client.command(&format!("a LOGIN u{number}@example.com secret")).pop().unwrap();
            if said.starts_with("a OK") {
                break;
            }
            assert!(Instant::now() < until, "{number}: {said}\n{}", usher.log());
            thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn the_master_is_found_by_sentinels() {
    let setup = Setup::new();
    let secret = format!("requirepass {SECRET}");
    let auth = format!("masterauth {SECRET}");
    let master = Redis::start(setup.at(16001), &[&secret, &auth], "port");
    let follows = format!("replicaof {} 16001", setup.ip);
    // It would be known by the address that it connects from.
    let announced = format!("replica-announce-ip {}", setup.ip);
    let replica = Redis::start(setup.at(16002), &[&secret, &auth, &follows, &announced], "port");
    let watched = [
        format!("sentinel monitor mymaster {} 16001 1", setup.ip),
        format!("sentinel auth-pass mymaster {SECRET}"),
        "sentinel down-after-milliseconds mymaster 500".to_owned(),
        "sentinel failover-timeout mymaster 2000".to_owned(),
    ];
    let watched: Vec<&str> = watched.iter().map(String::as_str).collect();
    let sentinel = Redis::start(setup.at(16003), &watched, "port");
    for number in 0..20 {
        master.says(&[], &["SET", &format!("usher:u{number}@example.com"), "one.test"]);
    }
    let until = Instant::now() + DEADLINE;
    let has_all = || replica.says(&[], &["DBSIZE"]).trim() == "20";
    let is_known = || sentinel.says(&[], &["SENTINEL", "replicas", "mymaster"]).contains("16002");
    while !has_all() || !is_known() {
        assert!(Instant::now() < until, "{}", replica.says(&[], &["INFO", "replication"]));
        thread::sleep(Duration::from_millis(50));
    }
    let keys = format!("url = \"redis://{}\"\nsentinel = \"mymaster\"", sentinel.at);
    let usher = usher(setup, &keys);
    everybody_logs_in(&usher);
    // Another one becomes the master, and has somebody new.
    drop(master);
    let until = Instant::now() + DEADLINE;
    while !replica.says(&[], &["ROLE"]).contains("master") {
        assert!(Instant::now() < until, "nobody becomes the master");
        thread::sleep(Duration::from_millis(50));
    }
    replica.says(&[], &["SET", "usher:new@example.com", "elsewhere.test"]);
    let until = Instant::now() + DEADLINE;
    loop {
        let mut client = Client::tls(usher.imaps());
        client.command("a LOGIN new@example.com secret");
        if usher.log().contains("host=\"elsewhere.test\"") {
            break;
        }
        assert!(Instant::now() < until, "{}", usher.log());
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_cluster_is_asked_wherever_a_key_is() {
    let setup = Setup::new();
    let more = [
        format!("requirepass {SECRET}"),
        format!("cluster-announce-ip {}", setup.ip),
        "cluster-enabled yes".to_owned(),
    ];
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let nodes = [16001, 16002, 16003].map(|port| Redis::start(setup.at(port), &more, "port"));
    let addresses = nodes.each_ref().map(|node| node.at.to_string());
    let mut make = vec!["--cluster", "create"];
    make.extend(addresses.iter().map(String::as_str));
    let said = nodes[0].says(&[&make[..], &["--cluster-yes"]].concat(), &[]);
    assert!(said.contains("All 16384 slots covered"), "{said}");
    let until = Instant::now() + DEADLINE;
    for number in 0..20 {
        let key = format!("usher:u{number}@example.com");
        while !nodes[0].says(&["-c"], &["HSET", &key, "host", "one.test"]).starts_with(['0', '1']) {
            assert!(
                Instant::now() < until,
                "{}",
                nodes[0].says(&["-c"], &["HSET", &key, "host", "one.test"])
            );
            thread::sleep(Duration::from_millis(50));
        }
    }
    let keys = format!("urls = [\"redis://{}\"]\ncluster = true\nvalue = \"hash\"", nodes[2].at);
    everybody_logs_in(&usher(setup, &keys));
}

#[test]
fn redis_is_reached_by_tls() {
    let setup = Setup::new();
    let dir = setup.dir.path().to_owned();
    let certificate = Certificate::for_names(&[&setup.ip.to_string()]);
    let (chain, key) = certificate.write(&dir, "redis");
    let more = [
        format!("requirepass {SECRET}"),
        "port 0".to_owned(),
        format!("tls-cert-file {}", chain.display()),
        format!("tls-key-file {}", key.display()),
        "tls-auth-clients no".to_owned(),
    ];
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let redis = Redis::start(setup.at(16001), &more, "tls-port");
    for number in 0..20 {
        redis.says(&["--tls", "--insecure"], &["SET", &format!("usher:u{number}@example.com"), "one.test"]);
    }
    std::fs::write(dir.join("redis-ca.pem"), certificate.pem()).unwrap();
    let keys = format!("url = \"rediss://{}\"\nca = {:?}", redis.at, dir.join("redis-ca.pem"));
    everybody_logs_in(&usher(setup, &keys));
}
