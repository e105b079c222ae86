//! Lists of users of other programs, brought to usher: real ones, read by those programs too.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use usher_tests::archive::Options;
use usher_tests::certificate::Certificate;
use usher_tests::client::Client;
use usher_tests::deadline::DEADLINE;
use usher_tests::runtime::archive;
use usher_tests::store::{Kind, SECRET, Store};
use usher_tests::usher::{Setup, Usher, command};

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// usher with two hosts, which lists name as they like.
struct Site {
    usher: Usher,
    dir: PathBuf,
    one: String,
}

fn site() -> Site {
    let setup = Setup::new();
    let dir = setup.dir.path().to_owned();
    let (one, two) = (setup.at(10143), setup.at(10144));
    for (name, at) in [("ih1.test", one), ("ih2.test", two)] {
        archive(Options::named(name), at).add_user("anna@example.com", "secret");
    }
    let usher = setup
        .host("ih1.test", one, "tls = \"none\"", "")
        .host("ih2.test", "127.77.77.77:10144".parse().unwrap(), "tls = \"none\"", "")
        .users(&[("anna@example.com", "ih1.test"), ("old@example.com", "ih1.test")])
        .start();
    Site { usher, dir, one: one.ip().to_string() }
}

impl Site {
    fn bring(&self, format: &str, list: &str, options: &[&str]) -> Output {
        let path = self.dir.join("list");
        std::fs::write(&path, list).unwrap();
        self.usher.cli(&[&["import", format, path.to_str().unwrap()], options].concat())
    }

    /// Where somebody is, as `user get` says it.
    fn place(&self, user: &str) -> String {
        let said = told(&self.usher.cli(&["user", "get", user]));
        said.split([',', ';', '\n'])
            .next()
            .unwrap()
            .split_once(": ")
            .map_or(String::new(), |(_, place)| place.to_owned())
    }
}

#[test]
fn a_passwd_file_of_dovecot_is_brought() {
    let site = site();
    let list = format!(
        "# proxied\nbert@example.com:{{PLAIN}}x::::::proxy=y host=127.77.77.77 destuser=bert\n\
         carl@example.com:{{PLAIN}}x::::::proxy=y host={} port=143\n",
        site.one
    );
    // Nothing changes unless it is meant.
    let looked = site.bring("passwd-file", &list, &["--dry-run"]);
    assert!(told(&looked).contains("2 users: 2 would be added"), "{}", told(&looked));
    assert!(site.place("bert@example.com").is_empty() || site.place("bert@example.com").contains("not"));
    let brought = site.bring("passwd-file", &list, &[]);
    let said = told(&brought);
    assert!(brought.status.success() && said.contains("2 users: 2 added"), "{said}");
    assert!(said.contains("not carried over: destuser (1)") && said.contains("port (1)"), "{said}");
    assert_eq!(site.place("bert@example.com"), "ih2.test");
    assert_eq!(site.place("carl@example.com"), "ih1.test");
}

#[test]
fn every_fault_is_told_with_its_line_and_nothing_is_changed() {
    let site = site();
    for (format, list) in [
        (
            "passwd-file",
            "dora:{PLAIN}x::::::host=ih1.test\n# c\n\ndora:x::::::host=ih2.test\nemil:x::::::host=ih9.test\n\
             anna:x::::::host=ih2.test\nfred:x::::::proxy\n",
        ),
        ("popmap", "dora:ih1.test\n# c\n\ndora: ih2.test:143\nemil:ih9.test\nanna:ih2.test\nfred\n"),
        (
            "ldif",
            "dn: uid=d\nuid: dora\nmailHost: ih1.test\n\ndn: uid=e\nuid: emil\nmailHost: ih9.test\n\n\
             dn: uid=a\nuid: anna\nmailHost: ih2.test\n\ndn: uid=f\nuid: dora\nmailHost: ih2.test\n",
        ),
    ] {
        let output = site.bring(format, list, &[]);
        let said = told(&output);
        assert_eq!(output.status.code(), Some(1), "{format}: {said}");
        let wanted = match format {
            "ldif" => [
                "line 7: unknown host \"ih9.test\"",
                "line 11: anna@example.com is on ih1.test already",
                "in line 3",
            ],
            _ => [
                "line 5: unknown host \"ih9.test\"",
                "line 6: anna@example.com is on ih1.test already",
                "in line 1",
            ],
        };
        for wanted in wanted {
            assert!(said.contains(wanted), "{format}: {wanted} is not in {said}");
        }
        assert!(said.contains("nothing was changed"), "{format}: {said}");
        assert_eq!(site.place("anna@example.com"), "ih1.test");
    }
}

/// What Dovecot itself prints, with the defaults of this machine.
#[test]
fn the_configuration_of_another_proxy_becomes_a_first_one() {
    let dir = tempfile::tempdir().unwrap();
    let (own, printed, made) =
        ["dovecot.conf", "printed.conf", "usher.toml"].map(|name| dir.path().join(name)).into();
    let text = "protocols = imap\nauth_default_realm = example.com\npassdb {\n  driver = static\n  args = nopassword=y proxy=y \
                host=10.0.0.11 starttls=any-cert\n}\nservice imap-login {\n  inet_listener imap {\n    port = 143\n  }\n  \
                inet_listener imaps {\n    port = 993\n    ssl = yes\n  }\n}\n";
    std::fs::write(&own, text).unwrap();
    let shown = Command::new("doveconf").args(["-n", "-c"]).arg(&own).output().unwrap();
    assert!(shown.status.success(), "{}", told(&shown));
    std::fs::write(&printed, shown.stdout).unwrap();
    let converted = command(&["import", "config", printed.to_str().unwrap()]);
    assert!(converted.status.success(), "{}", told(&converted));
    let text = String::from_utf8(converted.stdout).unwrap();
    let state = dir.path().join("state");
    std::fs::write(&made, text.replace("/var/lib/usher", state.to_str().unwrap())).unwrap();
    let checked = command(&["check", "--config", made.to_str().unwrap()]);
    assert!(checked.status.success(), "{} {text}", told(&checked));
    assert!(text.contains("address = \"10.0.0.11:143\", tls = \"starttls\""), "{text}");
    assert!(text.contains("address = \"[::]:993\"") && text.contains("default_for = [\"any\"]"), "{text}");
    let unknown = dir.path().join("other");
    std::fs::write(&unknown, "hello = world\n").unwrap();
    assert_eq!(command(&["import", "config", unknown.to_str().unwrap()]).status.code(), Some(1));
}

#[test]
fn live_sessions_that_are_elsewhere_are_named() {
    let site = site();
    let mut anna = Client::tls(site.usher.imaps());
    anna.login("anna@example.com", "secret");
    let moved = site.bring("popmap", "anna:ih2.test\n", &["--replace"]);
    let said = told(&moved);
    assert!(said.contains("anna@example.com has a session at ih1.test, and is on ih2.test"), "{said}");
    assert_eq!(site.place("anna@example.com"), "ih2.test");
}

#[test]
fn tenants_of_mailstore_are_brought() {
    let site = site();
    let ip = site.one.clone();
    let certificate = Certificate::for_names(&[&ip]);
    let (chain, key) = certificate.write(&site.dir, "management");
    let (secret, ca) = (site.dir.join("management.secret"), site.dir.join("management.pem"));
    std::fs::write(&secret, "store-secret\n").unwrap();
    std::fs::write(&ca, certificate.pem()).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/mailstore.py");
    let mut server = Command::new("/usr/bin/python3");
    let mut server = server.args([script, &ip, "8474"]).arg(chain).arg(key).spawn().unwrap();
    let until = Instant::now() + DEADLINE;
    while TcpStream::connect((ip.as_str(), 8474)).is_err() {
        assert!(Instant::now() < until, "the management server does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    let url = format!("https://{ip}:8474/");
    let bring = |secret: &PathBuf, options: &[&str]| {
        let words = ["import", "mailstore", &url, "--password-file", secret.to_str().unwrap(), "--ca"];
        told(&site.usher.cli(&[&words[..], &[ca.to_str().unwrap()], options].concat()))
    };
    let said = bring(&secret, &["--dry-run"]);
    assert!(said.contains("usher pair ih9.test:8472") && said.contains("CC:DD"), "{said}");
    assert!(
        said.contains("unknown host \"ih9.test\"") && said.contains("3 users: 3 would be added"),
        "{said}"
    );
    assert!(site.place("tenant:acme").contains("not on any host"));
    let said = bring(&secret, &["--replace"]);
    assert!(said.contains("3 users: 3 added"), "{said}");
    for (tenant, host) in [("acme", "ih1.test"), ("acme.example.com", "ih1.test"), ("globex", "ih2.test")] {
        assert_eq!(site.place(&format!("tenant:{tenant}")), host);
    }
    std::fs::write(&secret, "wrong").unwrap();
    let said = bring(&secret, &[]);
    assert!(said.contains("GetInstanceHosts: it answers 401") && !said.contains("wrong"), "{said}");
    let _ = server.kill();
    let _ = server.wait();
    let said = bring(&secret, &[]);
    assert!(said.contains("refused"), "{said}");
}

impl Site {
    /// Asks whoever is at `url`, with the password of `store`.
    fn ask(&self, what: &str, url: &str, store: &Store, options: &[&str]) -> Output {
        let secret = store.dir.path().join("secret");
        let words = ["import", what, url, "--password-file", secret.to_str().unwrap()];
        self.usher.cli(&[&words[..], options].concat())
    }
}

#[test]
fn rows_of_a_database_are_brought() {
    let site = site();
    let mut store = Store::start(Kind::Postgres, format!("{}:15432", site.one).parse().unwrap());
    store.sql(&format!(
        "CREATE TABLE popmap (\"user\" text, servername text, port int);
         GRANT SELECT ON popmap TO usher;
         INSERT INTO popmap VALUES ('bert', '127.77.77.77', 143), ('carl@example.com', '{}', NULL);
         CREATE TABLE proxy (username text, host inet, destuser text, proxy bool, password text);
         GRANT SELECT ON proxy TO usher;
         INSERT INTO proxy VALUES ('dora', '127.77.77.77', 'd', true, 'hidden-word'), ('emil', '10.9.9.9', NULL, NULL, NULL),
             ('dora', '{}', NULL, NULL, NULL), ('fred', NULL, NULL, NULL, NULL), ('anna', '127.77.77.77', NULL, NULL, NULL)",
        site.one, site.one
    ));
    let url = format!("postgres://usher@{}/usher?sslmode=disable", store.address);
    let popmap = ["--query", "SELECT \"user\", servername, port FROM popmap ORDER BY 1"];
    let said = told(&site.ask("postgres", &url, &store, &[&popmap[..], &["--dry-run"]].concat()));
    assert!(said.contains("2 users: 2 would be added"), "{said}");
    assert!(site.place("bert@example.com").contains("not on any host"));
    let said = told(&site.ask("postgres", &url, &store, &popmap));
    assert!(said.contains("2 users: 2 added") && said.contains("not carried over: port (1)"), "{said}");
    assert_eq!((&*site.place("bert"), &*site.place("carl")), ("ih2.test", "ih1.test"));
    // Each fault with the number of its row.
    let proxy = ["--query", "SELECT * FROM proxy"];
    let output = site.ask("postgres", &url, &store, &proxy);
    let said = told(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for wanted in [
        "not carried over: destuser (1)",
        "not carried over: password (1)",
        "line 2: unknown host",
        "line 3: ",
        "line 4: ",
        "line 5: anna@example.com is on ih1.test already",
        "nothing was changed",
    ] {
        assert!(said.contains(wanted), "{wanted} is not in {said}");
    }
    assert!(!said.contains("hidden-word") && site.place("dora").contains("not on any host"), "{said}");
    let missing = told(&site.ask("postgres", &url, &store, &["--query", "SELECT 1 FROM nowhere"]));
    assert!(missing.contains("nowhere") && !missing.contains(SECRET), "{missing}");
    assert!(told(&site.ask("postgres", &url, &store, &[])).contains("--query"));
    // A database that hangs is not waited for without end.
    let hangs = ["--query", "SELECT pg_sleep(600)", "--patience", "1s"];
    let silent = site.ask("postgres", &url, &store, &hangs);
    assert_eq!(silent.status.code(), Some(69), "{}", told(&silent));
    assert!(told(&silent).contains("does not answer in time"), "{}", told(&silent));
    store.kill();
    let gone = site.ask("postgres", &url, &store, &popmap);
    assert_eq!(gone.status.code(), Some(69), "{}", told(&gone));
}

#[test]
fn a_service_of_nginx_is_asked_for_a_list_of_users() {
    let site = site();
    let mut store = Store::start(Kind::AuthHttp, format!("{}:18080", site.one).parse().unwrap());
    for (user, host) in [
        ("bert@example.com", "127.77.77.77:143"),
        ("carl@example.com", "ih1.test"),
        ("alias@example.com", "ih1.test"),
        ("emil@example.com", "10.9.9.9"),
        ("anna@example.com", "ih2.test"),
    ] {
        store.put(user, host);
    }
    let users = site.dir.join("users");
    let url = format!("http://{}/auth", store.address);
    let ask = |store: &Store, list: &str, options: &[&str]| {
        std::fs::write(&users, list).unwrap();
        let words = ["--secret-header", "X-Auth-Key", "--users", users.to_str().unwrap()];
        site.ask("auth-http", &url, store, &[&words[..], options].concat())
    };
    let good = "bert\r\n\ncarl@example.com\nalias\n";
    let said = told(&ask(&store, good, &["--dry-run"]));
    assert!(said.contains("3 users: 3 would be added"), "{said}");
    assert!(site.place("bert").contains("not on any host"));
    let said = told(&ask(&store, good, &[]));
    assert!(said.contains("3 users: 3 added") && said.contains("Auth-Port (1)"), "{said}");
    assert!(said.contains("Auth-User (1)"), "{said}");
    assert_eq!((&*site.place("bert"), &*site.place("carl")), ("ih2.test", "ih1.test"));
    let output = ask(&store, "emil\n\nnobody\nanna\nbert\n", &[]);
    let said = told(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for wanted in ["line 1: unknown host \"10.9.9.9\"", "line 3: ", "line 4: anna@example.com is on ih1.test"]
    {
        assert!(said.contains(wanted), "{wanted} is not in {said}");
    }
    // Whoever cannot be asked is no fault of the list.
    let output = ask(&store, "bert\nlater\n", &[]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    store.kill();
    let output = ask(&store, "bert\n", &[]);
    assert_eq!(output.status.code(), Some(69), "{}", told(&output));
    assert!(!told(&output).contains(SECRET));
}
