//! Three real Dovecot servers, one a TLS mode, and real clients.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use usher_tests::certificate::Certificate;
use usher_tests::client::{Client, config};
use usher_tests::cyrus::Cyrus;
use usher_tests::dovecot::{Dovecot, Mode, PASSWORD};
use usher_tests::usher::{Setup, Usher};

const USERS: usize = 500;

fn fleet(users: usize) -> (Usher, Vec<Dovecot>) {
    let mut setup = Setup::new().server("login_wait = \"15s\"\ndrain_deadline = \"1s\"");
    let mut dovecots = Vec::new();
    for (at, (mode, keys)) in [
        (Mode::Implicit, "tls = \"implicit\", client_address = \"proxy-v2\""),
        (Mode::StartTls, "tls = \"starttls\", client_address = \"imap-id\""),
        (Mode::Plain, "tls = \"none\", client_address = \"proxy-v1\""),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("dovecot{at}.test");
        let address = setup.at(10143 + at as u16);
        let dovecot = Dovecot::start(&name, address, mode);
        let pins = match mode {
            Mode::Implicit => format!("fingerprints = [{:?}]\n", dovecot.certificate.pin()),
            Mode::StartTls => format!("fingerprints = [{:?}]\n", dovecot.certificate.key_pin()),
            Mode::Plain => String::new(),
        };
        setup = setup.host(&name, address, keys, &format!("{pins}login_as = \"canonical\""));
        dovecots.push(dovecot);
    }
    let mut places = Vec::new();
    for number in 0..users {
        let dovecot = &dovecots[number % 3];
        let user = format!("user{number}@example.com");
        dovecot.add_user(&user);
        places.push((user, dovecot.name.clone()));
    }
    let places: Vec<_> = places.iter().map(|(user, host)| (user.as_str(), host.as_str())).collect();
    (setup.users(&places).start(), dovecots)
}

fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } =
        command.output().expect("the client is installed; tests/install-peers does it");
    let said = String::from_utf8_lossy(&stdout).into_owned();
    assert!(status.success(), "{command:?}\n{said}\n{}", String::from_utf8_lossy(&stderr));
    said
}

fn curl(address: SocketAddr, scheme: &str, options: &[&str], user: &str) -> String {
    let url = format!("{scheme}://{address}/INBOX;MAILINDEX=1");
    run(Command::new("curl")
        .args(["-sk", "--max-time", "60", &url, "-u", &format!("{user}:{PASSWORD}")])
        .args(options))
}

#[test]
fn curl_logs_in_by_every_mechanism_and_dovecot_sees_its_address() {
    let (usher, dovecots) = fleet(3);
    for (at, dovecot) in dovecots.iter().enumerate() {
        let user = format!("user{at}");
        let own = format!("127.{}.1.1", 200 + at);
        for login in ["AUTH=PLAIN", "AUTH=LOGIN"] {
            for ir in [&["--sasl-ir"][..], &[]] {
                let options = [&["--interface", &own, "--login-options", login], ir].concat();
                let expected = format!("This is dovecot{at}.test.");
                assert!(curl(usher.imaps(), "imaps", &options, &user).contains(&expected), "{login}");
                let options = [&options[..], &["--ssl-reqd"]].concat();
                assert!(curl(usher.imap(), "imap", &options, &user).contains(&expected), "{login}");
            }
        }
        let log = dovecot.log();
        assert!(
            log.contains(&format!("user=<user{at}@example.com>")) && log.contains(&format!("rip={own}")),
            "{log}"
        );
        for mechanism in ["PLAIN", "LOGIN"] {
            usher.wait_for_log(&format!(
                "user=\"user{at}@example.com\" host=\"dovecot{at}.test\" mechanism=\"{mechanism}\""
            ));
        }
    }
}

#[test]
fn openssl_reaches_the_archive_over_starttls() {
    let (usher, _dovecots) = fleet(3);
    for at in 0..3 {
        let mut openssl = Command::new("openssl")
            .args(["s_client", "-quiet", "-starttls", "imap", "-connect", &usher.imap().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is installed");
        // Standard input stays open: openssl would leave at its end, with answers still to come.
        let mut stdin = openssl.stdin.take().unwrap();
        let commands =
            format!("a LOGIN user{at} {PASSWORD}\r\nb SELECT INBOX\r\nc FETCH 1 BODY[TEXT]\r\nd LOGOUT\r\n");
        stdin.write_all(commands.as_bytes()).unwrap();
        let mut said = String::new();
        openssl.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        openssl.wait().unwrap();
        assert!(
            said.contains(&format!("This is dovecot{at}.test.")) && said.contains("d OK Logout"),
            "{said}"
        );
    }
}

#[test]
fn imaplib_tours_every_archive() {
    let (usher, _dovecots) = fleet(3);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/tour.py");
    let mechanisms = ["login-command", "plain", "login"];
    for (at, mechanism) in mechanisms.into_iter().enumerate() {
        for (mode, address) in [("implicit", usher.imaps()), ("starttls", usher.imap())] {
            let (ip, port) = (address.ip().to_string(), address.port().to_string());
            let user = format!("user{at}@example.com");
            let arguments = [&ip, &port, mode, &user, PASSWORD, mechanism];
            let said = run(Command::new("python3").arg(&script).args(arguments));
            let expected =
                format!("held dovecot{at}.test\nappend synchronizing\nappend non-synchronizing\nidle push\n");
            assert_eq!(said, expected);
        }
    }
}

#[test]
fn mbsync_fetches_a_whole_archive() {
    let (usher, dovecots) = fleet(3);
    for (at, dovecot) in dovecots.iter().enumerate() {
        let user = format!("user{at}@example.com");
        let mut client = Client::tls(usher.imaps());
        client.login(&user, PASSWORD);
        for number in 0..30 {
            let message = format!("Subject: n{number}\r\n\r\n{}\r\n", "x".repeat(number * 997));
            client.send(format!("a APPEND INBOX {{{}+}}\r\n{message}\r\n", message.len()));
            assert!(client.answer("a").last().unwrap().starts_with("a OK"));
        }
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().display();
        let chain = usher.setup.dir.path().join("usher.pem");
        let text = format!(
            "IMAPAccount a\nHost {}\nPort {}\nUser {user}\nPass {PASSWORD}\nSSLType IMAPS\nCertificateFile {}\n\n\
             IMAPStore far\nAccount a\n\nMaildirStore near\nPath {home}/\nInbox {home}/INBOX\nSubFolders Verbatim\n\n\
             Channel all\nFar :far:\nNear :near:\nPatterns INBOX\nCreate Near\nSyncState *\n",
            usher.imaps().ip(),
            usher.imaps().port(),
            chain.display(),
        );
        let path = dir.path().join("mbsyncrc");
        std::fs::write(&path, text).unwrap();
        run(Command::new("mbsync").arg("-c").arg(&path).arg("all"));
        let mut texts = String::new();
        let mut count = 0;
        for part in ["cur", "new"] {
            for entry in std::fs::read_dir(dir.path().join("INBOX").join(part)).unwrap() {
                texts.push_str(&std::fs::read_to_string(entry.unwrap().path()).unwrap());
                count += 1;
            }
        }
        assert_eq!(count, 31);
        assert!(texts.contains(&format!("This is {}.", dovecot.name)));
    }
}

#[test]
fn five_hundred_users_each_land_on_their_own_host() {
    let (usher, _dovecots) = fleet(USERS);
    let threads = 8;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let usher = &usher;
            scope.spawn(move || {
                for number in (thread..USERS).step_by(threads) {
                    let mut client = match number % 2 {
                        0 => Client::tls(usher.imaps()),
                        _ => {
                            let mut client = Client::plain(usher.imap());
                            client.line();
                            client.command("t STARTTLS");
                            client.start_tls(config());
                            client
                        }
                    };
                    client.login(&format!("user{number}@example.com"), PASSWORD);
                    client.command("s SELECT INBOX");
                    let fetched = client.command("f FETCH 1 BODY.PEEK[TEXT]").join("\n");
                    let expected = format!("This is dovecot{}.test.", number % 3);
                    assert!(fetched.contains(&expected), "user{number}: {fetched}");
                    client.command("x LOGOUT");
                }
            });
        }
    });
}

#[test]
fn cyrus_is_a_host_like_any_other() {
    // 121, 162, 172, 176: it knows no empty list of ID, offers more after login than before, and ends IDLE by any line
    let setup = Setup::new();
    let address = setup.at(10993);
    let certificate = Certificate::for_names(&["cyrus.test"]);
    let authority = Certificate::for_names(&["authority.test"]);
    let _cyrus = Cyrus::start(address, &certificate, Some(&authority), &["anna"]);
    let keys = format!(
        "fingerprints = [{:?}]\nlogin_as = \"canonical\"\nhealth = {{ interval = \"200ms\" }}",
        certificate.pin()
    );
    let usher = setup
        .host("cyrus.test", address, "tls = \"implicit\"", &keys)
        .users(&[("anna@example.com", "cyrus.test")])
        .start();
    usher.wait_until("/v1/hosts/cyrus.test", |shown| shown[0]["services"][0]["capabilities"].is_string());
    let mut client = Client::tls(usher.imaps());
    let answer = client.command(&format!("a LOGIN anna {}", usher_tests::cyrus::PASSWORD));
    assert!(answer.last().unwrap().starts_with("a OK"), "{answer:?}");
    for id in ["b ID NIL", "b ID ()", "b ID (\"x-secret\" \"y\")", "b ID ( \"name\" \"x\" ) "] {
        let answer = client.command(id);
        assert!(answer.last().unwrap().starts_with("b OK"), "{id}: {answer:?}");
    }
    client.send("c APPEND INBOX {5+}\r\nA: b\n\r\n");
    let answer = client.answer("c");
    assert!(answer.last().unwrap().starts_with("c "), "{answer:?}");
    client.send("d IDLE\r\n");
    assert!(client.line().starts_with("+ "));
    client.send("e NOOP\r\nf NOOP\r\n");
    assert!(client.answer("d").last().unwrap().starts_with("d OK"));
    assert_eq!(client.answer("e"), ["e BAD Expected DONE."]);
    assert!(client.answer("f").last().unwrap().starts_with("f OK"));
    assert_eq!(usher.state("cyrus.test", 0), "up");
    // A wrong password is its word on the user, and says nothing of it.
    let mut client = Client::tls(usher.imaps());
    assert_eq!(client.command("a LOGIN anna wrong"), ["a NO [AUTHENTICATIONFAILED] Authentication failed."]);
    assert!(!usher.log().contains("instance host failed"), "{}", usher.log());
}
