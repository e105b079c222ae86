//! TLS towards clients, with openssl as the peer where it can do what a test needs.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use rustls::{AlertDescription, ClientConfig, Error};
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use usher_tests::archive::Options;
use usher_tests::certificate::Certificate;
use usher_tests::client::{Client, config, config_with_alpn};
use usher_tests::runtime::archive;
use usher_tests::usher::{Setup, Usher};

fn usher() -> Usher {
    Setup::new().limits("farewell = \"500ms\"").start()
}

fn error_of(usher: &Usher, config: Arc<ClientConfig>, name: &str) -> Option<Error> {
    let mut client = Client::plain(usher.imaps());
    let error = client.try_start_tls(config, name).err()?;
    error.into_inner()?.downcast::<Error>().ok().map(|error| *error)
}

#[test]
fn garbage_gets_an_alert() {
    let usher = usher();
    let mut client = Client::plain(usher.imaps());
    client.send("a LOGIN anna secret\r\n");
    let mut said = Vec::new();
    let mut tcp = client.tcp();
    tcp.read_to_end(&mut said).expect("closed, not reset");
    assert_eq!(said[..3], [0x15, 0x03, 0x03], "an alert: {said:x?}");
    usher.wait_for_log("stage=\"tls\" cause=\"handshake\"");
}

#[test]
fn a_handshake_has_its_deadline() {
    let usher = Setup::new().limits("tls_handshake = \"500ms\"").start();
    let mut client = Client::plain(usher.imaps());
    assert_eq!(client.rest().0, "");
    usher.wait_for_log("stage=\"tls\" cause=\"too-long\"");
    // The same behind STARTTLS.
    let mut client = Client::plain(usher.imap());
    client.line();
    client.command("a STARTTLS");
    assert_eq!(client.rest().0, "");
}

#[test]
fn alpn_is_imap_or_absent() {
    let usher = usher();
    let refused = Error::AlertReceived(AlertDescription::NoApplicationProtocol);
    assert_eq!(error_of(&usher, config_with_alpn(&["http/1.1", "h2"]), "mail.test"), Some(refused));
    assert_eq!(error_of(&usher, config(), "mail.test"), None);
    let mut client = Client::plain(usher.imaps());
    client.start_tls(config_with_alpn(&["imap"]));
    assert!(client.line().starts_with("* OK"));
    assert_eq!(client.connection().alpn_protocol(), Some(&b"imap"[..]));
}

#[test]
fn the_certificate_is_chosen_by_name() {
    let setup = Setup::new();
    let other = Certificate::for_names(&["other.test", "*.wild.test"]);
    let (chain, key) = other.write(setup.dir.path(), "other");
    let first = setup.certificate.clone();
    let usher = setup.section(&format!("[[certificate]]\nchain = {chain:?}\nkey = {key:?}")).start();
    for (name, expected) in [
        ("mail.test", &first),
        ("other.test", &other),
        ("OTHER.test", &other),
        ("a.wild.test", &other),
        ("a.b.wild.test", &first),
        ("unknown.test", &first),
        ("127.0.0.1", &first),
    ] {
        let mut client = Client::plain(usher.imaps());
        client.try_start_tls(config(), name).unwrap();
        let shown = client.connection().peer_certificates().unwrap()[0].clone();
        assert_eq!(&shown, expected.der(), "{name}");
    }
}

#[test]
fn strict_sni_refuses_unknown_names() {
    let usher = Setup::new().imaps("strict_sni = true").start();
    assert!(error_of(&usher, config(), "unknown.test").is_some());
    assert_eq!(error_of(&usher, config(), "mail.test"), None);
    assert_eq!(error_of(&usher, config(), "127.0.0.1"), None, "no name is not an unknown one");
}

#[test]
fn many_names_leave_memory_flat() {
    let usher = usher();
    let ask = |from: u32, to: u32| {
        for number in from..to {
            let mut client = Client::plain(usher.imaps());
            client.try_start_tls(config(), &format!("n{number}.test")).unwrap();
        }
    };
    ask(0, 300);
    let before = usher.resident();
    ask(300, 1500);
    let grown = usher.resident().saturating_sub(before);
    assert!(grown < 3 << 20, "grown by {grown} octets");
}

#[test]
fn a_client_hello_may_come_in_pieces_but_not_grow() {
    let usher = usher();
    let mut client = Client::plain(usher.imaps());
    let name = rustls::pki_types::ServerName::try_from("mail.test").unwrap();
    let mut connection = rustls::ClientConnection::new(config(), name).unwrap();
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).unwrap();
    for octet in hello {
        client.send([octet]);
    }
    let mut answer = [0; 5];
    let mut tcp = client.tcp();
    tcp.read_exact(&mut answer).unwrap();
    assert_eq!(answer[..2], [0x16, 0x03], "a handshake record");
    // A hello that says it has 16 MiB.
    let mut client = Client::plain(usher.imaps());
    client.send([0x16, 0x03, 0x01, 0x40, 0x00, 0x01, 0xff, 0xff, 0xff]);
    let mut tcp = client.tcp();
    let _ = tcp.write_all(&[0; 0x4000 - 4]);
    let mut said = Vec::new();
    tcp.read_to_end(&mut said).unwrap();
    assert_eq!(said.first(), Some(&0x15), "an alert: {said:x?}");
}

#[test]
fn floods_of_key_updates_and_renegotiations_end_one_connection_only() {
    let usher = usher();
    let mut bystander = Client::tls(usher.imaps());
    for (version, letter) in [("-tls1_3", "K\n"), ("-tls1_2", "R\n")] {
        let mut openssl = Command::new("openssl")
            .args(["s_client", version, "-connect", &usher.imaps().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl runs");
        let mut stdin = openssl.stdin.take().unwrap();
        // A letter is a command only as the first of what is read at once, so they come one by one, until
        // openssl has gone with its connection or has had enough of them.
        for _ in 0..200 {
            if openssl.try_wait().unwrap().is_some() || stdin.write_all(letter.as_bytes()).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(bystander.command("a NOOP"), ["a OK Nothing done."], "{version}");
        openssl.kill().unwrap();
        openssl.wait().unwrap();
    }
    usher.wait_for_log("cause=\"tls\"");
}

#[test]
fn tickets_resume_sessions_and_the_group_is_post_quantum() {
    let setup = Setup::new();
    let address = setup.at(10143);
    archive(Options::named("ih.test"), address).add_user("anna@example.com", "secret");
    let users = [("anna@example.com", "ih.test")];
    let usher = setup.host("ih.test", address, "tls = \"none\"", "").users(&users).start();
    let config = config();
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let mut client = Client::plain(usher.imaps());
        client.start_tls(config.clone());
        client.line();
        client.login("anna@example.com", "secret");
        let group = client.connection().negotiated_key_exchange_group().unwrap();
        assert_eq!(group.name(), rustls::NamedGroup::X25519MLKEM768);
        kinds.push(client.connection().handshake_kind().unwrap());
    }
    assert_eq!(kinds, [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed]);
}

#[test]
fn tickets_of_another_process_are_worth_nothing() {
    // Keys live in memory only: a restart forgets them, and the session starts anew.
    let config = config();
    let kind = |usher: &Usher| {
        let mut client = Client::plain(usher.imaps());
        client.start_tls(config.clone());
        client.line();
        client.connection().handshake_kind().unwrap()
    };
    let first = usher();
    kind(&first);
    assert_eq!(kind(&first), rustls::HandshakeKind::Resumed);
    let second = usher();
    assert_eq!(kind(&second), rustls::HandshakeKind::Full);
}

#[test]
fn without_certificates_one_is_made_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let ip = usher_tests::address::own();
    let config_path = dir.path().join("usher.toml");
    let text = format!(
        "[server]\nname = \"mail.test\"\nstate_dir = {:?}\n\
         [[listener]]\nprotocol = \"imaps\"\naddress = \"{ip}:1993\"\n",
        dir.path().join("state")
    );
    std::fs::write(&config_path, text).unwrap();
    let mut shown = Vec::new();
    for _ in 0..2 {
        let mut child = Command::new(usher_tests::usher::binary())
            .args(["serve", "--config"])
            .arg(&config_path)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = child.stderr.take().unwrap();
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(stderr)).map_while(Result::ok);
        assert!(lines.any(|line| line.contains("self-signed")), "it is warned about");
        assert!(lines.any(|line| line.contains("serving")));
        let mut client = Client::plain(format!("{ip}:1993").parse().unwrap());
        client.start_tls(config());
        shown.push(client.connection().peer_certificates().unwrap()[0].clone().into_owned());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(shown[0], shown[1], "the same after a restart");
    let key = std::fs::metadata(dir.path().join("state/self-signed-mail.test.key")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&key.permissions()) & 0o777, 0o600);
}

/// What `openssl s_client` with these words says of a handshake with the implicit-TLS port; `None`: there is none.
fn shaken(usher: &Usher, words: &[&str]) -> Option<String> {
    let at = usher.imaps().to_string();
    let base = ["s_client", "-connect", &at, "-servername", "mail.test", "-ign_eof"];
    let mut child = Command::new("openssl")
        .args(base)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl is installed");
    child.stdin.take().unwrap().write_all(b"a LOGOUT\r\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.contains("* OK [CAPABILITY").then_some(said)
}

#[test]
fn versions_and_suites_are_those_that_are_named() {
    let new = Setup::new().section("[tls]\nversions = [\"1.3\"]").start();
    assert!(shaken(&new, &["-tls1_2"]).is_none());
    assert!(shaken(&new, &["-tls1_3"]).is_some());
    let suites =
        "cipher_suites = [\"TLS_CHACHA20_POLY1305_SHA256\", \"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384\"]";
    let few = Setup::new().section(&format!("[tls]\n{suites}")).start();
    assert!(shaken(&few, &["-tls1_3"]).unwrap().contains("Cipher is TLS_CHACHA20_POLY1305_SHA256"));
    assert!(shaken(&few, &["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"]).is_none());
    assert!(shaken(&few, &["-tls1_2"]).unwrap().contains("Cipher is ECDHE-ECDSA-AES256-GCM-SHA384"));
    assert!(shaken(&few, &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"]).is_none());
}

#[test]
fn keys_of_both_kinds_serve_the_same_name_and_may_be_encrypted() {
    let setup = Setup::new();
    let path = |name: &str| setup.dir.path().join(name).to_str().unwrap().to_owned();
    let (chain, key, locked, password) =
        (path("rsa.pem"), path("rsa.key"), path("rsa.locked"), path("rsa.password"));
    std::fs::write(&password, "correct horse\n").unwrap();
    let made = |words: &[&str]| {
        let output = Command::new("openssl").args(words).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let subject = ["-subj", "/CN=mail.test", "-addext", "subjectAltName=DNS:mail.test", "-days", "30"];
    made(
        &[&["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-out", &chain, "-keyout", &key][..], &subject]
            .concat(),
    );
    made(&["pkcs8", "-topk8", "-in", &key, "-out", &locked, "-passout", &format!("file:{password}")]);
    let section =
        format!("[[certificate]]\nchain = {chain:?}\nkey = {locked:?}\nkey_password_file = {password:?}");
    let usher = setup.section(&section).start();
    let by = |algorithms: &str| shaken(&usher, &["-tls1_3", "-sigalgs", algorithms]).unwrap();
    assert!(by("ECDSA+SHA256").contains("Peer signature type: ECDSA"));
    assert!(by("RSA-PSS+SHA256").contains("Peer signature type: RSA-PSS"));
    // The operator's first one, where both would do.
    assert!(by("RSA-PSS+SHA256:ECDSA+SHA256").contains("Peer signature type: ECDSA"));
    assert!(shaken(&usher, &["-tls1_2", "-sigalgs", "RSA-PSS+SHA256:RSA+SHA256"]).is_some());
    // What is wrong with a key is said, and what it is not.
    for (content, expected) in [("wrong", "the password does not fit"), ("", "the password does not fit")] {
        std::fs::write(&password, content).unwrap();
        let checked = usher.cli(&["check"]);
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(checked.status.code() == Some(78) && said.contains(expected), "{said}");
        assert!(!said.contains("correct horse"));
    }
    usher.rewrite(|text| text.replace("key_password_file", "# key_password_file"));
    let said = String::from_utf8_lossy(&usher.cli(&["check"]).stderr).into_owned();
    assert!(said.contains("no `key_password_file` is named"), "{said}");
}

#[test]
fn a_certificate_that_is_replaced_is_served_without_anybody_being_told() {
    let usher = Setup::new().start();
    let shown = || {
        let mut client = Client::plain(usher.imaps());
        client.try_start_tls(config(), "mail.test").unwrap();
        client.connection().peer_certificates().unwrap()[0].to_vec()
    };
    let next = Certificate::for_names(&["mail.test"]);
    next.write(usher.setup.dir.path(), "usher");
    usher.wait_for_log("configuration reloaded");
    assert_eq!(shown(), next.der().to_vec());
    // What an operator is about to change is not put in force by that.
    usher.rewrite(|text| text.replace("name = \"mail.test\"", "name = \"halfway.test\""));
    let last = Certificate::for_names(&["mail.test"]);
    last.write(usher.setup.dir.path(), "usher");
    usher.wait_for_log("puts both in force");
    assert_eq!(shown(), next.der().to_vec());
    let changed = usher.did(&["config", "diff"]);
    assert_eq!(changed, "~ server.name: \"mail.test\" -> \"halfway.test\"\n");
    assert!(usher.did(&["config", "show"]).contains("name = \"mail.test\""));
    assert!(Client::plain(usher.imap()).line().contains("mail.test"));
    usher.did(&["reload"]);
    assert_eq!(usher.did(&["config", "diff"]), "no difference\n");
    assert_eq!(shown(), last.der().to_vec());
}
