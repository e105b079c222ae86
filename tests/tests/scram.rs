//! Conversations by SCRAM, relayed to a real Dovecot and a real Cyrus.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::process::Command;
use std::time::{Duration, Instant};
use usher_tests::client::Client;
use usher_tests::cyrus::Cyrus;
use usher_tests::dovecot::{Dovecot, Mode};
use usher_tests::scram::{first, prove};
use usher_tests::usher::{Setup, Usher};

const ANNA: &str = "anna@example.com";
/// Has a password that SCRAM cannot use.
const OTTO: &str = "otto@example.com";
const NO: &str = "a NO [AUTHENTICATIONFAILED] Authentication failed.";
const PROBED: &str = "health = { interval = \"100ms\", imap = { probe = \"greeting\" } }";

/// usher in front of two Dovecots that talk by SCRAM.
fn dovecots(imaps: &str) -> (Usher, Vec<Dovecot>) {
    let mut setup = Setup::new().imaps(imaps);
    let mut dovecots = Vec::new();
    for (name, port, users) in
        [("one.test", 10145, [ANNA, OTTO]), ("two.test", 10146, ["ben@example.com", "x@example.com"])]
    {
        let address = setup.at(port);
        let dovecot = Dovecot::with_scram(name, address, Mode::Plain);
        dovecot.let_in_by("SCRAM-SHA-256", users[0]);
        dovecot.let_in_by("SHA512-CRYPT", users[1]);
        setup = setup.host(name, address, "tls = \"none\", client_address = \"proxy-v2\"", PROBED);
        dovecots.push(dovecot);
    }
    let usher =
        setup.users(&[(ANNA, "one.test"), (OTTO, "one.test"), ("ben@example.com", "two.test")]).start();
    wait_for_offer(&usher, "AUTH=SCRAM-SHA-256");
    (usher, dovecots)
}

fn capabilities(usher: &Usher) -> String {
    Client::tls(usher.imaps()).command("a CAPABILITY").join(" ")
}

fn wait_for_offer(usher: &Usher, name: &str) {
    let until = Instant::now() + usher_tests::deadline::DEADLINE;
    while !capabilities(usher).contains(name) {
        assert!(Instant::now() < until, "{name} is never offered: {}", capabilities(usher));
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A conversation up to the server's first message, and what is said to it.
fn begin(usher: &Usher, user: &str, password: &str) -> (Client, usher_tests::scram::Proof) {
    let mut client = Client::tls(usher.imaps());
    client.send(format!("a AUTHENTICATE SCRAM-SHA-256 {}\r\n", first(user)));
    let proof = prove(user, password, &client.line());
    (client, proof)
}

#[test]
fn a_conversation_leaves_no_password_at_the_door() {
    let (usher, _dovecots) = dovecots("");
    for (user, host) in [(ANNA, "one.test"), ("ben@example.com", "two.test")] {
        let (mut client, proof) = begin(&usher, user, "secret");
        client.send(format!("{}\r\n", proof.message));
        let last = client.line();
        let said = String::from_utf8(STANDARD.decode(last.strip_prefix("+ ").unwrap()).unwrap()).unwrap();
        assert_eq!(said, proof.signature, "the host proves that it knows the password as well");
        client.send("\r\n");
        assert!(client.answer("a").pop().unwrap().starts_with("a OK"));
        client.command("b SELECT INBOX");
        assert!(client.command("c FETCH 1 BODY.PEEK[TEXT]").join(" ").contains(&format!("This is {host}")));
    }
    // Without an initial response too.
    let mut client = Client::tls(usher.imaps());
    client.send("a AUTHENTICATE SCRAM-SHA-256\r\n");
    assert_eq!(client.line(), "+ ");
    client.send(format!("{}\r\n", first(ANNA)));
    let proof = prove(ANNA, "secret", &client.line());
    client.send(format!("{}\r\n", proof.message));
    assert!(client.line().starts_with("+ "));
    client.send("\r\n");
    assert!(client.answer("a").pop().unwrap().starts_with("a OK"));
    usher.wait_for_logs("mechanism=\"SCRAM-SHA-256\"", 3);
}

#[test]
fn nobody_learns_from_a_conversation_who_exists() {
    let (usher, _dovecots) = dovecots("");
    // What hosts say is learnt from their own.
    begin(&usher, ANNA, "wrong");
    let unknown = "nobody@example.com";
    let tried = |user: &str| {
        let (mut client, proof) = begin(&usher, user, "wrong");
        client.send(format!("{}\r\n", proof.message));
        assert_eq!(client.answer("a"), [NO], "{user}");
        // The connection goes on.
        assert!(client.command("b NOOP").pop().unwrap().starts_with("b OK"));
        proof
    };
    let real = tried(ANNA);
    for user in [unknown, OTTO] {
        let (one, again) = (tried(user), tried(user));
        assert_eq!(one.iterations, real.iterations, "{user}");
        assert_eq!((one.salt.len(), one.nonce.len()), (real.salt.len(), real.nonce.len()), "{user}");
        assert_eq!(one.salt, again.salt, "{user}: it stays the same");
        assert_ne!(one.nonce, again.nonce, "{user}");
        assert_ne!(one.salt, real.salt, "{user}");
        // Of printable characters, not of a few of them.
        let is_rare = |proof: &usher_tests::scram::Proof| {
            proof.nonce.chars().any(|c| !c.is_ascii_alphanumeric() && !"+/=".contains(c))
        };
        assert_eq!(is_rare(&one), is_rare(&real), "{user}: {} {}", one.nonce, real.nonce);
    }
    assert_eq!(tried(ANNA).salt, real.salt);
    assert_ne!(tried(unknown).salt, tried("another@example.com").salt);
    // Nothing depends on whose archive somebody else would open.
    for (user, existing) in [(format!("{ANNA}*admin"), false), ("nobody@example.com*admin".to_owned(), false)]
    {
        let (one, again) = (tried(&user), tried(&user));
        assert_eq!((one.salt == again.salt, one.salt == real.salt), (true, existing), "{user}");
    }
    // With a right password, one whose password SCRAM cannot use gets no further.
    let (mut client, proof) = begin(&usher, OTTO, "secret");
    client.send(format!("{}\r\n", proof.message));
    assert_eq!(client.answer("a"), [NO]);
    let answer = Client::tls(usher.imaps()).command(&format!("a LOGIN {OTTO} secret"));
    assert!(answer.last().unwrap().starts_with("a OK"));
}

#[test]
fn a_salt_stays_the_same_over_restarts() {
    let (mut usher, _dovecots) = dovecots("");
    begin(&usher, ANNA, "wrong");
    let former = begin(&usher, "nobody@example.com", "x").1.salt;
    usher.restart_after_kill();
    wait_for_offer(&usher, "AUTH=SCRAM-SHA-256");
    begin(&usher, ANNA, "wrong");
    assert_eq!(begin(&usher, "nobody@example.com", "x").1.salt, former);
}

#[test]
fn a_client_may_give_up_and_talk_nonsense() {
    let (usher, dovecots) = dovecots("");
    for answer in ["*", "no base64!", ""] {
        for user in [ANNA, "nobody@example.com"] {
            let (mut client, _) = begin(&usher, user, "secret");
            client.send(format!("{answer}\r\n"));
            let said = client.answer("a").pop().unwrap();
            assert!(said.starts_with("a BAD ") || said == NO, "{answer}: {said}");
            assert!(client.command("b NOOP").pop().unwrap().starts_with("b OK"), "{answer}");
        }
    }
    for message in ["p=tls-exporter,,n=anna,r=x", "n,,n=anna", "x"] {
        let mut client = Client::tls(usher.imaps());
        let said = client.command(&format!("a AUTHENTICATE SCRAM-SHA-256 {}", STANDARD.encode(message)));
        assert!(said[0].starts_with("a BAD "), "{said:?}");
    }
    // One that leaves takes its connection to the host along.
    let (client, _) = begin(&usher, ANNA, "secret");
    drop(client);
    usher.wait_for_log("stage=\"login\" cause=\"truncated\"");
    drop(dovecots);
}

#[test]
fn unmodified_clients_talk_by_scram() {
    let (usher, _dovecots) = dovecots("");
    for mechanism in ["SCRAM-SHA-256", "PLAIN"] {
        for (password, is_right) in [("secret", true), ("wrong", false)] {
            let at = format!("--connect={}", usher.imap());
            let output = Command::new("gsasl")
                .args(["--imap", &at, "--mechanism", mechanism, "--no-cb", "--x509-ca-file="])
                .args(["--authentication-id", ANNA, "--password", password])
                .stdin(std::process::Stdio::null())
                .output()
                .expect("gsasl is installed; tests/install-peers does it");
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let told = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.success(), is_right, "{mechanism} {password}: {said}{told}");
        }
        usher.wait_for_log(&format!("host=\"one.test\" mechanism=\"{mechanism}\""));
    }
    let dir = tempfile::tempdir().unwrap();
    let (home, chain) = (dir.path().display(), usher.setup.dir.path().join("usher.pem"));
    let text = format!(
        "IMAPAccount a\nHost {}\nPort {}\nUser {ANNA}\nPass secret\nSSLType IMAPS\nCertificateFile {}\n\
         AuthMechs SCRAM-SHA-256\n\nIMAPStore far\nAccount a\n\nMaildirStore near\nPath {home}/\n\
         Inbox {home}/INBOX\nSubFolders Verbatim\n\n\
         Channel all\nFar :far:\nNear :near:\nPatterns INBOX\nCreate Near\nSyncState *\n",
        usher.imaps().ip(),
        usher.imaps().port(),
        chain.display(),
    );
    let path = dir.path().join("mbsyncrc");
    std::fs::write(&path, text).unwrap();
    let output = Command::new("mbsync").arg("-c").arg(&path).arg("all").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let count: usize = ["cur", "new"]
        .iter()
        .map(|part| std::fs::read_dir(dir.path().join("INBOX").join(part)).unwrap().count())
        .sum();
    assert_eq!(count, 1);
    assert!(usher.log().contains("mechanism=\"SCRAM-SHA-256\""), "{}", usher.log());
}

#[test]
fn cyrus_talks_without_tls_and_binds_with_it() {
    let setup = Setup::new();
    let certificate = usher_tests::certificate::Certificate::for_names(&["cyrus.test"]);
    let (clear, secure) = (setup.at(10143), setup.at(10993));
    let _cyrus = Cyrus::start_both((clear, secure), &certificate, &["anna"]);
    let usher =
        setup.host("cyrus.test", clear, "tls = \"none\"", PROBED).users(&[(ANNA, "cyrus.test")]).start();
    wait_for_offer(&usher, "AUTH=SCRAM-SHA-256");
    let (mut client, proof) = begin(&usher, ANNA, "secret");
    client.send(format!("{}\r\n", proof.message));
    assert!(client.line().starts_with("+ "));
    client.send("\r\n");
    assert!(client.answer("a").pop().unwrap().starts_with("a OK"));
    // Under TLS it would bind the login to the channel, which ends here.
    let pin = "tls = \"implicit\"";
    usher.rewrite(|text| {
        let text = text.replace(
            &format!("address = \"{clear}\", tls = \"none\""),
            &format!("address = \"{secure}\", {pin}"),
        );
        text.replace(PROBED, &format!("fingerprints = [\"{}\"]\n{PROBED}", certificate.pin()))
    });
    usher.did(&["reload"]);
    let until = Instant::now() + usher_tests::deadline::DEADLINE;
    while capabilities(&usher).contains("SCRAM") {
        assert!(Instant::now() < until, "{}", capabilities(&usher));
        std::thread::sleep(Duration::from_millis(20));
    }
    usher.wait_until("/v1/hosts/cyrus.test", |host| host.to_string().contains("SCRAM-SHA-256-PLUS"));
    assert!(!capabilities(&usher).contains("SCRAM"));
    let answer = Client::tls(usher.imaps()).command(&format!("a LOGIN {ANNA} secret"));
    assert!(answer.last().unwrap().starts_with("a OK"), "{answer:?}");
}

#[test]
fn listeners_and_domains_say_how_people_may_log_in() {
    let (usher, _dovecots) = dovecots("mechanisms = [\"scram-sha-256\", \"plain\"]");
    let offered = capabilities(&usher);
    assert!(offered.contains(" LOGINDISABLED AUTH=PLAIN AUTH=SCRAM-SHA-256"), "{offered}");
    assert!(!offered.contains("AUTH=LOGIN") && !offered.contains("SCRAM-SHA-1 "), "{offered}");
    let mut client = Client::tls(usher.imaps());
    assert_eq!(client.command(&format!("a LOGIN {ANNA} secret")), ["a NO LOGIN is disabled here."]);
    for mechanism in ["LOGIN", "SCRAM-SHA-1", "EXTERNAL", "SCRAM-SHA-256-PLUS"] {
        let said = client.command(&format!("a AUTHENTICATE {mechanism}"));
        assert_eq!(said, ["a NO Unsupported authentication mechanism."], "{mechanism}");
    }
    usher.rewrite(|text| {
        text.replace("name = \"example.com\"", "name = \"example.com\"\nmechanisms = [\"scram-sha-256\"]")
    });
    usher.did(&["reload"]);
    let plain = |user: &str| {
        let message = STANDARD.encode(format!("\0{user}\0secret"));
        Client::tls(usher.imaps()).command(&format!("a AUTHENTICATE PLAIN {message}")).pop().unwrap()
    };
    for user in [ANNA, "nobody@example.com"] {
        assert_eq!(plain(user), "a NO [CONTACTADMIN] Ask your administrator.", "{user}");
    }
    let (mut client, proof) = begin(&usher, ANNA, "secret");
    client.send(format!("{}\r\n", proof.message));
    assert!(client.line().starts_with("+ "));
    client.send("\r\n");
    assert!(client.answer("a").pop().unwrap().starts_with("a OK"));
}
