//! What clients get wrong before login: raw octets in, the exact answer out.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use std::time::Duration;
use usher_tests::client::{Client, config};
use usher_tests::usher::{Setup, Usher};

fn usher() -> Usher {
    Setup::new().limits("farewell = \"500ms\"").start()
}

/// What a fresh TLS connection answers to `sent`, until usher closes it.
fn until_closed(usher: &Usher, sent: &[u8]) -> String {
    let mut client = Client::tls(usher.imaps());
    client.send(sent);
    let (said, end) = client.rest();
    assert!(end.is_ok(), "closed by {end:?} after {said:?}");
    said
}

/// What a fresh TLS connection answers to `sent`, while it goes on.
fn answered(usher: &Usher, sent: &[u8]) -> String {
    let mut client = Client::tls(usher.imaps());
    client.send([sent, b"zz LOGOUT\r\n"].concat());
    let (said, end) = client.rest();
    assert!(end.is_ok(), "closed by {end:?} after {said:?}");
    let end = "* BYE Logging out.\r\nzz OK Logout completed.\r\n";
    said.strip_suffix(end).unwrap_or_else(|| panic!("did not go on after {said:?}")).to_owned()
}

#[test]
fn login_before_tls_is_refused_and_never_read() {
    let usher = usher();
    let mut client = Client::plain(usher.imap());
    assert_eq!(
        client.line(),
        "* OK [CAPABILITY IMAP4rev1 LITERAL- SASL-IR ID ENABLE STARTTLS LOGINDISABLED] mail.test ready"
    );
    let no = |tag: &str| vec![format!("{tag} NO [PRIVACYREQUIRED] Log in only under TLS.")];
    assert_eq!(client.command("a LOGIN anna secret"), no("a"));
    assert_eq!(client.command("b AUTHENTICATE PLAIN AGFubmEAc2VjcmV0"), no("b"));
    assert_eq!(client.command("c AUTHENTICATE LOGIN"), no("c"));
    // No continuation: the password is never asked for. What is sent unasked is skipped.
    assert_eq!(client.command("d LOGIN {4}"), no("d"));
    client.send("e LOGIN {4+}\r\nanna {6+}\r\nsecret\r\n");
    assert_eq!(client.answer("e"), no("e"));
    assert_eq!(client.command("f NOOP"), ["f OK Nothing done."]);
}

#[test]
fn plaintext_login_is_for_the_named_networks_only() {
    let refused = Setup::new().imap("plaintext_from = [\"192.0.2.0/24\"]").start();
    let mut client = Client::plain(refused.imap());
    assert!(client.line().contains("LOGINDISABLED"));
    let taken = Setup::new().imap("plaintext_from = [\"127.0.0.0/8\"]").start();
    let mut client = Client::plain(taken.imap());
    assert!(client.line().contains("STARTTLS AUTH=PLAIN"));
    assert_eq!(client.command("a LOGIN x y"), ["a NO [AUTHENTICATIONFAILED] Authentication failed."]);
}

#[test]
fn octets_behind_starttls_end_the_connection() {
    let usher = usher();
    let mut client = Client::plain(usher.imap());
    client.line();
    client.send("a STARTTLS\r\nb LOGIN anna secret\r\n");
    let (said, end) = client.rest();
    assert_eq!(said, "a BAD Nothing may follow STARTTLS before TLS.\r\n");
    assert!(end.is_ok());
}

#[test]
fn starttls_under_tls_is_bad() {
    let usher = usher();
    assert_eq!(answered(&usher, b"a STARTTLS\r\n"), "a BAD TLS is already active.\r\n");
    let mut client = Client::plain(usher.imap());
    client.line();
    client.command("a STARTTLS");
    client.start_tls(config());
    assert_eq!(client.command("b STARTTLS"), ["b BAD TLS is already active."]);
    let capabilities = client.command("c CAPABILITY");
    assert_eq!(capabilities[0], "* CAPABILITY IMAP4rev1 LITERAL- SASL-IR ID ENABLE AUTH=PLAIN AUTH=LOGIN");
}

#[test]
fn silence_and_slowness_have_their_limits() {
    let usher = Setup::new().limits("silence_before_login = \"700ms\"\nbefore_login = \"2s\"").start();
    let bye = "* BYE Waited too long for a login.\r\n";
    let mut silent = Client::tls(usher.imaps());
    assert_eq!(silent.rest().0, bye);
    // An octet every now and then is no silence, but all of it has an end.
    let mut slow = Client::tls(usher.imaps());
    slow.tcp().set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut said = String::new();
    for octet in b"a NOOP and so on".iter().cycle() {
        if slow.try_send(&[*octet]).is_err() {
            break;
        }
        let (more, end) = slow.rest();
        said.push_str(&more);
        if end.is_ok() {
            break;
        }
    }
    assert_eq!(said, bye);
    usher.wait_for_log("cause=\"too-long\"");
}

#[test]
fn lines_have_a_cap() {
    let usher = usher();
    let long = "* BYE Line too long.\r\n";
    assert_eq!(until_closed(&usher, &[b"a NOOP ".as_slice(), &[b'x'; 8192]].concat()), long);
    assert_eq!(
        until_closed(&usher, &[b"a AUTHENTICATE PLAIN ".as_slice(), &vec![b'A'; 24576]].concat()),
        long
    );
    let mut client = Client::tls(usher.imaps());
    client.send("a AUTHENTICATE PLAIN\r\n");
    assert_eq!(client.line(), "+ ");
    client.send(vec![b'A'; 24577]);
    assert_eq!(client.rest().0, long);
    // Up to the cap all is well.
    let just = [b"a AUTHENTICATE PLAIN ".as_slice(), &vec![b'A'; 20000], b"\r\n"].concat();
    assert_eq!(answered(&usher, &just), "a BAD Malformed PLAIN message.\r\n");
}

#[test]
fn literals_have_their_caps() {
    let usher = usher();
    let not = "a BAD Literal not accepted.\r\n";
    let malformed = "a BAD Malformed literal.\r\n";
    for (sent, expected) in [
        ("a LOGIN {99999999}\r\n", not),
        ("a LOGIN {4294967296}\r\n", not),
        ("a LOGIN {18446744073709551616}\r\n", malformed),
        ("a LOGIN {-1}\r\n", malformed),
        ("a LOGIN {}\r\n", malformed),
        ("a LOGIN {1 }\r\n", malformed),
        ("a NOOP {3+}\r\nabc\r\n", not),
        ("a LOGIN {1+}\r\na {1+}\r\nb {1+}\r\nc {1+}\r\nd {1+}\r\ne\r\n", not),
    ] {
        assert_eq!(answered(&usher, sent.as_bytes()), expected, "{sent}");
    }
    let big = "* BYE [TOOBIG] Literal too large.\r\n";
    assert_eq!(until_closed(&usher, b"a LOGIN {99999999+}\r\n"), big);
    assert_eq!(until_closed(&usher, b"a LOGIN {18446744073709551616+}\r\n"), big);
    // 64 literals in ID are fine, one more is not; nor is a command of more than 32 KiB.
    let id = |count: usize| {
        let pairs = vec!["{1+}\r\nk {1+}\r\nv"; count / 2].join(" ");
        let odd = if count % 2 == 1 { " {1+}\r\nx" } else { "" };
        format!("a ID ({pairs}{odd})\r\n")
    };
    assert_eq!(answered(&usher, id(60).as_bytes()), "* ID (\"name\" \"usher\")\r\na OK ID completed.\r\n");
    assert_eq!(answered(&usher, id(65).as_bytes()), not);
    let heavy = vec![format!("{{4096+}}\r\n{}", "x".repeat(4096)); 8].join(" ");
    assert_eq!(answered(&usher, format!("a ID ({heavy})\r\n").as_bytes()), not);
    // A synchronizing literal within the caps is asked for.
    let mut client = Client::tls(usher.imaps());
    client.send("a LOGIN {4}\r\n");
    assert_eq!(client.line(), "+ OK");
    client.send("anna {6}\r\n");
    assert_eq!(client.line(), "+ OK");
    client.send("secret\r\n");
    assert_eq!(client.line(), "a NO [AUTHENTICATIONFAILED] Authentication failed.");
}

#[test]
fn brackets_without_end_are_bad() {
    let line = [b"a NOOP ".as_slice(), &[b'('; 8000], b"\r\n"].concat();
    assert_eq!(answered(&usher(), &line), "a BAD No arguments expected.\r\n");
}

#[test]
fn control_octets_end_the_connection() {
    let usher = usher();
    let bad = "a BAD NUL or bare CR in a command.\r\n";
    assert_eq!(until_closed(&usher, b"a LOGIN an\0na x\r\n"), bad);
    assert_eq!(until_closed(&usher, b"a NOOP\rb NOOP\r\n"), bad);
}

#[test]
fn tags_are_echoed_only_when_they_are_tags() {
    let usher = usher();
    let most = "x".repeat(1000);
    assert_eq!(
        answered(&usher, format!("{most} NOOP\r\n").as_bytes()),
        format!("{most} OK Nothing done.\r\n")
    );
    let foo = format!("{most} FOO\r\n");
    assert_eq!(answered(&usher, foo.as_bytes()), format!("{most} BAD Unknown command.\r\n"));
    let long = "x".repeat(1001);
    for sent in ["\r\n", "+ NOOP\r\n", "a*b NOOP\r\n", "\" NOOP\r\n", &format!("{long} NOOP\r\n")] {
        assert_eq!(answered(&usher, sent.as_bytes()), "* BAD Invalid tag.\r\n", "{sent:?}");
    }
}

#[test]
fn the_third_invalid_command_is_the_last() {
    let usher = usher();
    let said = until_closed(&usher, b"a FOO\r\nb FOO\r\nc FOO\r\nd NOOP\r\n");
    assert_eq!(
        said,
        "a BAD Unknown command.\r\nb BAD Unknown command.\r\n* BYE Too many invalid commands.\r\n"
    );
}

#[test]
fn http_gets_nothing() {
    let usher = usher();
    assert_eq!(until_closed(&usher, b"GET /<script> HTTP/1.1\r\nHost: x\r\n\r\n"), "");
    assert_eq!(
        until_closed(&usher, b"POST / HTTP/1.1\r\nContent-Length: 20\r\n\r\na LOGIN anna secret\r\n"),
        ""
    );
    let mut plain = Client::plain(usher.imap());
    plain.line();
    plain.send("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(plain.rest().0, "");
}

#[test]
fn sasl_has_its_rules() {
    let usher = usher();
    let base64 = "a BAD Invalid base64.\r\n";
    let plain = "a BAD Malformed PLAIN message.\r\n";
    for (sent, expected) in [
        ("a AUTHENTICATE PLAIN !!!\r\n", base64),
        ("a AUTHENTICATE PLAIN AGFubmEAc2VjcmV\r\n", base64),
        ("a AUTHENTICATE PLAIN =\r\n", plain),
        // Without a NUL, with one, with three.
        ("a AUTHENTICATE PLAIN YW5uYQ==\r\n", plain),
        ("a AUTHENTICATE PLAIN YW5uYQBzZWNyZXQ=\r\n", plain),
        ("a AUTHENTICATE PLAIN AGFubmEAc2VjAHJldA==\r\n", plain),
        ("a AUTHENTICATE PLAIN\r\n*\r\n", "+ \r\na BAD Authentication cancelled.\r\n"),
        ("a AUTHENTICATE LOGIN\r\n*\r\n", "+ VXNlcm5hbWU6\r\na BAD Authentication cancelled.\r\n"),
        (
            "a AUTHENTICATE LOGIN YW5uYQ==\r\nc2VjcmV0\r\n",
            "+ UGFzc3dvcmQ6\r\na NO [AUTHENTICATIONFAILED] Authentication failed.\r\n",
        ),
        ("a AUTHENTICATE CRAM-MD5\r\n", "a NO Unsupported authentication mechanism.\r\n"),
        ("a AUTHENTICATE SCRAM-SHA-256-PLUS x\r\n", "a NO Unsupported authentication mechanism.\r\n"),
        ("a AUTHENTICATE\r\n", "a BAD AUTHENTICATE takes a mechanism.\r\n"),
    ] {
        assert_eq!(answered(&usher, sent.as_bytes()), expected, "{sent}");
    }
}

#[test]
fn odd_user_names_are_unknown_users() {
    let usher = usher();
    let no = "a NO [AUTHENTICATIONFAILED] Authentication failed.\r\n";
    let long = "x".repeat(10_000);
    let long = format!("a LOGIN {{10000}}\r\n{long} x\r\n");
    for name in [
        "{7+}\r\nan\r\nna\"",
        "\"%{x}\"",
        "{1+}\r\n*",
        "{2+}\r\n\u{fc}",
        "\"a\\\"b\"",
        "\"ann\\\\a\"",
        "\"\u{430}nna\"",
    ] {
        assert_eq!(answered(&usher, format!("a LOGIN {name} x\r\n").as_bytes()), no, "{name:?}");
    }
    assert_eq!(answered(&usher, b"a LOGIN {2+}\r\n\xff\xfe x\r\n"), no);
    assert_eq!(answered(&usher, long.as_bytes()), format!("+ OK\r\n{no}"));
    // A line break in a name is none in the log.
    assert!(usher.log().lines().all(|line| line.starts_with("20")), "{}", usher.log());
}

#[test]
fn id_has_its_caps() {
    let usher = usher();
    let pairs = |count| vec!["\"k\" \"v\""; count].join(" ");
    let ok = "* ID (\"name\" \"usher\")\r\na OK ID completed.\r\n";
    let bad = "a BAD Malformed ID.\r\n";
    assert_eq!(answered(&usher, b"a ID NIL\r\n"), ok);
    assert_eq!(answered(&usher, format!("a ID ({})\r\n", pairs(30)).as_bytes()), ok);
    assert_eq!(answered(&usher, format!("a ID ({})\r\n", pairs(31)).as_bytes()), bad);
    assert_eq!(answered(&usher, format!("a ID (\"k\" \"{}\")\r\n", "v".repeat(1024)).as_bytes()), ok);
    assert_eq!(answered(&usher, format!("a ID (\"k\" \"{}\")\r\n", "v".repeat(1025)).as_bytes()), bad);
    assert_eq!(answered(&usher, format!("a ID (\"{}\" \"v\")\r\n", "k".repeat(31)).as_bytes()), bad);
    // 174: all that RFC 2971 allows, in whatever form.
    let (key, value) = ("k".repeat(20), "v".repeat(1024));
    let quoted = vec![format!("\"{key}\" \"{value}\""); 30].join(" ");
    assert_eq!(answered(&usher, format!("a ID ({quoted})\r\n").as_bytes()), ok);
    let literals = vec![format!("{{20+}}\r\n{key} {{1024+}}\r\n{value}"); 30].join(" ");
    assert_eq!(answered(&usher, format!("a ID ({literals})\r\n").as_bytes()), ok);
    let mixed = vec![format!("\"{key}\" {{1024+}}\r\n{value}"); 30].join(" ");
    assert_eq!(answered(&usher, format!("a ID ({mixed})\r\n").as_bytes()), ok);
    let endless = format!("a ID ({}", vec![format!("\"{key}\" \"{value}\""); 40].join(" "));
    assert_eq!(until_closed(&usher, endless.as_bytes()), "* BYE Line too long.\r\n");
}

#[test]
fn blanks_more_than_one_are_taken() {
    // 122
    let usher = usher();
    let ok = "* ID (\"name\" \"usher\")\r\na OK ID completed.\r\n";
    for sent in [
        "a ID (\"name\" \"x\") \r\n",
        "a ID ( \"name\" \"x\" )\r\n",
        "a ID  ( \"name\"   NIL  \"version\" \"1\"  )  \r\n",
        "a ID NIL \r\n",
        "a ID ( )\r\n",
    ] {
        assert_eq!(answered(&usher, sent.as_bytes()), ok, "{sent:?}");
    }
    assert_eq!(answered(&usher, b"a ID (\"name\"\"x\")\r\n"), "a BAD Malformed ID.\r\n");
    assert_eq!(answered(&usher, b"a NOOP \r\n"), "a OK Nothing done.\r\n");
    let no = "a NO [AUTHENTICATIONFAILED] Authentication failed.\r\n";
    assert_eq!(answered(&usher, b"a LOGIN anna secret \r\n"), no);
}

#[test]
fn hosts_capabilities_may_be_offered() {
    // 125
    let usher = Setup::new().imap("capabilities = [\"IDLE\", \"UIDPLUS\"]").start();
    let mut client = Client::plain(usher.imap());
    let listed = "CAPABILITY IMAP4rev1 LITERAL- SASL-IR ID ENABLE STARTTLS LOGINDISABLED IDLE UIDPLUS";
    assert_eq!(client.line(), format!("* OK [{listed}] mail.test ready"));
    assert_eq!(client.command("a CAPABILITY")[0], format!("* {listed}"));
}

#[test]
fn a_proxy_header_may_hold_a_certificate() {
    // 127
    let setup = Setup::new()
        .imap("proxy_protocol = { from = [\"127.0.0.0/8\"] }")
        .limits("proxy_header_size = \"8KiB\"");
    let usher = setup.start();
    let header = |octets: u16| {
        let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11".to_vec();
        header.extend_from_slice(&(12 + 3 + octets).to_be_bytes());
        header.extend_from_slice(b"\xc0\0\x02\x07\x7f\0\0\x01\0\x07\0\x02\x20");
        header.extend_from_slice(&octets.to_be_bytes());
        header.resize(header.len() + usize::from(octets), b'c');
        header
    };
    let mut taken = Client::plain(usher.imap());
    taken.send(header(2600));
    assert!(taken.line().starts_with("* OK "));
    drop(taken);
    let mut client = Client::plain(usher.imap());
    client.send(header(8200));
    assert_eq!(client.rest().0, "");
    usher.wait_for_log("client=192.0.2.7:7");
}

#[test]
fn harmless_commands_are_answered() {
    let usher = usher();
    let said =
        answered(&usher, b"a ENABLE UTF8=ACCEPT\r\nb NOOP\r\nc SELECT INBOX\r\nd UID FETCH 1 FLAGS\r\n");
    let expected = "* ENABLED\r\na OK Nothing enabled.\r\nb OK Nothing done.\r\n\
                    c BAD Log in first.\r\nd BAD Log in first.\r\n";
    assert_eq!(said, expected);
    // One octet at a time makes no difference.
    let mut client = Client::tls(usher.imaps());
    for octet in b"a NOOP\r\nb LOGIN {3+}\r\nx\"y \"z\"\r\n" {
        client.send([*octet]);
    }
    assert_eq!(client.line(), "a OK Nothing done.");
    assert_eq!(client.line(), "b NO [AUTHENTICATIONFAILED] Authentication failed.");
}

#[test]
fn a_flood_of_aborted_logins_leaves_memory_flat() {
    let usher = usher();
    let abort = |count: usize| {
        let mut client = Client::plain(usher.imap());
        client.line();
        client.command("s STARTTLS");
        client.start_tls(config());
        for _ in 0..count / 50 {
            client.send("a AUTHENTICATE PLAIN\r\n*\r\n".repeat(50));
            for _ in 0..50 {
                client.answer("a");
            }
        }
        // And gone in the middle of one more.
        client.send("a AUTHENTICATE PLAIN\r\n");
    };
    for _ in 0..50 {
        abort(200);
    }
    let before = usher.resident();
    for _ in 0..450 {
        abort(200);
    }
    let grown = usher.resident().saturating_sub(before);
    assert!(grown < 4 << 20, "grown by {grown} octets");
}
