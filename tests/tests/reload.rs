//! A new configuration for a running usher.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use rustix::process::Signal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use usher_tests::archive::{Archive, Options};
use usher_tests::certificate::Certificate;
use usher_tests::client::{Client, config};
use usher_tests::runtime::archive;
use usher_tests::swarm::Swimmer;
use usher_tests::usher::{Setup, Usher};

fn serving() -> (Usher, Arc<Archive>) {
    let setup = Setup::new().server("login_wait = \"500ms\"\ndrain_deadline = \"20s\"");
    with(setup)
}

fn with(setup: Setup) -> (Usher, Arc<Archive>) {
    let address = setup.at(10143);
    let held = archive(Options::named("ih.test"), address);
    held.add_user("anna@example.com", "secret");
    held.add_user("bert@example.com", "secret");
    let usher = setup
        .host("ih.test", address, "tls = \"none\"", "login_as = \"canonical\"")
        .users(&[("anna@example.com", "ih.test")])
        .start();
    (usher, held)
}

/// The certificate that a client is shown.
fn shown(usher: &Usher) -> Vec<u8> {
    let mut client = Client::tls(usher.imaps());
    client.connection().peer_certificates().unwrap()[0].to_vec()
}

#[test]
fn what_has_changed_applies_to_what_comes_next() {
    let (usher, _held) = serving();
    let mut session = Client::tls(usher.imaps());
    session.login("anna", "secret");
    let mut waiting = Client::tls(usher.imaps());
    let moved = usher.setup.at(2143);
    let late = archive(Options::named("late.test"), usher.setup.at(10144));
    late.add_user("carl@example.com", "secret");
    let address = usher.setup.at(10144);
    usher.rewrite(|text| {
        let text = text
            .replace("name = \"mail.test\"", "name = \"other.test\"")
            .replace(":1143\"", ":2143\"")
            .replace("state_dir = \"", "state_dir = \"/elsewhere")
            .replace("[[domain]]\nname = \"example.com\"", "[[domain]]\nname = \"example.com\"\naliases = [\"example.org\"]");
        format!("{text}[[instance_host]]\nname = \"late.test\"\nimap = {{ address = \"{address}\", tls = \"none\" }}\n")
    });
    let said = usher.did(&["reload", "--socket", usher.socket().to_str().unwrap()]);
    assert!(said.contains("needs a restart: [server] state_dir"), "{said}");
    // Listeners that are named no more are closed, new ones are open, the others stay.
    assert!(Client::plain(moved).line().contains("other.test"));
    assert!(std::net::TcpStream::connect(usher.imap()).is_err());
    // A session goes on, and so does a connection that had not logged in yet.
    assert_eq!(session.command("n NOOP"), ["n OK done"]);
    waiting.send("a LOGIN anna secret\r\n");
    assert!(waiting.answer("a")[0].starts_with("a OK"));
    let (status, _) = usher
        .ask("PUT", "/v1/directory/carl%40example.com", Some(&serde_json::json!({ "host": "late.test" })))
        .unwrap();
    assert_eq!(status, 200);
    let mut client = Client::tls(usher.imaps());
    client.login("carl@example.com", "secret");
    let mut client = Client::tls(usher.imaps());
    client.login("anna@example.org", "secret");
}

#[test]
fn a_host_that_leaves_the_file_is_warned_about() {
    let (usher, _held) = serving();
    usher.rewrite(|text| text.replace("name = \"ih.test\"", "name = \"other.test\""));
    let output = usher.cli(&["reload"]);
    assert!(output.status.success());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("ih.test is no longer configured, but the directory has users there"), "{told}");
    let mut client = Client::tls(usher.imaps());
    client.send("a LOGIN anna secret\r\n");
    assert!(client.line().starts_with("a NO [UNAVAILABLE]"), "an outage, not a wrong password");
}

#[test]
fn certificates_are_replaced_together_or_not_at_all() {
    let (usher, _held) = serving();
    let dir = usher.setup.dir.path().to_owned();
    let first = shown(&usher);
    let mut session = Client::tls(usher.imaps());
    session.login("anna", "secret");
    let next = Certificate::for_names(&["mail.test"]);
    let key = std::fs::read_to_string(dir.join("usher.key")).unwrap();
    next.write(&dir, "next");
    let (good_chain, good_key) = (
        std::fs::read_to_string(dir.join("next.pem")).unwrap(),
        std::fs::read_to_string(dir.join("next.key")).unwrap(),
    );
    let expired = Certificate::expired(&["mail.test"]);
    expired.write(&dir, "expired");
    let (expired_chain, expired_key) = (
        std::fs::read_to_string(dir.join("expired.pem")).unwrap(),
        std::fs::read_to_string(dir.join("expired.key")).unwrap(),
    );
    for (chain, key, told) in [
        (good_chain.as_str(), key.as_str(), "does not belong"),
        (&expired_chain, &expired_key, "has expired"),
        (&good_chain[..good_chain.len() / 2], &good_key, "not PEM"),
        ("", &good_key, "contains no certificate"),
        (&good_chain, "", "contains no private key"),
    ] {
        std::fs::write(dir.join("usher.pem"), chain).unwrap();
        std::fs::write(dir.join("usher.key"), key).unwrap();
        let output = usher.cli(&["reload"]);
        assert_eq!(output.status.code(), Some(78));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(told) && said.contains("the previous configuration"), "{told}: {said}");
        assert_eq!(shown(&usher), first, "the old one is kept");
    }
    std::fs::remove_file(dir.join("usher.pem")).unwrap();
    assert_eq!(usher.cli(&["reload"]).status.code(), Some(78));
    let page = usher.shows("/metrics").to_string();
    assert!(page.contains("usher_config_last_reload_successful 0"), "an alarm can be made of it");
    std::fs::write(dir.join("usher.pem"), &good_chain).unwrap();
    std::fs::write(dir.join("usher.key"), &good_key).unwrap();
    usher.did(&["reload"]);
    assert_eq!(shown(&usher), next.der().to_vec());
    assert_eq!(session.command("n NOOP"), ["n OK done"]);
}

/// TLS sessions of before a reload are resumed after it.
#[test]
fn tickets_survive_a_reload() {
    let (usher, _held) = serving();
    let config = config();
    let resumed = || {
        let mut client = Client::plain(usher.imaps());
        client.start_tls(config.clone());
        client.line();
        client.command("a NOOP");
        client.connection().handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    };
    assert!(!resumed());
    assert!(resumed());
    usher.did(&["reload"]);
    assert!(resumed());
    let page = usher.shows("/metrics").to_string();
    assert!(
        page.contains("usher_tls_handshakes_total{version=\\\"TLSv1.3\\\",kind=\\\"resumed\\\"} 2"),
        "{page}"
    );
}

#[test]
fn with_watch_a_changed_file_is_enough() {
    let setup = Setup::new();
    let usher = setup.start_with(&["--watch"]);
    usher.rewrite(|text| text.replace("name = \"mail.test\"", "name = \"watched.test\""));
    usher.wait_for_log("configuration reloaded");
    assert!(Client::plain(usher.imap()).line().contains("watched.test"));
    let next = Certificate::for_names(&["mail.test"]);
    next.write(usher.setup.dir.path(), "usher");
    usher.wait_for_logs("configuration reloaded", 2);
    assert_eq!(shown(&usher), next.der().to_vec());
    usher.rewrite(|_| "nonsense".to_owned());
    usher.wait_for_log("configuration not reloaded");
}

/// A hundred hangups within a second are one wish; a stop while it is fulfilled stops; a second one at once.
#[test]
fn hangups_are_gathered_and_signals_keep_their_order() {
    let (mut usher, _held) = with(Setup::new().server("drain_deadline = \"50s\""));
    let mut session = Client::tls(usher.imaps());
    session.login("anna", "secret");
    session.send("a APPEND INBOX {5}\r\n");
    session.line();
    for _ in 0..100 {
        usher.signal(Signal::HUP);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    usher.wait_for_log("configuration reloaded");
    usher.shows("/v1/status");
    let reloads = usher.log().matches("configuration reloaded").count();
    assert_eq!(reloads, 1, "{}", usher.log());
    usher.signal(Signal::HUP);
    usher.signal(Signal::TERM);
    usher.wait_for_log("waiting for sessions");
    assert!(std::net::TcpStream::connect(usher.imaps()).is_err());
    usher.signal(Signal::TERM);
    assert!(usher.wait().success());
    usher.wait_for_log("stopped at once");
}

/// Each of these is a fault; the rest of the file stays as it is.
const BROKEN: [(&str, &str); 50] = [
    ("[server]", "[servr]"),
    ("[server]", "[server"),
    ("name = \"mail.test\"", "name = \"\""),
    ("name = \"mail.test\"", "name = 5"),
    ("name = \"mail.test\"", "nam = \"mail.test\""),
    ("name = \"mail.test\"", "name = \"mail.test\"\nname = \"again.test\""),
    ("state_dir", "state_dri"),
    ("login_wait = \"500ms\"", "login_wait = \"soon\""),
    ("login_wait = \"500ms\"", "login_wait = 5"),
    ("login_wait = \"500ms\"", "login_wait = \"0s\""),
    ("login_wait = \"500ms\"", "outage_reply = \"maybe\""),
    ("drain_deadline = \"20s\"", "drain_deadline = \"20 s\""),
    ("protocol = \"imaps\"", "protocol = \"imapss\""),
    ("protocol = \"imaps\"", "protocol = \"tcp\""),
    ("protocol = \"imaps\"", "protocol = \"imaps\"\nplaintext_from = [\"::/0\"]"),
    ("protocol = \"imaps\"", "protocol = \"imaps\"\narray = \"a\""),
    ("protocol = \"imaps\"", "protocol = \"imaps\"\nproxy_protocol = {}"),
    ("protocol = \"imaps\"", "protocol = \"imaps\"\nstrict_sni = \"yes\""),
    (":1993\"", ":1993-1995\""),
    (":1993\"", ":99999\""),
    (":1993\"", "\""),
    (":1993\"", ":1143\""),
    ("[[certificate]]", "[certificate]"),
    ("usher.pem", "missing.pem"),
    ("usher.key", "missing.key"),
    ("usher.key", "usher.pem"),
    ("usher.pem", "usher.key"),
    ("chain =", "cahin ="),
    ("name = \"ih.test\"", "name = \"ih test\""),
    ("name = \"ih.test\"", "name = \"ih.test\"\nname2 = \"x\""),
    ("tls = \"none\"", "tls = \"maybe\""),
    ("tls = \"none\"", "tls = \"none\", client_address = \"x\""),
    ("imap = { address", "imapp = { address"),
    ("imap = { address = \"", "imap = { address = \"x:y:"),
    ("login_as = \"canonical\"", "login_as = \"other\""),
    ("login_as = \"canonical\"", "max_sessions = 0"),
    ("login_as = \"canonical\"", "max_sessions = \"many\""),
    ("login_as = \"canonical\"", "initial_state = \"asleep\""),
    ("login_as = \"canonical\"", "fingerprints = [\"sha256:00\"]"),
    ("login_as = \"canonical\"", "fingerprints = \"sha256:00\""),
    ("health = {", "health = { rise = 0,"),
    ("health = {", "health = { interval = \"often\","),
    ("health = {", "health = { agent = \"nobody\","),
    ("probe = \"none\"", "probe = \"ping\""),
    ("probe = \"none\"", "probe = \"login\""),
    ("probe = \"none\"", "probe = \"login\", user = \"x\", password_file = \"/nowhere/at/all\""),
    ("name = \"example.com\"", "name = \"example com\""),
    ("default_for = [\"any\"]", "default_for = [\"any\", \"any\"]"),
    ("[[domain]]", "[limits]\nmemory = \"much\"\n[[domain]]"),
    ("[[domain]]", "[https]\n[[domain]]"),
];

/// A thousand reloads under live sessions and continuous logins lose nothing; what is broken is refused.
#[test]
fn a_thousand_reloads_disturb_nobody() {
    const RELOADS: usize = 1_000;
    const SESSIONS: usize = 500;
    let (usher, held) = serving();
    let good = std::fs::read_to_string(usher.config()).unwrap();
    let address = usher.imaps();
    let (done, logins, failed) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut sessions = runtime.block_on(async {
        let mut sessions = Vec::new();
        for _ in 0..SESSIONS {
            let mut client = Swimmer::connect(address).await.unwrap();
            assert!(client.command("l LOGIN anna secret").await.unwrap().starts_with("l OK"));
            sessions.push(client);
        }
        sessions
    });
    let workers: Vec<_> = (0..2)
        .map(|_| {
            let (done, logins, failed) = (done.clone(), logins.clone(), failed.clone());
            runtime.spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    let one = async {
                        let mut client = Swimmer::connect(address).await?;
                        let said = client.command("l LOGIN anna secret").await?;
                        client.close().await?;
                        Ok::<_, std::io::Error>(said.starts_with("l OK"))
                    };
                    let counter = if one.await.is_ok_and(|ok| ok) { &logins } else { &failed };
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let begun = std::time::Instant::now();
    for reload in 0..RELOADS {
        // Every twentieth is broken, each in its own way.
        if reload % 20 == 19 {
            let (from, to) = BROKEN[reload / 20];
            assert!(good.contains(from), "{from}");
            std::fs::write(usher.config(), good.replacen(from, to, 1)).unwrap();
            let (status, said) = usher.ask("POST", "/v1/reload", None).unwrap();
            assert_eq!(status, 422, "{from} -> {to}: {said}");
            assert!(!said["faults"].as_str().unwrap().is_empty());
        } else {
            // A listener that comes and goes, a limit, a host.
            let more = format!(
                "[limits]\nheld_logins = {}\n[[instance_host]]\nname = \"n{}.test\"\nimap = {{ address = \"127.0.0.1:1\", tls = \"none\" }}\n",
                reload + 1,
                reload % 7
            );
            let text = if reload % 2 == 0 { good.replace(":1143\"", ":2143\"") } else { good.clone() };
            std::fs::write(usher.config(), text + &more).unwrap();
            let (status, said) = usher.ask("POST", "/v1/reload", None).unwrap();
            assert_eq!(status, 200, "{said}");
        }
    }
    let took = begun.elapsed();
    done.store(true, Ordering::Relaxed);
    runtime.block_on(async {
        for worker in workers {
            worker.await.unwrap();
        }
        for session in &mut sessions {
            assert_eq!(session.command("n NOOP").await.unwrap(), "n OK done", "no session is lost");
        }
    });
    let logins = logins.load(Ordering::Relaxed);
    eprintln!("{RELOADS} reloads in {took:?}, {logins} logins meanwhile");
    assert_eq!(failed.load(Ordering::Relaxed), 0, "no connect and no login fails");
    assert!(logins > 100);
    assert_eq!(held.logins(), SESSIONS + logins);
    let page = usher.shows("/metrics").to_string();
    assert!(page.contains("usher_config_reloads_total{result=\\\"refused\\\"} 50"), "{page}");
}
