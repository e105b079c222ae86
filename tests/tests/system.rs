//! What the system and the network around usher may do to it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use serde_json::json;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use usher_tests::archive::{Options, Tls};
use usher_tests::certificate::Certificate;
use usher_tests::client::{Client, config};
use usher_tests::faults::Faults;
use usher_tests::runtime::archive;
use usher_tests::usher::{Setup, Usher, binary};

#[test]
fn without_descriptors_connections_are_shed_and_service_returns() {
    let usher = Setup::new().wrapped(&["prlimit", "--nofile=40:40"]).start();
    let mut greeted = Client::plain(usher.imap());
    greeted.line();
    let crowd: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(usher.imap()).unwrap()).collect();
    usher.wait_for_log("too low for [limits] connections");
    usher.wait_for_log("connections cannot be accepted");
    // One who is in is served.
    assert_eq!(greeted.command("a NOOP"), ["a OK Nothing done."]);
    drop(crowd);
    // And so is one who comes when there is room again.
    let mut tries = 0;
    loop {
        let tcp = TcpStream::connect(usher.imap()).unwrap();
        let mut first = [0; 1];
        if std::io::Read::read(&mut &tcp, &mut first).is_ok_and(|read| read == 1) {
            break;
        }
        tries += 1;
        assert!(tries < 1000, "no service returns");
    }
    // 160: those that were closed at once are counted; how many of the crowd that is depends on when it left
    let page = usher.shows("/metrics");
    let lines = page.as_str().unwrap().lines();
    let shed = lines.filter(|line| line.starts_with("usher_connections_total") && line.contains("\"shed\""));
    assert!(shed.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum::<u64>() >= 1);
}

fn behind_a_balancer(from: &str) -> Usher {
    let setup = Setup::new();
    let address = setup.at(10143);
    let held = archive(Options { proxy_header: true, ..Options::named("ih.test") }, address);
    held.add_user("anna@example.com", "secret");
    let keys = format!("proxy_protocol = {{ from = [\"{from}\"] }}\n");
    setup
        .imap(&format!("{keys}plaintext_from = [\"192.0.2.0/24\"]\n"))
        .imaps(&keys)
        .host("ih.test", address, "tls = \"none\", client_address = \"proxy-v2\"", "")
        .limits("proxy_header = \"500ms\"")
        .users(&[("anna@example.com", "ih.test")])
        .start()
}

#[test]
fn a_proxy_header_is_believed_from_its_senders() {
    let usher = behind_a_balancer("127.0.0.0/8");
    // Version 1 in front of TLS; the address goes on to the host and into the log.
    let mut client = Client::plain(usher.imaps());
    client.send("PROXY TCP4 192.0.2.7 192.0.2.1 50000 993\r\n");
    client.start_tls(config());
    client.line();
    client.login("anna@example.com", "secret");
    usher.wait_for_log("login client=192.0.2.7:50000");
    // Version 2 in front of a greeting, together with the first command.
    let mut header =
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x08\xc0\x00\x02\x01\xc3\x50\x00\x8f".to_vec();
    header.extend_from_slice(b"a NOOP\r\n");
    let mut client = Client::plain(usher.imap());
    client.send(header);
    assert!(client.line().contains("AUTH=PLAIN"), "plaintext is for 192.0.2.0/24");
    assert_eq!(client.line(), "a OK Nothing done.");
    // LOCAL: the balancer speaks for itself.
    let mut client = Client::plain(usher.imap());
    client.send(b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00");
    assert!(client.line().contains("LOGINDISABLED"), "127.0.0.1 is no 192.0.2.0/24");
}

#[test]
fn a_missing_or_broken_proxy_header_ends_the_connection() {
    let usher = behind_a_balancer("127.0.0.0/8");
    let long = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat();
    for sent in [
        &b""[..],
        b"a NOOP\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 50000",
        b"PROXY TCP4 192.0.2.7 nonsense 50000 993\r\n",
        &long,
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0f\xc0\x00\x02\x08\xc0\x00\x02\x01\xc3\x50\x00\x8f\x05\x00\x09",
    ] {
        let mut client = Client::plain(usher.imap());
        client.send(sent);
        assert_eq!(client.rest().0, "", "{sent:?}");
    }
    usher.wait_for_logs("cause=\"bad-proxy-header\"", 6);
    let usher = behind_a_balancer("192.0.2.0/24");
    let mut client = Client::plain(usher.imap());
    let _ = client.try_send(b"PROXY TCP4 192.0.2.7 192.0.2.1 50000 143\r\n");
    assert_eq!(client.rest().0, "", "127.0.0.1 may send none");
}

fn served(setup: Setup) -> Usher {
    let address = setup.at(10143);
    archive(Options::named("ih.test"), address).add_user("anna@example.com", "secret");
    setup
        .host("ih.test", address, "tls = \"none\"", "login_as = \"canonical\"")
        .users(&[("anna@example.com", "ih.test"), ("bert@example.com", "ih.test")])
        .start()
}

fn says(usher: &Usher, line: &str) -> String {
    let mut client = Client::tls(usher.imaps());
    client.send(format!("{line}\r\n"));
    client.line()
}

/// As many connections as there may be: those beyond are told where it can be told, and served later.
#[test]
fn an_overloaded_usher_sends_connections_away() {
    let usher = served(Setup::new().limits("connections = 3"));
    let mut inside: Vec<_> = (0..3).map(|_| Client::tls(usher.imaps())).collect();
    assert_eq!(
        Client::plain(usher.imap()).rest().0,
        "* BYE [UNAVAILABLE] Temporarily unavailable, try again later.\r\n"
    );
    assert_eq!(Client::plain(usher.imaps()).rest().0, "");
    inside[0].login("anna", "secret");
    usher.wait_for_log("too many connections");
    inside[1].command("x LOGOUT");
    let _ = inside[1].rest();
    usher.wait_until("/v1/status", |status| status["connections"] == 2);
    assert!(says(&usher, "a LOGIN anna secret").starts_with("a OK"));
    let page = usher.shows("/metrics").to_string();
    assert!(page.contains("result=\\\"shed\\\"} 1"), "{page}");
}

/// Near the limit of memory nobody new is taken, and those who are in are served.
#[test]
fn short_memory_sheds_connections_and_ends_with_it() {
    let usher = served(Setup::new());
    let mut inside = Client::tls(usher.imaps());
    inside.login("anna", "secret");
    usher.rewrite(|text| format!("{text}\n[limits]\nmemory = \"1MiB\"\n"));
    usher.did(&["reload"]);
    usher.wait_for_log("memory is low");
    assert!(Client::plain(usher.imap()).rest().0.starts_with("* BYE [UNAVAILABLE]"));
    assert_eq!(Client::plain(usher.imaps()).rest().0, "");
    assert_eq!(inside.command("n NOOP"), ["n OK done"]);
    assert!(usher.shows("/metrics").to_string().contains("usher_memory_pressure 2"));
    usher.rewrite(|text| text.replace("1MiB", "8GiB"));
    usher.did(&["reload"]);
    usher.wait_for_log("memory has recovered");
    assert!(says(&usher, "a LOGIN anna secret").starts_with("a OK"));
}

/// No room for a change: it is refused and told, and traffic goes on.
#[test]
fn a_full_disk_refuses_changes_and_nothing_else() {
    let mut setup = Setup::new();
    let faults = Faults::new(setup.dir.path());
    for (key, value) in faults.environment() {
        setup = setup.environment(key, &value);
    }
    let usher = served(setup);
    let mut inside = Client::tls(usher.imaps());
    inside.login("anna", "secret");
    faults.disk_full(true);
    for (method, path, body) in [
        ("POST", "/v1/hosts/ih.test/drain", None),
        ("PUT", "/v1/directory/carl", Some(serde_json::json!({ "host": "ih.test" }))),
        ("POST", "/v1/directory/anna/hold", None),
    ] {
        let (status, said) = usher.ask(method, path, body.as_ref()).unwrap();
        assert_eq!(status, 507, "{path}: {said}");
    }
    assert_eq!(usher.cli(&["drain", "ih.test"]).status.code(), Some(1));
    assert_eq!(usher.state("ih.test", 0), "up", "nothing has changed");
    assert!(says(&usher, "a LOGIN anna secret").starts_with("a OK"));
    assert_eq!(inside.command("n NOOP"), ["n OK done"]);
    faults.disk_full(false);
    usher.did(&["drain", "ih.test"]);
}

/// A clock that is put forward or back moves no timer; what ends by the calendar is judged anew.
#[test]
fn a_wrong_clock_moves_no_timer() {
    const YEAR: i64 = 365 * 24 * 3600;
    let mut setup = Setup::new().server("login_wait = \"50s\"").limits("idle = \"40s\"\nretry = \"50ms\"");
    let faults = Faults::new(setup.dir.path());
    for (key, value) in faults.environment() {
        setup = setup.environment(key, &value);
    }
    let certificate =
        Certificate::ending_in(&["pinned.test"], std::time::Duration::from_secs(90 * 24 * 3600));
    let pinned = setup.at(10993);
    let options = Options {
        tls: Tls::Implicit,
        certificate: Some(certificate.clone()),
        ..Options::named("pinned.test")
    };
    archive(options, pinned).add_user("carl@example.com", "secret");
    let keys = format!("login_as = \"canonical\"\nfingerprints = [{:?}]", certificate.pin());
    let usher = served(setup.host("pinned.test", pinned, "tls = \"implicit\"", &keys));
    usher.did(&["user", "set", "carl", "pinned.test"]);
    usher.did(&["user", "set", "dora", "pinned.test"]);
    usher.did(&["user", "hold", "dora"]);
    let mut session = Client::tls(usher.imaps());
    session.login("anna", "secret");
    session.send("i IDLE\r\n");
    session.line();
    let mut before = Client::tls(usher.imaps());
    let mut held = Client::tls(usher.imaps());
    held.send("a LOGIN dora secret\r\n");
    usher.wait_until("/v1/status", |status| status["held_logins"] == 1);
    assert!(says(&usher, "a LOGIN carl secret").starts_with("a OK"));
    assert!(!usher.log().contains("pinned certificate"));
    for (off, told) in [(YEAR, "pinned certificate has expired"), (-YEAR, ""), (0, "")] {
        faults.clock_off_by(off);
        // Two looks of the sweeper, and everything is as it was.
        let sweeps = std::time::Instant::now() + std::time::Duration::from_secs(6);
        while std::time::Instant::now() < sweeps {
            assert!(says(&usher, "a LOGIN carl secret").starts_with("a OK"));
        }
        assert_eq!(usher.shows("/v1/status")["held_logins"], 1, "by {off} s");
        if !told.is_empty() {
            usher.wait_for_log(told);
        }
    }
    session.send("DONE\r\n");
    assert!(session.answer("i")[0].starts_with("i OK"));
    assert_eq!(before.command("n NOOP"), ["n OK Nothing done."]);
    assert!(!usher.log().contains("cause=\"idle\""), "{}", usher.log());
}

/// The directory cannot be read: those who were here before are served, nobody is told that they do not exist.
#[test]
fn a_directory_that_is_down_is_no_unknown_user() {
    let setup =
        Setup::new().server("login_wait = \"300ms\"").limits("retry = \"50ms\"\nfarewell = \"300ms\"");
    let usher = served(setup);
    assert!(says(&usher, "a LOGIN anna secret").starts_with("a OK"));
    let refused = "a NO [AUTHENTICATIONFAILED] Authentication failed.";
    assert_eq!(says(&usher, "a LOGIN nobody secret"), refused);
    let database = usher.setup.dir.path().join("state/directory.db");
    let connection = rusqlite::Connection::open(database).unwrap();
    connection.execute_batch("ALTER TABLE entry RENAME TO gone").unwrap();
    assert!(says(&usher, "a LOGIN anna secret").starts_with("a OK"), "the last known answer");
    assert!(usher.did(&["explain", "anna"]).contains("source embedded, remembered"));
    let bye = "a NO [UNAVAILABLE] Temporarily unavailable, try again later.";
    for user in ["bert", "nobody"] {
        assert_eq!(says(&usher, &format!("a LOGIN {user} secret")), bye, "{user}: as an outage");
    }
    usher.wait_for_log("the directory cannot be read");
    let page = usher.shows("/metrics").to_string();
    assert!(page.contains("usher_directory_stale 1"), "{page}");
    connection.execute_batch("ALTER TABLE gone RENAME TO entry").unwrap();
    assert_eq!(says(&usher, "a LOGIN nobody secret"), refused);
    assert!(usher.shows("/metrics").to_string().contains("usher_directory_stale 0"));
}

#[test]
fn what_usher_keeps_is_its_owners_alone() {
    // 112: what is made, what SQLite makes beside it, and what was open before
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let modes = |dir: &std::path::Path| -> Vec<(String, u32)> {
        let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
        let mut modes: Vec<_> =
            entries.map(|entry| (entry.file_name().into_string().unwrap(), mode(&entry.path()))).collect();
        modes.sort();
        modes
    };
    let mut usher = served(Setup::new());
    let dir = usher.setup.dir.path().join("state");
    assert!(says(&usher, "a LOGIN anna secret").starts_with("a OK"));
    usher.did(&["drain", "ih.test", "--why", "x"]);
    assert!(usher.user(&["set", "carla", "ih.test"]).status.success());
    assert_eq!(mode(&dir), 0o710, "the admin socket lies in it");
    let made = modes(&dir);
    for (name, mode) in &made {
        assert_eq!(*mode, if name == "admin.sock" { 0o660 } else { 0o600 }, "{name} of {made:?}");
    }
    for wanted in
        ["directory.db", "directory.db-wal", "directory.db-shm", "state.db", "cookie.keys", "client.key"]
    {
        assert!(made.iter().any(|(name, _)| name == wanted), "{wanted} in {made:?}");
    }
    usher.kill();
    std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o755)).unwrap();
    for (name, _) in modes(&dir).iter().filter(|(name, _)| name != "admin.sock") {
        std::fs::set_permissions(dir.join(name), PermissionsExt::from_mode(0o644)).unwrap();
    }
    usher.restart();
    let note = usher.wait_for_log("was accessible to other users");
    assert!(note.contains(dir.to_str().unwrap()), "{note}");
    assert_eq!(mode(&dir), 0o710);
    assert!(modes(&dir).iter().all(|(name, mode)| *mode == if name == "admin.sock" { 0o660 } else { 0o600 }));
    // With its socket elsewhere the directory is nobody else's at all.
    let setup = Setup::new();
    let socket = setup.dir.path().join("admin.sock");
    let usher = setup.section(&format!("[admin]\nsocket = {socket:?}")).start();
    assert_eq!(mode(&usher.setup.dir.path().join("state")), 0o700);
}

#[test]
fn the_state_of_the_version_before_is_taken_over() {
    // As 0.1.0 left it: 10,000 users, a host that was added, a drained one, and a user that is held.
    let setup = Setup::new().server("login_wait = \"200ms\"");
    let state = setup.dir.path().join("state");
    let unpacked = Command::new("tar")
        .args(["-xJf", concat!(env!("CARGO_MANIFEST_DIR"), "/state-0.1.0.tar.xz"), "-C"])
        .arg(setup.dir.path())
        .status();
    assert!(unpacked.is_ok_and(|status| status.success()));
    assert_eq!(std::fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o755);
    let (zero, one) = (setup.at(10143), setup.at(10144));
    let mut usher = setup
        .host("ih0.test", zero, "tls = \"none\"", "")
        .host("ih1.test", one, "tls = \"none\"", "")
        .start();
    usher.wait_for_log("was accessible to other users");
    for start in 0..2 {
        let shown = usher.shows("/v1/hosts/added.test");
        assert_eq!(
            (&shown[0]["origin"], &shown[0]["max_sessions"]),
            (&json!("added"), &json!(77)),
            "{start}"
        );
        let held = usher.shows("/v1/holds");
        assert_eq!(held["backends"]["ih1.test"][0]["why"], "new disks");
        assert_eq!(held["keys"][0]["key"], "user7@example.com");
        for (user, host) in [("user9998", "ih0.test"), ("user9999", "ih1.test"), ("moved", "added.test")] {
            let told = usher.user(&["get", &format!("{user}@example.com")]);
            assert!(String::from_utf8_lossy(&told.stdout).contains(host), "{user}");
        }
        let users = usher.user(&["export"]);
        assert_eq!(String::from_utf8_lossy(&users.stdout).lines().count(), 10_002);
        // What others could read is closed to them.
        let mode = |path: &str| std::fs::metadata(state.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(""), mode("directory.db"), mode("state.db")), (0o710, 0o600, 0o600), "{start}");
        usher.restart_after_kill();
    }
}

#[test]
fn a_state_that_cannot_be_written_is_said_at_the_start() {
    // 151: made by root, served by somebody else
    let setup = Setup::new();
    let state = setup.dir.path().join("state");
    std::fs::create_dir(&state).unwrap();
    std::fs::write(state.join("state.db"), b"").unwrap();
    let config = setup.write();
    let opened = Command::new("chmod").args(["-R", "a+rX"]).arg(setup.dir.path()).status();
    assert!(opened.is_ok_and(|status| status.success()));
    let mut command = Command::new(binary());
    if rustix::process::geteuid().is_root() {
        command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(binary());
    } else {
        std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o500)).unwrap();
        std::fs::set_permissions(state.join("state.db"), std::fs::Permissions::from_mode(0o400)).unwrap();
    }
    let output = command.args(["serve", "--config", config.to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(69), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("state"),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
