//! The main way: a client logs in and reaches the archive that is the user's.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use std::sync::Arc;
use usher_tests::archive::{Archive, Event, Options, Tls};
use usher_tests::certificate::Certificate;
use usher_tests::client::{Client, config};
use usher_tests::runtime::archive;
use usher_tests::usher::{Setup, Usher};

/// Three archives, one per TLS mode, each with two users.
fn three() -> (Usher, Vec<Arc<Archive>>) {
    let mut setup = Setup::new();
    let mut archives = Vec::new();
    let modes = [(Tls::Implicit, "implicit"), (Tls::StartTls, "starttls"), (Tls::None, "none")];
    let mut users = Vec::new();
    for (at, (tls, word)) in modes.into_iter().enumerate() {
        let name = format!("ih{at}.test");
        let certificate = Certificate::for_names(&[&name]);
        let address = setup.at(10143 + at as u16);
        let pins = match (tls, at) {
            (Tls::None, _) => String::new(),
            (_, 0) => format!("fingerprints = [{:?}]", certificate.pin()),
            _ => format!("fingerprints = [{:?}]", certificate.key_pin()),
        };
        setup = setup.host(&name, address, &format!("tls = \"{word}\""), &pins);
        let held = archive(Options { tls, certificate: Some(certificate), ..Options::named(&name) }, address);
        for user in ["anna", "ben"] {
            let user = format!("{user}{at}@example.com");
            held.add_user(&user, "secret");
            users.push((user, name.clone()));
        }
        archives.push(held);
    }
    let users: Vec<_> = users.iter().map(|(user, host)| (user.as_str(), host.as_str())).collect();
    (setup.users(&users).start(), archives)
}

#[test]
fn each_user_reaches_the_own_host_over_either_listener() {
    let (usher, archives) = three();
    for (at, archive) in archives.iter().enumerate() {
        let user = format!("anna{at}@example.com");
        let mut client = Client::tls(usher.imaps());
        client.login(&user, "secret");
        client.command("s SELECT INBOX");
        let fetched = client.command("f FETCH 1 BODY[TEXT]").join("\n");
        assert!(fetched.contains(&format!("held by ih{at}.test")), "{fetched}");

        let mut client = Client::plain(usher.imap());
        assert!(client.line().contains("STARTTLS LOGINDISABLED"));
        assert_eq!(client.command("t STARTTLS"), ["t OK Begin TLS negotiation now."]);
        client.start_tls(config());
        client.login(&user, "secret");
        assert!(archive.events().contains(&Event::LoggedIn(user.clone())));
        let line =
            usher.wait_for_log(&format!("user=\"{user}\" host=\"ih{at}.test\" mechanism=\"login-command\""));
        assert!(line.contains("tls=\"TLSv1.3\""), "{line}");
    }
}

#[test]
fn capabilities_after_login_are_the_backends_without_what_leads_around() {
    let setup = Setup::new();
    let address = setup.at(10143);
    let capabilities = "IMAP4rev1 LITERAL+ SASL-IR UNAUTHENTICATE COMPRESS=DEFLATE LOGIN-REFERRALS IDLE";
    let held = archive(Options { capabilities: capabilities.into(), ..Options::named("ih.test") }, address);
    held.add_user("anna@example.com", "secret");
    let usher = setup
        .host("ih.test", address, "tls = \"none\"", "")
        .users(&[("anna@example.com", "ih.test")])
        .start();
    let mut client = Client::tls(usher.imaps());
    let answer = client.command("a LOGIN anna secret");
    assert_eq!(answer, ["a NO [AUTHENTICATIONFAILED] Authentication failed."], "typed, not canonical");
    let answer = client.command("a LOGIN anna@example.com secret");
    assert_eq!(answer, ["a OK [CAPABILITY IMAP4rev1 LITERAL+ SASL-IR IDLE] welcome"]);
    assert_eq!(client.command("b CAPABILITY")[0], "* CAPABILITY IMAP4rev1 LITERAL+ SASL-IR IDLE");
}
