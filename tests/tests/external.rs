//! Logins by the certificate that a client shows, told to a real Dovecot.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::time::{Duration, Instant};
use usher_tests::certificate::{ForClient, for_client};
use usher_tests::client::{Client, config};
use usher_tests::dovecot::{Dovecot, Mode, PASSWORD};
use usher_tests::usher::{Setup, Usher};

const ANNA: &str = "anna@example.com";
const PROBED: &str = "health = { interval = \"100ms\", imap = { probe = \"greeting\" } }";

/// usher in front of a Dovecot that is told of certificates, or of one whose master user lets people in.
fn usher(shown: &ForClient, mode: Mode, by_master: bool) -> (Usher, Dovecot) {
    let setup = Setup::new();
    let address = setup.at(10145);
    let dovecot = match by_master {
        true => Dovecot::start("one.test", address, mode),
        false => Dovecot::with_external("one.test", address, mode),
    };
    dovecot.add_user(ANNA);
    let (authority, secret) = (setup.dir.path().join("authority.pem"), setup.dir.path().join("master"));
    std::fs::write(&authority, &shown.ca_pem).unwrap();
    std::fs::write(&secret, PASSWORD).unwrap();
    let external = match by_master {
        true => format!("external = {{ master_user = \"admin\", master_password_file = {secret:?} }}\n"),
        false => String::new(),
    };
    let asks = format!("client_ca = {authority:?}\n");
    let tls = match mode {
        Mode::Implicit => format!("fingerprints = [\"{}\"]\n", dovecot.certificate.pin()),
        Mode::Plain | Mode::StartTls => String::new(),
    };
    let kind = if mode == Mode::Implicit { "implicit" } else { "none" };
    let imap = format!("tls = \"{kind}\", client_address = \"proxy-v2\"");
    let usher = setup
        .imap(&asks)
        .imaps(&asks)
        .host("one.test", address, &imap, &format!("{tls}{external}{PROBED}"))
        .users(&[(ANNA, "one.test")])
        .start();
    (usher, dovecot)
}

/// A client that shows its certificate, once that is of use.
fn showing(usher: &Usher, shown: &ForClient) -> Client {
    let until = Instant::now() + usher_tests::deadline::DEADLINE;
    loop {
        let mut client = Client::plain(usher.imaps());
        client.start_tls(shown.config());
        client.line();
        let offered = client.command("c CAPABILITY").join(" ");
        if offered.contains("AUTH=EXTERNAL") {
            return client;
        }
        assert!(Instant::now() < until, "EXTERNAL is never offered: {offered}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_certificate_lets_its_user_in() {
    let shown = for_client(ANNA);
    for (mode, by_master) in [(Mode::Plain, false), (Mode::Implicit, true)] {
        let (usher, dovecot) = usher(&shown, mode, by_master);
        for initial in ["=".to_owned(), STANDARD.encode(ANNA)] {
            let mut client = showing(&usher, &shown);
            client.send(format!("a AUTHENTICATE EXTERNAL {initial}\r\n"));
            let answer = client.answer("a").pop().unwrap();
            assert!(answer.starts_with("a OK"), "{by_master} {initial}: {answer}: {}", dovecot.log());
            client.command("b SELECT INBOX");
            assert!(client.command("c FETCH 1 BODY.PEEK[TEXT]").join(" ").contains("This is one.test"));
        }
        usher.wait_for_log(&format!("user=\"{ANNA}\" host=\"one.test\" mechanism=\"EXTERNAL\""));
        // Nobody else: the host says who may act for whom, and who is not known anywhere.
        let mut client = showing(&usher, &shown);
        client.send(format!("a AUTHENTICATE EXTERNAL {}\r\n", STANDARD.encode("ben@example.com")));
        let answer = client.answer("a").pop().unwrap();
        assert!(answer.starts_with("a NO ["), "{answer}");
        // Without a certificate, there is no such login.
        let mut client = Client::tls(usher.imaps());
        let said = client.command("a AUTHENTICATE EXTERNAL =");
        assert_eq!(said, ["a NO Unsupported authentication mechanism."]);
        assert!(!client.command("b CAPABILITY").join(" ").contains("EXTERNAL"));
        // After STARTTLS as well.
        let mut client = Client::plain(usher.imap());
        client.line();
        client.command("s STARTTLS");
        client.start_tls(shown.config());
        assert!(client.command("c CAPABILITY").join(" ").contains("AUTH=EXTERNAL"));
        assert!(client.command("a AUTHENTICATE EXTERNAL =").pop().unwrap().starts_with("a OK"));
    }
}

#[test]
fn a_certificate_of_somebody_else_s_is_none() {
    let (shown, forged) = (for_client(ANNA), for_client(ANNA));
    let (usher, _dovecot) = usher(&shown, Mode::Plain, false);
    showing(&usher, &shown);
    let mut client = Client::plain(usher.imaps());
    let refused = client.try_start_tls(forged.config(), "mail.test").and_then(|()| client.try_send(b"x\r\n"));
    assert!(refused.is_err() || client.rest().1.is_err());
    // With a password, a certificate changes nothing.
    let mut client = showing(&usher, &shown);
    client.login(ANNA, PASSWORD);
    let mut client = Client::plain(usher.imaps());
    client.start_tls(config());
    client.line();
    client.login(ANNA, PASSWORD);
}
