//! Hosts taken out and back by operators, hosts that come and go, and who is told what.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use serde_json::json;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use usher_tests::archive::{Archive, Options, Tls};
use usher_tests::certificate::Certificate;
use usher_tests::client::Client;
use usher_tests::runtime::archive;
use usher_tests::scripted::Scripted;
use usher_tests::usher::{Setup, Usher};

const USERS: &[(&str, &str)] = &[("anna@example.com", "ih0.test"), ("bert@example.com", "ih1.test")];
const GONE: &str = "* BYE [UNAVAILABLE] Connection is closing, please reconnect.\r\n";
const LATER: &str = "a NO [UNAVAILABLE] Temporarily unavailable, try again later.\r\n\
                     * BYE [UNAVAILABLE] Temporarily unavailable, try again later.\r\n";
const STOPPED: &str = "* BYE [UNAVAILABLE] Temporarily unavailable, try again later.\r\n";

/// Two hosts with one user each.
fn fleet(setup: Setup, keys: &str) -> (Usher, Vec<Arc<Archive>>) {
    let (setup, archives) = prepared(setup, keys);
    (setup.users(USERS).start(), archives)
}

fn prepared(mut setup: Setup, keys: &str) -> (Setup, Vec<Arc<Archive>>) {
    let mut archives = Vec::new();
    for at in 0..2 {
        let (name, address) = (format!("ih{at}.test"), setup.at(10143 + at));
        let held = archive(Options::named(&name), address);
        held.add_user("anna@example.com", "secret");
        held.add_user("bert@example.com", "secret");
        setup = setup.host(&name, address, "tls = \"none\"", &format!("login_as = \"canonical\"\n{keys}"));
        archives.push(held);
    }
    (setup, archives)
}

fn quick() -> Setup {
    Setup::new()
        .server("login_wait = \"500ms\"\ndrain_deadline = \"30s\"")
        .limits("retry = \"50ms\"\ngoodbye_window = \"500ms\"\nquiet = \"1s\"\nfarewell = \"500ms\"")
}

fn logged_in(usher: &Usher, user: &str) -> Client {
    let mut client = Client::tls(usher.imaps());
    client.login(user, "secret");
    client
}

/// What a login comes to, to the end of the connection if it ends.
fn tries(usher: &Usher, user: &str) -> String {
    let mut client = Client::tls(usher.imaps());
    client.send(format!("a LOGIN {user} secret\r\n"));
    let said = client.line();
    if said.starts_with("a OK") { said } else { format!("{said}\r\n{}", client.rest().0) }
}

/// A backend that is stopped is told at once; one that drains is waited for, and sessions there go on.
#[test]
fn stopped_is_told_at_once_and_draining_is_waited_for() {
    let (usher, _archives) = fleet(quick().server("login_wait = \"2s\"\ndrain_deadline = \"30s\""), "");
    let mut busy = logged_in(&usher, "anna");
    busy.send("i IDLE\r\n");
    busy.line();
    usher.did(&["stop", "ih1.test", "--why", "new disks"]);
    let begun = Instant::now();
    assert_eq!(tries(&usher, "bert"), STOPPED);
    assert!(begun.elapsed() < Duration::from_secs(2), "at once");
    // As an outage: held for login_wait.
    usher.did(&["drain", "ih0.test"]);
    let begun = Instant::now();
    assert_eq!(tries(&usher, "anna"), LATER);
    assert!(begun.elapsed() >= Duration::from_secs(2), "held");
    let mut held = Client::tls(usher.imaps());
    held.send("a LOGIN anna secret\r\n");
    usher.wait_until("/v1/status", |status| status["held_logins"] == 1);
    usher.did(&["start", "ih0.test"]);
    assert!(held.answer("a")[0].starts_with("a OK"), "served when it is back");
    // Everything that was done, by whom and from where.
    for what in ["stop\" on=\"ih1.test\" why=\"new disks", "drain\" on=\"ih0.test", "start\" on=\"ih0.test"] {
        let line = usher.wait_for_log(&format!("what=\"{what}"));
        assert!(line.contains("audit=true") && line.contains("from=\"socket uid="), "{line}");
    }
}

#[test]
fn held_logins_of_drained_hosts_are_capped() {
    let setup = Setup::new()
        .server("login_wait = \"50s\"")
        .limits("retry = \"50ms\"\nheld_logins = 1\nfarewell = \"500ms\"");
    let (usher, _archives) = fleet(setup, "");
    usher.did(&["drain", "ih0.test"]);
    let mut first = Client::tls(usher.imaps());
    first.send("a LOGIN anna secret\r\n");
    usher.wait_until("/v1/status", |status| status["held_logins"] == 1);
    assert_eq!(tries(&usher, "anna"), LATER);
    assert!(tries(&usher, "bert").starts_with("a OK"), "others are served");
    usher.did(&["start", "ih0.test"]);
    assert!(first.answer("a")[0].starts_with("a OK"));
}

#[test]
fn a_drain_ends_quiet_sessions_first_and_lets_commands_finish() {
    let (usher, archives) = fleet(quick(), "");
    let mut idle = logged_in(&usher, "anna");
    idle.command("s SELECT INBOX");
    idle.send("i IDLE\r\n");
    assert_eq!(idle.line(), "+ idling");
    let mut quiet = logged_in(&usher, "anna");
    let mut other = logged_in(&usher, "bert");
    // A command that is under way: its literal has not come yet.
    let mut busy = logged_in(&usher, "anna");
    busy.send("a APPEND INBOX {5}\r\n");
    assert!(busy.line().starts_with('+'));
    usher.wait_until("/v1/sessions?host=ih0.test", |shown| {
        let sessions = shown["sessions"].as_array().unwrap();
        sessions.iter().filter(|session| session["doing"] == "busy").count() == 1
            && sessions.iter().any(|session| session["doing"] == "idle")
    });
    usher.did(&["drain", "ih0.test"]);
    for client in [&mut idle, &mut quiet] {
        let (said, end) = client.rest();
        assert_eq!((said.as_str(), end.is_ok()), (GONE, true));
    }
    let shown = usher.wait_until("/v1/hosts/ih0.test", |shown| shown[0]["drain"]["left"] == 1);
    assert_eq!(shown[0]["drain"]["began_with"], 3);
    busy.send("hello\r\n");
    assert!(busy.answer("a").last().unwrap().starts_with("a OK"));
    assert_eq!(busy.rest().0, GONE);
    usher.wait_until("/v1/hosts/ih0.test", |shown| shown[0]["drain"]["phase"] == "done");
    assert_eq!(usher.state("ih0.test", 0), "drained");
    assert_eq!(other.command("n NOOP"), ["n OK done"], "nobody else is disturbed");
    assert_eq!(archives[0].logins(), 3);
    usher.wait_for_logs("by=\"operator\" stage=\"relay\" cause=\"drained\"", 3);
}

/// A stop ends everybody at once: with a goodbye where one fits, cut where none does.
#[test]
fn a_stop_ends_sessions_at_once() {
    let setup = quick();
    let address = setup.at(10143);
    let _scripted = Scripted::logged_in(address, |conn| {
        while let Some(line) = conn.line() {
            match line.as_str() {
                "f FETCH" => conn.send("* 1 FETCH (BODY[] {10}\r\n01234"),
                "i IDLE" => conn.send("+ idling\r\n"),
                _ => {}
            }
        }
    });
    let usher = setup
        .host("ih0.test", address, "tls = \"none\"", "")
        .users(&[("anna@example.com", "ih0.test")])
        .start();
    let mut idle = logged_in(&usher, "anna");
    idle.send("i IDLE\r\n");
    idle.line();
    let mut waiting = logged_in(&usher, "anna");
    waiting.send("s SEARCH ALL\r\n");
    let mut torn = logged_in(&usher, "anna");
    torn.send("f FETCH\r\n");
    torn.octets(29);
    let said = usher.did(&["stop", "ih0.test", "--wait"]);
    assert!(said.contains("3 sessions ended"), "{said}");
    assert_eq!(idle.rest().0, GONE);
    assert_eq!(waiting.rest().0, GONE, "between two responses, though a command is under way");
    let (said, end) = torn.rest();
    assert!(said.is_empty() && end.is_err(), "cut, and seen to be cut: {said:?}");
    usher.wait_for_logs("cause=\"stopped\"", 3);
}

#[test]
fn the_deadline_of_a_drain_ends_the_rest() {
    let (usher, _archives) = fleet(quick(), "");
    let mut busy = logged_in(&usher, "anna");
    busy.send("a APPEND INBOX {5}\r\n");
    busy.line();
    let (status, _) = usher
        .ask("POST", "/v1/hosts/ih0.test/drain", Some(&json!({ "deadline_seconds": u64::MAX })))
        .unwrap();
    assert_eq!(status, 400);
    let said = usher.did(&["drain", "IH0.test", "--deadline", "1s", "--wait"]);
    assert!(said.starts_with("IH0.test: 1 sessions ended in"), "{said}");
    assert_eq!(busy.rest().0, GONE, "between two responses");
}

#[test]
fn goodbyes_are_spread_over_the_window() {
    let setup = Setup::new()
        .server("drain_deadline = \"30s\"")
        .limits("goodbye_window = \"4s\"\nquiet = \"1s\"\nfarewell = \"500ms\"");
    let (usher, _archives) = fleet(setup, "");
    let mut clients: Vec<_> = (0..20).map(|_| logged_in(&usher, "anna")).collect();
    for client in &mut clients {
        client.send("i IDLE\r\n");
        client.line();
    }
    usher.did(&["drain", "ih0.test"]);
    let begun = Instant::now();
    let ends: Vec<_> = std::thread::scope(|scope| {
        let watchers: Vec<_> = clients
            .iter_mut()
            .map(|client| {
                scope.spawn(move || {
                    assert_eq!(client.rest().0, GONE);
                    begun.elapsed()
                })
            })
            .collect();
        watchers.into_iter().map(|watcher| watcher.join().unwrap()).collect()
    });
    let early = ends.iter().filter(|end| **end < Duration::from_secs(2)).count();
    assert!((4..=13).contains(&early), "half in half of the time: {ends:?}");
}

#[test]
fn a_started_host_ends_its_drain() {
    let (usher, _archives) = fleet(quick(), "");
    let mut busy = logged_in(&usher, "anna");
    busy.send("a APPEND INBOX {5}\r\n");
    busy.line();
    usher.did(&["drain", "ih0.test"]);
    usher.did(&["start", "ih0.test"]);
    assert_eq!(usher.shows("/v1/hosts/ih0.test")[0]["drain"], json!(null));
    busy.send("hello\r\n");
    assert!(busy.answer("a").last().unwrap().starts_with("a OK"));
    assert_eq!(busy.command("n NOOP"), ["n OK done"]);
    assert!(tries(&usher, "anna").starts_with("a OK"));
}

#[test]
fn sessions_are_listed_and_kicked() {
    let (usher, _archives) = fleet(quick(), "");
    let mut clients = [logged_in(&usher, "anna"), logged_in(&usher, "anna"), logged_in(&usher, "bert")];
    let shown = usher.shows("/v1/sessions?user=anna%40example.com");
    assert_eq!(shown["matching"], 2);
    let first = &shown["sessions"][0];
    assert_eq!(
        (&first["host"], &first["protocol"], &first["tls"]),
        (&json!("ih0.test"), &json!("imaps"), &json!("TLSv1.3"))
    );
    let id = first["id"].as_str().unwrap();
    assert!(usher.did(&["sessions", "--id", id]).contains("anna@example.com"));
    assert!(usher.did(&["kick", "--id", id]).starts_with("1 "));
    assert_eq!(clients[0].rest().0, GONE);
    assert!(usher.did(&["kick", "--user", "ANNA@Example.com"]).starts_with("1 "), "however it is written");
    assert_eq!(clients[1].rest().0, GONE);
    assert!(usher.did(&["kick", "--host", "IH1.test"]).starts_with("1 "));
    assert_eq!(clients[2].rest().0, GONE);
    usher.wait_for_logs("cause=\"kicked\"", 3);
    usher.wait_until("/v1/sessions", |shown| shown["matching"] == 0);
    assert_eq!(usher.cli(&["kick"]).status.code(), Some(1), "nobody is meant");
    assert_eq!(
        usher.cli(&["kick", "--user", ""]).status.code(),
        Some(1),
        "and nobody by a name that is none"
    );
}

/// Whoever is kicked while the login is still under way is told goodbye, not joined.
#[test]
fn a_login_under_way_is_kicked_too() {
    let setup = quick().server("login_wait = \"50s\"");
    let (usher, _archives) = fleet(setup, "");
    usher.did(&["drain", "ih0.test"]);
    let mut held = Client::tls(usher.imaps());
    held.send("a LOGIN anna secret\r\n");
    usher.wait_until("/v1/sessions?user=anna%40example.com", |shown| shown["matching"] == 1);
    assert_eq!(usher.shows("/v1/sessions")["sessions"][0]["doing"], "connecting");
    assert!(usher.did(&["kick", "--user", "anna@example.com"]).starts_with("0 sessions"), "it has none yet");
    usher.did(&["kick", "--user", "anna@example.com", "--all"]);
    assert_eq!(held.rest().0, STOPPED);
}

#[test]
fn each_service_of_a_host_has_its_own_row() {
    // 155: why one is out is not said of the other, and each has its own sessions
    let setup = quick();
    let (imap, http) = (setup.at(10143), setup.at(18080));
    let held = archive(Options::named("ih.test"), imap);
    held.add_user("anna@example.com", "secret");
    let keys = format!(
        "http = {{ address = \"{http}\", tls = \"none\" }}\n\
         health = {{ interval = \"200ms\", timeout = \"200ms\", fall = 1, rise = 1 }}"
    );
    let usher = setup
        .host("ih.test", imap, "tls = \"none\"", &keys)
        .users(&[("anna@example.com", "ih.test")])
        .start();
    usher.wait_for_state("ih.test", "up");
    usher.wait_until("/v1/hosts/ih.test", |host| host[0]["services"][1]["state"] == "unhealthy");
    let _client = logged_in(&usher, "anna@example.com");
    let status = usher.did(&["status"]);
    let cells = |service: &str| {
        let row = status.lines().find(|line| line.contains(&format!(" {service} "))).unwrap();
        row.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(cells("imap"), ["ih.test", "imap", "up", "1"], "{status}");
    assert_eq!(cells("http")[..5], ["ih.test", "http", "unhealthy", "0", "health"], "{status}");
}

#[test]
fn a_user_who_is_being_moved_waits_and_is_served_at_the_new_home() {
    let (usher, archives) = fleet(quick().server("login_wait = \"50s\""), "");
    usher.did(&["user", "hold", "anna", "--why", "move to ih1"]);
    let mut held = Client::tls(usher.imaps());
    held.send("a LOGIN anna secret\r\n");
    usher.wait_until("/v1/status", |status| status["held_logins"] == 1);
    assert!(tries(&usher, "bert").starts_with("a OK"));
    assert!(usher.did(&["explain", "anna"]).contains("being moved"));
    usher.did(&["user", "set", "anna", "ih1.test"]);
    usher.did(&["user", "release", "anna"]);
    assert!(held.answer("a")[0].starts_with("a OK"));
    assert_eq!((archives[0].logins(), archives[1].logins()), (0, 2));
    assert_eq!(usher.cli(&["user", "release", "anna"]).status.code(), Some(1));
}

#[test]
fn initial_state_decides_what_comes_back() {
    let (mut usher, _archives) = fleet(quick(), "initial_state = \"remembered\"");
    usher.did(&["drain", "ih0.test", "--why", "disks"]);
    usher.kill();
    usher.restart();
    assert_eq!(usher.state("ih0.test", 0), "drained");
    assert!(usher.did(&["status"]).contains("disks"));
    assert_eq!(usher.state("ih1.test", 0), "up");
    usher.did(&["start", "ih0.test"]);
    usher.kill();
    usher.restart();
    assert_eq!(usher.state("ih0.test", 0), "up");

    let (mut usher, _archives) = fleet(quick(), "initial_state = \"started\"");
    usher.did(&["stop", "ih0.test"]);
    usher.kill();
    usher.restart();
    assert_eq!(usher.state("ih0.test", 0), "up");
    assert_eq!(usher.shows("/v1/holds")["backends"], json!({}));

    let (mut usher, _archives) = fleet(quick(), "initial_state = \"stopped\"");
    assert_eq!(tries(&usher, "anna"), STOPPED);
    assert_eq!(usher.shows("/v1/hosts/ih0.test")[0]["holds"][0]["hold"], "boot");
    usher.did(&["start", "ih0.test"]);
    assert!(tries(&usher, "anna").starts_with("a OK"));
    usher.kill();
    usher.restart();
    assert_eq!(usher.state("ih0.test", 0), "stopped");
}

#[test]
fn hosts_come_and_go_while_running() {
    let (mut usher, archives) = fleet(quick(), "");
    let address = usher.setup.at(10143).to_string();
    usher.did(&["host", "add", "late.test", "--address", &address, "--tls", "none", "max_sessions=5"]);
    usher.did(&["user", "set", "carl", "late.test"]);
    archives[0].add_user("carl@example.com", "secret");
    usher.did(&["host", "set", "late.test", "login_as=canonical"]);
    assert!(tries(&usher, "carl").starts_with("a OK"));
    // It is checked by the same rules as one of the file, and told as well.
    let wrong = usher.cli(&["host", "set", "late.test", "max_sessoins=5"]);
    let told = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(!wrong.status.success() && told.contains("did you mean `max_sessions`?"), "{told}");
    let wrong = usher.ask("PATCH", "/v1/hosts/late.test", Some(&json!({ "name": "ih1.test" }))).unwrap();
    assert_eq!(wrong.0, 400, "a host keeps its name");
    assert_eq!(usher.cli(&["host", "set", "late.test", "x"]).status.code(), Some(2));
    usher.did(&["host", "set", "late.test", "imap.client_address=imap-id"]);
    usher.did(&["host", "set", "late.test", "imap.client_address="]);
    // What the file defines is changed there.
    let wrong = usher.cli(&["host", "set", "ih0.test", "max_sessions=5"]);
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("configuration file"));
    assert!(!usher.cli(&["host", "add", "ih0.test", "--address", &address]).status.success());
    usher.kill();
    usher.restart();
    assert!(tries(&usher, "carl").starts_with("a OK"), "kept in state_dir");
    assert_eq!(usher.shows("/v1/hosts/late.test")[0]["max_sessions"], 5);
    let wrong = usher.cli(&["host", "remove", "late.test"]);
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("users on late.test"));
    let mut session = logged_in(&usher, "carl");
    usher.did(&["host", "remove", "late.test", "--force"]);
    assert_eq!(tries(&usher, "carl"), LATER);
    assert_eq!(session.command("n NOOP"), ["n OK done"], "its sessions go on");
    usher.restart_after_kill();
    assert_eq!(usher.ask("GET", "/v1/hosts/late.test", None).unwrap().0, 404);
}

#[test]
fn nothing_that_others_wrote_moves_a_terminal() {
    let setup = quick();
    let certificate = Certificate::of_subject("evil\u{1b}[2A\r\u{9b}1K\u{202e}");
    let (paired, greeting) = (setup.at(10993), setup.at(10143));
    archive(
        Options { tls: Tls::Implicit, certificate: Some(certificate.clone()), ..Options::named("evil.test") },
        paired,
    );
    let _scripted = Scripted::start(greeting, |mut conn| {
        let said = "* OK [CAPABILITY IMAP4rev1 X\u{1b}[2J\u{9b}] \u{7}hello\r\n";
        conn.send(said);
        while let Some(line) = conn.line() {
            let tag = line.split(' ').next().unwrap_or_default().to_owned();
            conn.send(format!("{tag} NO \u{1b}[2Jgo away\r\n"));
        }
    });
    let usher = setup.host("ih0.test", greeting, "tls = \"none\"", "").start();
    let output = usher.cli(&["pair", &paired.to_string(), "--name", "evil.test"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("CN=evil\\u{1b}[2A\\r\\u{9b}1K\\u{202e}"), "{told:?}");
    let shown: Vec<&str> = told.lines().filter(|line| line.starts_with("  ")).collect();
    assert!(shown.last().unwrap().contains(&certificate.pin()), "{told:?}");
    let mut client = Client::tls(usher.imaps());
    client.send("a LOGIN {15}\r\n");
    client.line();
    client.send("anna b=\u{9b}1K\u{202e}c x\r\n");
    client.line();
    let line = usher.wait_for_log("login refused");
    assert!(line.contains(r#"user="anna b=\u{9b}1K\u{202e}c""#), "{line:?}");
    let everything = [
        told,
        usher.log(),
        String::from_utf8(usher.cli(&["hosts"]).stdout).unwrap(),
        String::from_utf8(usher.cli(&["hosts", "--json"]).stdout).unwrap(),
        String::from_utf8(usher.cli(&["status"]).stdout).unwrap(),
        String::from_utf8(usher.cli(&["sessions"]).stdout).unwrap(),
        String::from_utf8(usher.cli(&["explain", "a\u{1b}[2Jb@example.com"]).stdout).unwrap(),
        String::from_utf8(usher.cli(&["explain", "a\u{202e}b@example.com"]).stdout).unwrap(),
        String::from_utf8(usher.cli(&["user", "get", "a\u{1b}[2Jb"]).stderr).unwrap(),
    ];
    for text in &everything {
        let acts = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!text.contains(acts), "{text:?}");
    }
}

#[test]
fn pairing_pins_the_certificate_that_was_looked_at() {
    let setup = quick();
    let certificate = Certificate::for_names(&["paired.test"]);
    let address = setup.at(10993);
    let options = Options {
        tls: Tls::Implicit,
        certificate: Some(certificate.clone()),
        ..Options::named("paired.test")
    };
    let held = archive(options, address);
    held.add_user("anna@example.com", "secret");
    let usher = setup.host("ih0.test", "127.0.0.1:1".parse().unwrap(), "tls = \"none\"", "").start();
    let address = address.to_string();
    let pair = |more: &[&str]| {
        let output = usher.cli(&[&["pair", &address, "--name", "paired.test"], more].concat());
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (done, told) = pair(&[]);
    assert!(!done && told.contains(&certificate.pin()) && told.contains("there is nobody to ask"), "{told}");
    assert!(told.contains("CN=paired.test"), "{told}");
    let other = Certificate::for_names(&["other.test"]);
    assert!(!pair(&["--fingerprint", &other.pin()]).0);
    assert!(!pair(&["--thumbprint", &"ab".repeat(20), "--fingerprint", &certificate.pin()]).0);
    // A thumbprint alone trusts nothing: a person would still be asked.
    assert!(!pair(&["--thumbprint", &certificate.thumbprint()]).0);
    let colons: String = certificate.pin().as_bytes()[7..]
        .chunks(2)
        .map(|pair| String::from_utf8_lossy(pair).to_uppercase())
        .collect::<Vec<_>>()
        .join(":");
    let (done, told) = pair(&["--thumbprint", &certificate.thumbprint(), "--fingerprint", &colons]);
    assert!(done, "{told}");
    usher.did(&["user", "set", "anna", "paired.test"]);
    let said = tries(&usher, "anna@example.com");
    assert!(said.starts_with("a OK"), "{said}");
    assert_eq!(usher.shows("/v1/hosts/paired.test")[0]["fingerprints"], json!([certificate.pin()]));
    // Before the server shows it, the next one is pinned as a file or by its fingerprint.
    let next = Certificate::for_names(&["next.test"]);
    let (file, _) = next.write(usher.setup.dir.path(), "next");
    let (done, told) = pair(&["--rotate", "--next", file.to_str().unwrap()]);
    assert!(done, "{told}");
    let pins = usher.shows("/v1/hosts/paired.test")[0]["fingerprints"].clone();
    assert_eq!(pins, json!([certificate.pin(), next.pin()]));
    assert!(pair(&["--rotate", "--fingerprint", &other.pin()]).0);
    let pins = usher.shows("/v1/hosts/paired.test")[0]["fingerprints"].clone();
    assert_eq!(pins, json!([certificate.pin(), other.pin()]));
    assert!(tries(&usher, "anna@example.com").starts_with("a OK"), "without an outage");
    // During rotation there are two.
    usher.did(&["host", "set", "paired.test", &format!("fingerprints=[{:?}]", other.pin())]);
    assert!(pair(&["--rotate", "--fingerprint", &certificate.pin()]).0);
    let pins = usher.shows("/v1/hosts/paired.test")[0]["fingerprints"].clone();
    assert_eq!(pins, json!([other.pin(), certificate.pin()]));
    assert!(tries(&usher, "anna@example.com").starts_with("a OK"));
}

/// In a terminal a person is asked, and only a yes registers.
#[test]
fn pairing_asks_the_person_at_the_terminal() {
    let setup = quick();
    let certificate = Certificate::for_names(&["paired.test"]);
    let address = setup.at(10993);
    archive(
        Options { tls: Tls::Implicit, certificate: Some(certificate.clone()), ..Options::named("x.test") },
        address,
    );
    let usher = setup.start();
    for (answer, status) in [("n", 404), ("", 404), ("y", 200)] {
        let command = format!(
            "{} pair {address} --name paired.test --config {}",
            usher_tests::usher::binary().display(),
            usher.config().display()
        );
        let mut terminal = Command::new("script")
            .args(["-qefc", &command, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script is installed");
        terminal.stdin.take().unwrap().write_all(format!("{answer}\n").as_bytes()).unwrap();
        let output = terminal.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains(&certificate.pin()) && said.contains("[y/N]"), "{said}");
        assert_eq!(usher.ask("GET", "/v1/hosts/paired.test", None).unwrap().0, status, "{answer:?}: {said}");
    }
}

#[test]
fn a_pinned_certificate_that_ends_soon_is_told() {
    let setup = quick();
    let certificate = Certificate::ending_in(&["ih.test"], Duration::from_secs(5 * 24 * 3600));
    let address = setup.at(10993);
    let options =
        Options { tls: Tls::Implicit, certificate: Some(certificate.clone()), ..Options::named("ih.test") };
    let held = archive(options, address);
    held.add_user("anna@example.com", "secret");
    let keys = format!(
        "fingerprints = [{:?}]\nhealth = {{ interval = \"1s\", imap = {{ probe = \"greeting\" }} }}",
        certificate.pin()
    );
    let usher = setup.host("ih.test", address, "tls = \"implicit\"", &keys).start();
    usher.wait_for_log("pinned certificate expires soon");
    let shown =
        usher.wait_until("/v1/hosts/ih.test", |shown| !shown[0]["services"][0]["capabilities"].is_null());
    let service = &shown[0]["services"][0];
    assert!(service["capabilities"].as_str().unwrap().contains("IMAP4rev1"), "{service}");
    assert!(service["certificate_ends"].as_i64().unwrap() > 1_700_000_000, "{service}");
}

/// A backend that pins usher's certificate in turn.
#[test]
fn a_backend_may_ask_who_connects() {
    let setup = quick();
    let certificate = Certificate::for_names(&["ih.test"]);
    let address = setup.at(10993);
    let seen = certificate.serve_asking_for_certificates(address);
    let usher = setup
        .host("ih.test", address, "tls = \"implicit\"", &format!("fingerprints = [{:?}]", certificate.pin()))
        .users(&[("anna@example.com", "ih.test")])
        .start();
    tries(&usher, "anna");
    let identity = usher.did(&["identity"]);
    let shown = seen.recv_timeout(usher_tests::usher::DEADLINE).expect("usher shows a certificate");
    assert_eq!(identity.lines().next(), Some(shown.as_str()));
}

#[test]
fn explain_names_key_entry_host_and_reason() {
    let (usher, _archives) = fleet(quick(), "");
    usher.did(&["user", "set", "@example.com", "ih1.test"]);
    let told = usher.did(&["explain", "ANNA", "--from", "192.0.2.1", "--protocol", "imaps"]);
    for part in ["anna@example.com", "on ih0.test", "source embedded", "goes to ih0.test", "imaps"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let told = usher.did(&["explain", "zoe@example.com"]);
    assert!(told.contains("@example.com on ih1.test"), "{told}");
    assert!(usher.did(&["explain", "zoe@other.net"]).contains("no entry"));
    assert_eq!(usher.cli(&["explain", "anna", "--protocol", "pop3"]).status.code(), Some(1));
    usher.did(&["stop", "ih1.test"]);
    assert!(usher.did(&["explain", "zoe@example.com"]).contains("BYE at once: ih1.test is stopped"));
}
