//! What backends get wrong, and what the client and the backend then see.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use base64::Engine;
use socket2::SockRef;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use usher_backends::roster::{HoldKind, OperatorHold};
use usher_backends::state::State;
use usher_backends::store::{FleetChange, Store};
use usher_tests::archive::{Event, Options, Tls};
use usher_tests::certificate::Certificate;
use usher_tests::client::Client;
use usher_tests::runtime::archive;
use usher_tests::scripted::{Conn, GREETING, Scripted};
use usher_tests::usher::{DEADLINE, Setup, Usher};

const BYE: &str = "* BYE [UNAVAILABLE] Temporarily unavailable, try again later.\r\n";
const OUT: &str = "a NO [UNAVAILABLE] Temporarily unavailable, try again later.\r\n\
                   * BYE [UNAVAILABLE] Temporarily unavailable, try again later.\r\n";
const NO: &str = "a NO [AUTHENTICATIONFAILED] Authentication failed.";

/// usher with anna on one host at port 10143.
fn with_host(setup: Setup, imap: &str, keys: &str) -> Setup {
    let address = setup.at(10143);
    setup.host("ih.test", address, imap, keys).users(&[("anna@example.com", "ih.test")])
}

fn quick() -> Setup {
    Setup::new().server("login_wait = \"600ms\"\ndrain_deadline = \"1s\"").limits(
        "backend_connect = \"400ms\"\nbackend_login = \"400ms\"\nretry = \"100ms\"\nfarewell = \"500ms\"",
    )
}

/// What a login gets, to the end of the connection.
fn login(usher: &Usher) -> String {
    let mut client = Client::tls(usher.imaps());
    client.send("a LOGIN anna secret\r\n");
    client.rest().0
}

#[test]
fn unknown_user_and_wrong_password_look_alike() {
    let setup = quick();
    let held = archive(Options::named("ih.test"), setup.at(10143));
    held.add_user("anna@example.com", "secret");
    let usher = with_host(setup, "tls = \"none\"", "login_as = \"canonical\"").start();
    let mut client = Client::tls(usher.imaps());
    assert_eq!(client.command("a LOGIN anna wrong"), [NO]);
    assert_eq!(client.command("a LOGIN nobody wrong"), [NO]);
    // The connection is as good as before.
    client.login("anna", "secret");
    let line = usher.wait_for_log("login refused");
    assert!(line.contains("client=127.") && line.contains("user=\"anna@example.com\""), "{line}");
    assert!(!usher.log().contains("wrong") && !usher.log().contains("secret"));
}

#[test]
fn an_unknown_user_waits_as_long_as_a_wrong_password() {
    let setup = quick();
    let slow = Scripted::start(setup.at(10143), |mut conn| {
        conn.send(GREETING);
        conn.line();
        std::thread::sleep(Duration::from_millis(300));
        conn.send("L NO [AUTHENTICATIONFAILED] no\r\n");
        conn.rest();
    });
    let usher = with_host(setup, "tls = \"none\"", "").start();
    let mut client = Client::tls(usher.imaps());
    client.command("a LOGIN anna wrong");
    let begun = Instant::now();
    assert_eq!(client.command("a LOGIN nobody wrong"), [NO]);
    assert!(begun.elapsed() >= Duration::from_millis(250), "{:?}", begun.elapsed());
    drop(slow);
}

#[test]
fn a_host_that_is_out_is_no_wrong_password() {
    // Refused, silent, garbage, endless, BYE, PREAUTH, wrong tag, hung up, POP3.
    type Script = fn(Conn);
    let scripts: [(&str, Script); 9] = [
        ("hung up", |_| {}),
        ("silent", |mut conn| drop(conn.rest())),
        ("garbage", |mut conn| conn.send("\x01\x02 what\r\n")),
        ("endless", |mut conn| conn.send("x".repeat(1 << 20))),
        ("bye", |mut conn| conn.send("* BYE not now\r\n")),
        ("preauth", |mut conn| {
            conn.send("* PREAUTH [CAPABILITY IMAP4rev1] you are root\r\n");
            conn.rest();
        }),
        ("wrong tag", |mut conn| {
            conn.send(GREETING);
            conn.line();
            conn.send("X OK you are in\r\n");
            conn.rest();
        }),
        ("unavailable", |mut conn| {
            conn.send(GREETING);
            conn.line();
            conn.send("L NO [UNAVAILABLE] database is down\r\n");
            conn.rest();
        }),
        ("pop3", |mut conn| {
            conn.send("+OK POP3 ready\r\n");
            conn.rest();
        }),
    ];
    for (name, script) in scripts {
        let setup = quick();
        let scripted = Scripted::start(setup.at(10143), script);
        let usher = with_host(setup, "tls = \"none\"", "").start();
        assert_eq!(login(&usher), OUT, "{name}");
        if name == "preauth" {
            assert_eq!(scripted.heard(), b"", "no credential after PREAUTH");
        }
    }
    let usher = with_host(quick(), "tls = \"none\"", "").start();
    assert_eq!(login(&usher), OUT, "refused");
    usher.wait_for_log("stage=\"dial\"");
    assert!(!usher.log().contains("secret"));
}

#[test]
fn a_delivered_credential_is_sent_once_more_at_most() {
    // 120: what the host does with the credential, how often it gets it, and what the client is told
    type Script = fn(&mut Conn);
    let scripts: [(&str, Script, usize, &str); 8] = [
        ("closed", |conn| drop(conn.tcp().shutdown(Shutdown::Both)), 2, OUT),
        ("bye", |conn| conn.send("* BYE too many logins\r\n"), 2, OUT),
        ("unavailable", |conn| conn.send("L NO [UNAVAILABLE] x\r\n"), 2, OUT),
        ("in use", |conn| conn.send("L NO [INUSE] x\r\n"), 2, "a NO [INUSE] The mailbox is in use.\r\n"),
        ("server bug", |conn| conn.send("L NO [SERVERBUG] x\r\n"), 1, OUT),
        ("privacy", |conn| conn.send("L NO [PRIVACYREQUIRED] x\r\n"), 1, OUT),
        ("bad", |conn| conn.send("L BAD what\r\n"), 1, OUT),
        ("silent", |conn| drop(conn.rest()), 1, OUT),
    ];
    for capabilities in ["AUTH=PLAIN SASL-IR", "AUTH=PLAIN", ""] {
        for (name, script, times, told) in scripts {
            let setup = Setup::new()
                .server("login_wait = \"3s\"")
                .limits("backend_connect = \"1s\"\nbackend_login = \"400ms\"\nretry = \"100ms\"\nfarewell = \"500ms\"");
            let had = Arc::new(AtomicUsize::new(0));
            let counted = had.clone();
            let _scripted = Scripted::start(setup.at(10143), move |mut conn| {
                conn.send(format!("* OK [CAPABILITY IMAP4rev1 {capabilities}] hello\r\n"));
                let Some(line) = conn.line().filter(|line| line.starts_with("L ")) else { return };
                if line.ends_with("AUTHENTICATE PLAIN") {
                    conn.send("+ \r\n");
                    conn.line();
                }
                counted.fetch_add(1, Ordering::SeqCst);
                script(&mut conn);
                conn.rest();
            });
            let usher = with_host(setup, "tls = \"none\"", "").start();
            let mut client = Client::tls(usher.imaps());
            client.send("a LOGIN anna secret\r\nb LOGOUT\r\n");
            let said = client.rest().0;
            assert!(said.starts_with(told), "{name} {capabilities}: {said}");
            assert_eq!(had.load(Ordering::SeqCst), times, "{name} {capabilities}");
            assert!(!usher.log().contains("instance host failed"), "{name}: {}", usher.log());
        }
    }
}

/// Answers one login so.
fn says(stream: &mut (impl Read + Write), said: &str) {
    stream.write_all(b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hello\r\n").unwrap();
    let mut line = String::new();
    BufReader::new(&mut *stream).read_line(&mut line).unwrap();
    stream.write_all(format!("L {said}\r\n").as_bytes()).unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
}

#[test]
fn a_host_that_is_known_may_alert_the_user() {
    // 126
    let certificate = Certificate::for_names(&["ih.test"]);
    for (tls, said, told) in [
        (
            true,
            "NO [ALERT] Mailbox of\u{1b}[2J anna\u{202e} is full",
            "a NO [ALERT] Mailbox of [2J anna  is full",
        ),
        (true, "NO [ALERT]", NO),
        (true, "OK [ALERT] Maintenance at 18:00", "a OK [ALERT] Maintenance at 18:00"),
        (false, "NO [ALERT] Call 0900", NO),
        (false, "OK [ALERT] Call 0900", "a OK Logged in."),
    ] {
        let setup = quick();
        let config = tls.then(|| certificate.server_config());
        let _scripted = Scripted::start(setup.at(10143), move |mut conn| match &config {
            Some(config) => {
                let mut session = rustls::ServerConnection::new(config.clone()).unwrap();
                says(&mut rustls::Stream::new(&mut session, &mut conn), said);
            }
            None => says(&mut conn, said),
        });
        let (imap, pin) = match tls {
            true => ("tls = \"implicit\"", format!("fingerprints = [{:?}]", certificate.pin())),
            false => ("tls = \"none\"", String::new()),
        };
        let usher = with_host(setup, imap, &pin).start();
        let mut client = Client::tls(usher.imaps());
        let answer = client.command("a LOGIN anna secret");
        assert_eq!(answer.last().unwrap(), told, "{said} {tls}");
    }
}

#[test]
fn who_acts_as_themself_acts_for_nobody_else() {
    // 175: a host without AUTH=PLAIN
    let setup = quick();
    let scripted = Scripted::start(setup.at(10143), |mut conn| {
        conn.send("* OK [CAPABILITY IMAP4rev1] hello\r\n");
        conn.line();
        conn.send("L OK in\r\n");
        conn.rest();
    });
    let usher = with_host(setup, "tls = \"none\"", "").start();
    for (authzid, authcid) in [("anna", "anna"), ("Anna@example.com", "anna")] {
        let message =
            base64::engine::general_purpose::STANDARD.encode(format!("{authzid}\0{authcid}\0secret"));
        let mut client = Client::tls(usher.imaps());
        let answer = client.command(&format!("a AUTHENTICATE PLAIN {message}"));
        assert!(answer.last().unwrap().starts_with("a OK"), "{answer:?}");
    }
    let heard = String::from_utf8(scripted.heard()).unwrap();
    assert!(heard.starts_with("L LOGIN \"anna\" \"secret\"\r\n"), "{heard:?}");
}

#[test]
fn names_come_as_clients_write_them() {
    // 123, 124: without quotes, and with a blank of a phone's keyboard
    for (login_as, typed, given) in [
        ("typed", "dora%example.net", "dora%example.net"),
        ("canonical", "dora%example.net", "dora@example.net"),
        ("typed", "\"dora@example.net \"", "dora@example.net "),
        ("canonical", "\"dora@example.net \"", "dora@example.net"),
    ] {
        let setup = quick();
        let scripted = Scripted::start(setup.at(10143), |mut conn| {
            conn.send("* OK [CAPABILITY IMAP4rev1] hello\r\n");
            conn.line();
            conn.send("L OK in\r\n");
            conn.rest();
        });
        let address = setup.at(10143);
        let usher = setup
            .section("[[domain]]\nname = \"example.net\"\nseparators = [\"@\", \"%\"]")
            .host("ih.test", address, "tls = \"none\"", &format!("login_as = {login_as:?}"))
            .users(&[("dora@example.net", "ih.test")])
            .start();
        let mut client = Client::tls(usher.imaps());
        let answer = client.command(&format!("a LOGIN {typed} p*%\\w"));
        assert!(answer.last().unwrap().starts_with("a OK"), "{answer:?}");
        let heard = String::from_utf8(scripted.heard()).unwrap();
        assert_eq!(heard, format!("L LOGIN \"{given}\" \"p*%\\\\w\"\r\n"));
    }
}

#[test]
fn an_outage_is_told_as_the_operator_wants() {
    let no = "a NO [UNAVAILABLE] Temporarily unavailable, try again later.\r\n";
    for (reply, told) in [("bye", BYE.to_owned()), ("no-bye", format!("{no}{BYE}"))] {
        let setup = quick().server(&format!("login_wait = \"300ms\"\noutage_reply = {reply:?}"));
        let usher = with_host(setup, "tls = \"none\"", "").start();
        assert_eq!(login(&usher), told);
    }
    let setup = quick().server("login_wait = \"300ms\"\noutage_reply = \"no\"");
    let usher = with_host(setup, "tls = \"none\"", "").start();
    let mut client = Client::tls(usher.imaps());
    let answer = client.command("a LOGIN anna secret");
    assert_eq!(answer, ["a NO [UNAVAILABLE] Temporarily unavailable, try again later."]);
    assert_eq!(client.command("b NOOP"), ["b OK Nothing done."]);
}

#[test]
fn a_held_login_is_served_when_its_host_returns() {
    let setup = Setup::new().server("login_wait = \"30s\"").limits("retry = \"100ms\"");
    let address = setup.at(10143);
    let usher = with_host(setup, "tls = \"none\"", "").start();
    let mut client = Client::tls(usher.imaps());
    client.send("a LOGIN anna@example.com secret\r\n");
    usher.wait_for_log("instance host failed");
    let held = archive(Options::named("ih.test"), address);
    held.add_user("anna@example.com", "secret");
    assert!(client.answer("a")[0].starts_with("a OK"));
}

#[test]
fn the_number_of_held_logins_is_capped() {
    let setup = Setup::new().server("login_wait = \"20s\"").limits("held_logins = 1\nretry = \"100ms\"");
    let usher = with_host(setup, "tls = \"none\"", "").start();
    let mut first = Client::tls(usher.imaps());
    first.send("a LOGIN anna secret\r\n");
    usher.wait_for_log("instance host failed");
    // The first has its place by the time that its second try fails.
    usher.wait_for_logs("instance host failed", 3);
    let begun = Instant::now();
    assert_eq!(login(&usher), OUT);
    assert!(begun.elapsed() < Duration::from_secs(10), "not held");
}

#[test]
fn a_full_host_makes_logins_wait() {
    let setup = Setup::new().server("login_wait = \"30s\"").limits("retry = \"50ms\"");
    let held = archive(Options::named("ih.test"), setup.at(10143));
    held.add_user("anna@example.com", "secret");
    let usher = with_host(setup, "tls = \"none\"", "max_sessions = 1").start();
    let mut first = Client::tls(usher.imaps());
    first.login("anna@example.com", "secret");
    let mut second = Client::tls(usher.imaps());
    second.send("a LOGIN anna@example.com secret\r\n");
    second.tcp().set_read_timeout(Some(Duration::from_millis(400))).unwrap();
    assert!(second.rest().1.is_err(), "still waits");
    second.tcp().set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    first.command("x LOGOUT");
    assert!(second.answer("a")[0].starts_with("a OK"));
}

#[test]
fn a_host_that_an_operator_holds_is_out_at_once() {
    let setup = Setup::new().server("login_wait = \"50s\"");
    let held = archive(Options::named("ih.test"), setup.at(10143));
    held.add_user("anna@example.com", "secret");
    let state_dir = setup.dir.path().join("state");
    let setup = with_host(setup, "tls = \"none\"", "");
    let hold = OperatorHold { kind: HoldKind::Stop, since: 0, by: "test".into(), why: "maintenance".into() };
    let hold = FleetChange::Hold { name: "ih.test".to_owned(), hold };
    State::open(&state_dir).unwrap().append(hold).unwrap();
    let usher = setup.start();
    let begun = Instant::now();
    assert_eq!(login(&usher), BYE);
    assert!(begun.elapsed() < Duration::from_secs(20), "not held for login_wait");
    assert_eq!(held.events(), []);
}

#[test]
fn credentials_go_to_the_pinned_certificate_only() {
    for (tls, mode) in [("implicit", Tls::Implicit), ("starttls", Tls::StartTls)] {
        let setup = quick();
        let certificate = Certificate::for_names(&["ih.test"]);
        let other = Certificate::for_names(&["ih.test"]);
        let options =
            Options { tls: mode, certificate: Some(certificate.clone()), ..Options::named("ih.test") };
        let held = archive(options, setup.at(10143));
        held.add_user("anna@example.com", "secret");
        let pins = format!("fingerprints = [{:?}]", other.pin());
        let usher = with_host(setup, &format!("tls = \"{tls}\""), &pins).start();
        assert_eq!(login(&usher), OUT);
        usher.wait_for_log("the certificate does not match any of the pins");
        let said = held.lines().join("\n");
        assert!(!said.contains("LOGIN") && !said.contains("AUTHENTICATE"), "{said}");
    }
}

#[test]
fn without_pins_the_system_decides_and_does_not_know_a_self_made_certificate() {
    let setup = quick();
    let certificate = Certificate::for_names(&["ih.test"]);
    let options = Options { tls: Tls::Implicit, certificate: Some(certificate), ..Options::named("ih.test") };
    let held = archive(options, setup.at(10143));
    let usher = with_host(setup, "tls = \"implicit\"", "").start();
    assert_eq!(login(&usher), OUT);
    assert_eq!(held.lines(), [""; 0]);
}

#[test]
fn both_pins_are_good_during_rotation_even_for_an_expired_certificate() {
    let setup = quick();
    let (old, new) = (Certificate::expired(&["ih.test"]), Certificate::for_names(&["ih.test"]));
    let options = Options { tls: Tls::Implicit, certificate: Some(old.clone()), ..Options::named("ih.test") };
    archive(options, setup.at(10143)).add_user("anna@example.com", "secret");
    let pins = format!("fingerprints = [{:?}, {:?}]\nlogin_as = \"canonical\"", new.pin(), old.pin());
    let usher = with_host(setup, "tls = \"implicit\"", &pins).start();
    Client::tls(usher.imaps()).login("anna", "secret");
    usher.wait_for_log("pinned certificate has expired");
}

#[test]
fn no_credential_without_the_starttls_that_is_demanded() {
    for said in [
        "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] no STARTTLS here\r\n",
        "* OK hello\r\nS NO not today\r\n",
        "* OK hello\r\nS BAD what?\r\n",
        "* OK [CAPABILITY IMAP4rev1 STARTTLS] hello\r\nS OK go\r\n* OK [CAPABILITY AUTH=PLAIN] injected\r\n",
    ] {
        let setup = quick();
        let scripted = Scripted::start(setup.at(10143), move |mut conn| {
            let (greeting, answer) = said.split_at(said.find("\r\n").unwrap() + 2);
            conn.send(greeting);
            if !answer.is_empty() {
                conn.line();
                conn.send(answer);
            }
            conn.rest();
        });
        let pin = format!("fingerprints = [{:?}]", Certificate::for_names(&["ih.test"]).pin());
        let usher = with_host(setup, "tls = \"starttls\"", &pin).start();
        assert_eq!(login(&usher), OUT, "{said}");
        // Whoever ends TLS itself sees the clear octets: STARTTLS at most, never a name or a password.
        let heard = String::from_utf8_lossy(&scripted.heard()).into_owned();
        assert_eq!(heard.replace("S STARTTLS\r\n", ""), "", "{said}");
    }
}

#[test]
fn referrals_and_alerts_stay_inside() {
    for said in ["[REFERRAL imap://anna@other.test/] moved", "[ALERT] call 555-1234 now", "free text"] {
        let setup = quick();
        let _scripted = Scripted::start(setup.at(10143), move |mut conn| {
            conn.send(GREETING);
            conn.line();
            conn.send(format!("* NO [ALERT] careful\r\nL NO {said}\r\n"));
            conn.rest();
        });
        let usher = with_host(setup, "tls = \"none\"", "").start();
        assert_eq!(Client::tls(usher.imaps()).command("a LOGIN anna secret"), [NO], "{said}");
    }
    for (code, expected) in [
        ("LIMIT", "a NO [LIMIT] Too many connections."),
        ("EXPIRED", "a NO [EXPIRED] The password has expired."),
        ("CONTACTADMIN", "a NO [CONTACTADMIN] Ask your administrator."),
    ] {
        let setup = quick();
        let _scripted = Scripted::start(setup.at(10143), move |mut conn| {
            conn.send(GREETING);
            conn.line();
            conn.send(format!("L NO [{code}] internal.host.name says so\r\n"));
            conn.rest();
        });
        let usher = with_host(setup, "tls = \"none\"", "").start();
        assert_eq!(Client::tls(usher.imaps()).command("a LOGIN anna secret"), [expected]);
    }
}

#[test]
fn a_backend_that_dies_is_told_from_one_that_ends() {
    const GONE: &str = "* BYE [UNAVAILABLE] Connection is closing, please reconnect.\r\n";
    // Between two responses: a goodbye.
    let setup = quick();
    let _scripted = Scripted::logged_in(setup.at(10143), |conn| {
        conn.line();
        conn.send("* 1 EXISTS\r\n");
    });
    let usher = with_host(setup, "tls = \"none\"", "").start();
    let mut client = Client::tls(usher.imaps());
    client.login("anna", "secret");
    client.send("a NOOP\r\n");
    let (said, end) = client.rest();
    assert_eq!(said, format!("* 1 EXISTS\r\n{GONE}"));
    assert!(end.is_ok());
    usher.wait_for_log("by=\"backend\" stage=\"relay\" cause=\"closed\"");

    // In the middle of a literal: cut, and seen to be cut.
    let setup = quick();
    let _scripted = Scripted::logged_in(setup.at(10143), |conn| {
        conn.line();
        conn.send("* 1 FETCH (BODY[] {100}\r\nhalf of it");
    });
    let usher = with_host(setup, "tls = \"none\"", "").start();
    let mut client = Client::tls(usher.imaps());
    client.login("anna", "secret");
    client.send("a FETCH 1 BODY[]\r\n");
    let (said, end) = client.rest();
    assert_eq!(said, "* 1 FETCH (BODY[] {100}\r\nhalf of it");
    assert!(end.is_err(), "no close_notify: what came is not all there was");

    // A reset is told from an end.
    let setup = quick();
    let _scripted = Scripted::logged_in(setup.at(10143), |conn| {
        conn.line();
        SockRef::from(conn.tcp()).set_linger(Some(Duration::ZERO)).unwrap();
    });
    let usher = with_host(setup, "tls = \"none\"", "").start();
    let mut client = Client::tls(usher.imaps());
    client.login("anna", "secret");
    client.send("a NOOP\r\n");
    assert_eq!(client.rest().0, GONE);
    usher.wait_for_log("by=\"backend\" stage=\"relay\" cause=\"reset\"");
}

#[test]
fn a_backend_that_said_bye_is_not_talked_over() {
    let setup = quick();
    let _scripted = Scripted::logged_in(setup.at(10143), |conn| {
        conn.line();
        conn.send("* BYE bye\r\na OK out\r\n");
    });
    let usher = with_host(setup, "tls = \"none\"", "").start();
    let mut client = Client::tls(usher.imaps());
    client.login("anna", "secret");
    client.send("a LOGOUT\r\n");
    assert_eq!(client.rest().0, "* BYE bye\r\na OK out\r\n");
    usher.wait_for_log("by=\"client\" stage=\"relay\" cause=\"closed\"");
}

#[test]
fn half_closes_are_passed_on_both_ways() {
    let setup = quick();
    let scripted = Scripted::logged_in(setup.at(10143), |conn| {
        // The client ends its side first and still gets all of its answers.
        let line = conn.line().unwrap();
        assert_eq!(conn.line(), None, "the client's end arrives");
        conn.send(format!("{} OK late answer\r\n", line.split(' ').next().unwrap()));
    });
    let usher = with_host(setup, "tls = \"none\"", "").start();
    let mut client = Client::tls(usher.imaps());
    client.login("anna", "secret");
    client.send("a NOOP\r\n");
    client.half_close();
    assert_eq!(client.rest().0, "a OK late answer\r\n");
    drop(scripted);

    let setup = Setup::new().limits("farewell = \"20s\"");
    let (told, hears) = std::sync::mpsc::channel();
    let _scripted = Scripted::logged_in(setup.at(10143), move |conn| {
        conn.send("* 1 EXISTS\r\n");
        conn.tcp().shutdown(Shutdown::Write).unwrap();
        told.send(conn.line()).unwrap();
    });
    let usher = with_host(setup, "tls = \"none\"", "").start();
    let mut client = Client::tls(usher.imaps());
    client.login("anna", "secret");
    assert_eq!(client.line(), "* 1 EXISTS");
    client.line();
    client.send("last words\r\n");
    assert_eq!(hears.recv_timeout(Duration::from_secs(30)).unwrap().as_deref(), Some("last words"));
}

#[test]
fn a_client_cut_off_without_tlss_own_end_is_truncated() {
    let setup = quick();
    let (told, hears) = std::sync::mpsc::channel();
    let _scripted = Scripted::logged_in(setup.at(10143), move |conn| {
        told.send(conn.rest()).unwrap();
    });
    let usher = with_host(setup, "tls = \"none\"", "").start();
    let mut client = Client::tls(usher.imaps());
    client.login("anna", "secret");
    client.tcp().shutdown(Shutdown::Both).unwrap();
    usher.wait_for_log("by=\"client\" stage=\"relay\" cause=\"truncated\"");
    assert_eq!(hears.recv_timeout(Duration::from_secs(30)).unwrap(), b"");
}

#[test]
fn a_backend_cut_off_without_tlss_own_end_is_truncated() {
    for clean in [true, false] {
        let setup = quick();
        let certificate = Certificate::for_names(&["ih.test"]);
        let pin = format!("fingerprints = [{:?}]", certificate.pin());
        let config = certificate.server_config();
        let _scripted = Scripted::start(setup.at(10143), move |conn| {
            let tls = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut stream = rustls::StreamOwned::new(tls, conn.tcp().try_clone().unwrap());
            stream.write_all(GREETING.as_bytes()).unwrap();
            let mut lines = BufReader::new(&mut stream).lines();
            lines.next();
            drop(lines);
            stream.write_all(b"L OK in\r\n").unwrap();
            let mut buf = [0; 100];
            let _ = stream.read(&mut buf).unwrap();
            stream.write_all(b"* 1 EXISTS\r\n").unwrap();
            if clean {
                stream.conn.send_close_notify();
            }
            stream.flush().unwrap();
            conn.tcp().shutdown(Shutdown::Write).unwrap();
            let _ = stream.read(&mut buf);
        });
        let usher = with_host(setup, "tls = \"implicit\"", &pin).start();
        let mut client = Client::tls(usher.imaps());
        client.login("anna", "secret");
        client.send("a NOOP\r\n");
        assert!(client.rest().0.starts_with("* 1 EXISTS\r\n* BYE "));
        let cause = if clean { "closed" } else { "truncated" };
        usher.wait_for_log(&format!("by=\"backend\" stage=\"relay\" cause=\"{cause}\""));
    }
}

#[test]
fn a_peer_that_does_not_read_stops_the_other_side_and_then_itself() {
    let setup = Setup::new().limits("stalled = \"1s\"\nfarewell = \"300ms\"");
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let _scripted = Scripted::logged_in(setup.at(10143), move |conn| {
        conn.line();
        SockRef::from(conn.tcp()).set_send_buffer_size(16 * 1024).unwrap();
        let chunk = [b'x'; 16 * 1024];
        conn.send("* 1 FETCH (BODY[] {1000000000}\r\n");
        let mut tcp = conn.tcp();
        while tcp.write_all(&chunk).is_ok() {
            count.fetch_add(chunk.len(), Ordering::Relaxed);
        }
    });
    let usher = with_host(setup, "tls = \"none\"", "").start();
    let mut client = Client::tls(usher.imaps());
    client.login("anna", "secret");
    let before = usher.resident();
    client.send("a FETCH 1 BODY[]\r\n");
    usher.wait_for_log("cause=\"stalled\"");
    let grown = usher.resident().saturating_sub(before);
    assert!(grown < 2 << 20, "usher holds {grown} octets more for a client that does not read");
    // What the kernels hold on four sockets, and no more.
    assert!(sent.load(Ordering::Relaxed) < 64 << 20);
}

#[test]
fn a_peer_that_reads_slowly_is_served() {
    let setup = Setup::new().limits("stalled = \"1s\"");
    const SIZE: usize = 24 << 20;
    let _scripted = Scripted::logged_in(setup.at(10143), |conn| {
        conn.line();
        conn.send(format!("* 1 FETCH (BODY[] {{{SIZE}}}\r\n"));
        conn.send(vec![b'x'; SIZE]);
        conn.send(")\r\na OK done\r\n");
        conn.rest();
    });
    let usher = with_host(setup, "tls = \"none\"", "").start();
    let mut client = Client::tls(usher.imaps());
    client.login("anna", "secret");
    client.send("a FETCH 1 BODY[]\r\n");
    client.line();
    let mut left = SIZE;
    // Longer than a peer may stall, in all, and never for long.
    while left > 0 {
        let now = left.min(1 << 20);
        client.octets(now);
        left -= now;
        std::thread::sleep(Duration::from_millis(120));
    }
    assert_eq!(client.answer("a").last().unwrap(), "a OK done");
}

#[test]
fn a_backend_that_hangs_within_a_response_does_not_keep_the_session() {
    let setup = Setup::new().limits("idle = \"1s\"\nstalled = \"1s\"\nfarewell = \"300ms\"");
    let _scripted = Scripted::logged_in(setup.at(10143), |conn| {
        conn.line();
        conn.send("* 1 FETCH (BODY[] {10}\r\n01234");
        conn.rest();
    });
    let usher = with_host(setup, "tls = \"none\"", "").start();
    let mut client = Client::tls(usher.imaps());
    client.login("anna", "secret");
    client.send("a FETCH 1 BODY[]\r\n");
    client.octets(29);
    assert!(client.rest().1.is_err(), "cut, and seen to be cut");
    usher.wait_for_log("by=\"usher\" stage=\"relay\" cause=\"stalled\"");
}

#[test]
fn a_password_that_no_backend_could_take_is_no_outage() {
    let setup = Setup::new().server("login_wait = \"50s\"");
    let _scripted = Scripted::start(setup.at(10143), |mut conn| {
        conn.send(GREETING);
        conn.line();
        conn.send("L BAD what?\r\n");
        conn.rest();
    });
    let usher = with_host(setup, "tls = \"none\"", "").start();
    // NUL in a password of SASL LOGIN.
    let mut client = Client::tls(usher.imaps());
    client.send("a AUTHENTICATE LOGIN YW5uYQ==\r\nc2UAY3JldA==\r\n");
    client.line();
    assert_eq!(client.line(), "a BAD NUL in a name or a password.");
    // What the host calls BAD is not tried again and again.
    let begun = Instant::now();
    assert_eq!(login(&usher), OUT);
    assert!(begun.elapsed() < Duration::from_secs(20), "not held for login_wait");
}

#[test]
fn vanished_peers_are_looked_for_on_both_legs() {
    let setup = quick();
    let held = archive(Options::named("ih.test"), setup.at(10143));
    held.add_user("anna@example.com", "secret");
    let usher = with_host(setup, "tls = \"none\"", "login_as = \"canonical\"").start();
    // More than one a worker: what the first has been given, those after it have from the listening socket.
    let mut clients: Vec<_> = (0..16).map(|_| Client::tls(usher.imaps())).collect();
    clients.iter_mut().for_each(|client| client.login("anna", "secret"));
    let ip = usher.setup.ip.to_string();
    for filter in [["src", &ip, "and", "sport = :1993"], ["dst", &ip, "and", "dport = :10143"]] {
        // Once everything is acknowledged, keepalive is the only timer left. The first probe comes within a
        // minute; 90 seconds are the end (TCP_USER_TIMEOUT).
        let until = Instant::now() + DEADLINE;
        let shown = loop {
            let mut ss = std::process::Command::new("ss");
            let output = ss.args(["-Htno", "state", "established"]).args(filter).output().expect("ss runs");
            let shown = String::from_utf8_lossy(&output.stdout).into_owned();
            if shown.matches("timer:(keepalive,").count() == clients.len() {
                break shown;
            }
            assert!(Instant::now() < until, "{filter:?}: {shown}");
        };
        for timer in shown.split("timer:(keepalive,").skip(1) {
            let due = timer.split(',').next().unwrap();
            let seconds: f64 = due.trim_end_matches("sec").trim_end_matches("min").parse().unwrap_or(60.0);
            assert!(seconds <= 60.0, "{filter:?}: {due}");
        }
    }
}

#[test]
fn the_clients_address_goes_along() {
    for (word, proxy) in [("proxy-v1", true), ("proxy-v2", true), ("imap-id", false)] {
        let setup = quick();
        let options = Options { proxy_header: proxy, ..Options::named("ih.test") };
        let held = archive(options, setup.at(10143));
        held.add_user("anna@example.com", "secret");
        let imap = format!("tls = \"none\", client_address = \"{word}\"");
        let usher = with_host(setup, &imap, "login_as = \"canonical\"").start();
        let mut client = Client::tls(usher.imaps());
        let from = client.tcp().local_addr().unwrap();
        client
            .send("i ID (\"name\" \"test\" \"x-originating-ip\" \"6.6.6.6\" \"X-Session-ID\" \"fake\")\r\n");
        client.answer("i");
        client.login("anna", "secret");
        if proxy {
            assert_eq!(held.events()[0], Event::Connected(from), "{word}");
        } else {
            let id = held.lines().into_iter().find(|line| line.starts_with("I ID ")).unwrap();
            assert!(id.contains(&format!("\"x-originating-ip\" \"{}\"", from.ip())), "{id}");
            assert!(id.contains(&format!("\"x-originating-port\" \"{}\"", from.port())), "{id}");
            assert!(
                id.contains("\"name\" \"test\"") && !id.contains("6.6.6.6") && !id.contains("fake"),
                "{id}"
            );
        }
        // Nor after login.
        client.send("j ID (\"x-originating-ip\" \"6.6.6.6\" \"vendor\" \"me\")\r\n");
        client.answer("j");
        assert_eq!(held.lines().last().unwrap(), "j ID (\"vendor\" \"me\")");
    }
}

#[test]
fn authorization_identity_decides_the_route_and_goes_along() {
    let setup = quick();
    let (told, hears) = std::sync::mpsc::channel();
    let _scripted = Scripted::start(setup.at(10143), move |mut conn| {
        conn.send(GREETING);
        told.send(conn.line().unwrap()).unwrap();
        conn.send("L NO [AUTHORIZATIONFAILED] not for you\r\n");
        conn.rest();
    });
    let usher = with_host(setup, "tls = \"none\"", "").start();
    // anna, by the administrator's password
    let answer = Client::tls(usher.imaps()).command("a AUTHENTICATE PLAIN YW5uYQBhZG1pbgBzZWNyZXQ=");
    assert_eq!(answer, ["a NO [AUTHORIZATIONFAILED] Not allowed to act as this user."]);
    let sent = hears.recv_timeout(Duration::from_secs(30)).unwrap();
    assert_eq!(sent, "L AUTHENTICATE PLAIN YW5uYQBhZG1pbgBzZWNyZXQ=");
}

#[test]
fn pipelined_commands_wait_for_the_login() {
    let setup = quick();
    let held = archive(Options::named("ih.test"), setup.at(10143));
    held.add_user("anna@example.com", "secret");
    let usher = with_host(setup, "tls = \"none\"", "login_as = \"canonical\"").start();
    // Refused: each gets its answer here, and none has reached the host.
    let mut client = Client::tls(usher.imaps());
    client.send("a LOGIN anna wrong\r\nb SELECT INBOX\r\nc NOOP\r\nd LOGIN anna secret\r\ne SELECT INBOX\r\nf NOOP\r\n");
    assert_eq!(client.line(), NO);
    assert_eq!(client.line(), "b BAD Log in first.");
    assert_eq!(client.line(), "c OK Nothing done.");
    assert!(client.line().starts_with("d OK"));
    assert!(client.answer("e").last().unwrap().starts_with("e OK"));
    assert_eq!(client.answer("f").last().unwrap(), "f OK done");
    let lines = held.lines().join("\n");
    assert!(!lines.contains("b SELECT") && lines.contains("e SELECT INBOX"), "{lines}");
}

#[test]
fn a_client_that_leaves_while_it_waits_frees_its_place() {
    let setup = Setup::new().server("login_wait = \"50s\"").limits("retry = \"100ms\"");
    let usher = with_host(setup, "tls = \"none\"", "").start();
    let mut client = Client::tls(usher.imaps());
    client.send("a LOGIN anna secret\r\n");
    usher.wait_for_log("instance host failed");
    drop(client);
    usher.wait_for_log("by=\"client\" stage=\"login\"");
}

#[test]
fn what_all_hosts_have_is_offered_before_login() {
    // 125: IDLE by itself, the rest where the operator wants it, and nothing before all have shown it
    for (keys, offered) in [("", " IDLE]"), ("capabilities = \"shared\"", " IDLE UIDPLUS]")] {
        let setup = Setup::new().imap(keys);
        let mut scripts = Vec::new();
        for (at, more) in [(0_u16, "IDLE UIDPLUS MOVE"), (1, "UIDPLUS idle COMPRESS=DEFLATE")] {
            scripts.push(Scripted::start(setup.at(10143 + at), move |mut conn| {
                conn.send(format!("* OK [CAPABILITY IMAP4rev1 LITERAL+ AUTH=PLAIN {more}] ready\r\n"));
                conn.rest();
            }));
        }
        let (zero, one) = (setup.at(10143), setup.at(10144));
        let health = "health = { interval = \"100ms\" }";
        let usher = setup
            .host("ih0.test", zero, "tls = \"none\"", health)
            .host("ih1.test", one, "tls = \"none\"", health)
            .start();
        for host in ["ih0.test", "ih1.test"] {
            let path = format!("/v1/hosts/{host}");
            usher.wait_until(&path, |shown| shown[0]["services"][0]["capabilities"].is_string());
        }
        let mut client = Client::plain(usher.imap());
        let greeting = client.line();
        assert!(greeting.contains(&format!("LOGINDISABLED{offered}")), "{greeting}");
    }
}
