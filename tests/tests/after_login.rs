//! After login: what the tracker must stop, and what it must let through untouched.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use rustix::process::Signal;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use usher_tests::archive::{Archive, Options};
use usher_tests::client::Client;
use usher_tests::runtime::archive;
use usher_tests::scripted::Scripted;
use usher_tests::usher::{Setup, Usher};

const USERS: &[(&str, &str)] = &[("anna@example.com", "ih.test")];
const GONE: &str = "* BYE [UNAVAILABLE] Connection is closing, please reconnect.";

fn with_archive(setup: Setup) -> (Usher, Arc<Archive>) {
    let address = setup.at(10143);
    let held = archive(Options::named("ih.test"), address);
    held.add_user("anna@example.com", "secret");
    let keys = "login_as = \"canonical\"";
    (setup.host("ih.test", address, "tls = \"none\"", keys).users(USERS).start(), held)
}

fn with_script(
    setup: Setup,
    script: impl Fn(&mut usher_tests::scripted::Conn) + Send + Sync + 'static,
) -> (Usher, Scripted) {
    let address = setup.at(10143);
    let scripted = Scripted::logged_in(address, script);
    (setup.host("ih.test", address, "tls = \"none\"", "").users(USERS).start(), scripted)
}

fn logged_in(usher: &Usher) -> Client {
    let mut client = Client::tls(usher.imaps());
    client.login("anna", "secret");
    client
}

#[test]
fn what_leads_around_the_routing_never_reaches_the_backend() {
    let (usher, held) = with_archive(Setup::new());
    let mut client = logged_in(&usher);
    let no = |tag: &str| format!("{tag} NO Not available here.");
    // In the order in which they were asked, though the first takes the backend's time.
    client.send("a SELECT INBOX\r\nb UNAUTHENTICATE\r\nc compress DEFLATE\r\nd NOOP\r\n");
    let said: Vec<String> =
        [client.answer("a"), client.answer("b"), client.answer("c"), client.answer("d")].concat();
    let tagged: Vec<&String> = said.iter().filter(|line| !line.starts_with('*')).collect();
    assert_eq!(tagged, [&"a OK [READ-WRITE] done".to_owned(), &no("b"), &no("c"), &"d OK done".to_owned()]);
    // However it is written.
    for line in ["e unAuthenticate", "e UNAUTHENTICATE {3}"] {
        assert_eq!(client.command(line), [no("e")], "{line}");
    }
    client.send("f COMPRESS {3+}\r\nxyz DEFLATE\r\n");
    assert_eq!(client.answer("f"), [no("f")]);
    for line in ["g  UNAUTHENTICATE", "g \tUNAUTHENTICATE", "g \"UNAUTHENTICATE\""] {
        assert_eq!(client.command(line), ["g BAD Invalid command."], "{line}");
    }
    client.send("h {14+}\r\nUNAUTHENTICATE\r\n");
    assert_eq!(client.answer("h"), ["h BAD Invalid command."]);
    // Behind a literal that a server may not look for.
    for sent in ["k NOOP {20+}\r\nl UNAUTHENTICATE\r\nxx\r\n", "k IDLE {18+}\r\nl UNAUTHENTICATE\r\n\r\n"] {
        client.send(sent);
        client.answer("k");
    }
    assert_eq!(client.command("k IDLE {18}"), ["k BAD Invalid command."]);
    // In IDLE, where a server might take it for DONE.
    client.send("i IDLE\r\n");
    assert_eq!(client.line(), "+ idling");
    client.send("j UNAUTHENTICATE\r\nk NOOP\r\n");
    for line in ["i OK idled", "j BAD Expected DONE.", "k OK done"] {
        assert_eq!(client.line(), line);
    }
    client.send("i IDLE\r\n");
    assert_eq!(client.line(), "+ idling");
    client.send("done\r\n");
    assert_eq!(client.line(), "i OK idled");
    for (said, answer) in [
        ("\r\n", "* BAD Expected DONE."),
        ("DONE x\r\n", "DONE BAD Expected DONE."),
        ("j LOGIN {3+}\r\nben {1+}\r\nx\r\n", "j BAD Expected DONE."),
    ] {
        client.send("i IDLE\r\n");
        assert_eq!(client.line(), "+ idling");
        client.send(said);
        assert_eq!(client.line(), "i OK idled");
        assert_eq!(client.line(), answer, "{said:?}");
    }
    let tag = "t".repeat(1000);
    assert_eq!(client.command(&format!("{tag} NOOP")), [format!("{tag} OK done")]);
    let lines = held.lines().join("\n").to_ascii_uppercase();
    assert!(!lines.contains("UNAUTHENTICATE") && !lines.contains("COMPRESS"), "{lines}");
}

#[test]
fn nobody_becomes_somebody_else_after_login() {
    // 82, 104: a backend that would take it
    let (usher, scripted) = with_script(Setup::new(), |conn| {
        while let Some(line) = conn.line() {
            conn.send(format!("{} OK done\r\n", line.split(' ').next().unwrap()));
        }
    });
    let mut client = logged_in(&usher);
    for line in
        ["LOGIN ben secret", "login ben secret", "AUTHENTICATE PLAIN AGJlbgBz", "PROXYAUTH ben", "LOGIN {3}"]
    {
        assert_eq!(client.command(&format!("a {line}")), ["a BAD Already logged in."], "{line}");
    }
    client.send("a LOGIN {3+}\r\nben {6+}\r\nsecret\r\n");
    assert_eq!(client.answer("a"), ["a BAD Already logged in."]);
    assert_eq!(client.command("a STARTTLS"), ["a BAD Not after login."]);
    // In the order in which they were asked, and what is none of these is the backend's to refuse.
    client.send("b FOO\r\nc LOGIN ben secret\r\nd NOOP\r\n");
    assert_eq!(client.line(), "b OK done");
    assert_eq!(client.line(), "c BAD Already logged in.");
    assert_eq!(client.line(), "d OK done");
    let heard = String::from_utf8_lossy(&scripted.heard()).into_owned();
    assert!(heard.ends_with("\r\nb FOO\r\nd NOOP\r\n") && !heard.contains("ben"), "{heard}");
}

#[test]
fn a_refused_literal_is_followed_by_a_command() {
    let (usher, scripted) = with_script(Setup::new(), |conn| {
        conn.line();
        conn.send("a NO [TOOBIG] too big\r\n");
        conn.line();
        conn.send("c OK done\r\n");
        conn.line();
    });
    let mut client = logged_in(&usher);
    client.send("a APPEND x {31}\r\n");
    assert_eq!(client.line(), "a NO [TOOBIG] too big");
    // As many octets as the literal would have had: a command all the same, and one that is stopped.
    client.send("b UNAUTHENTICATE\r\nc SELECT x\r\n");
    assert_eq!(client.line(), "b NO Not available here.");
    assert_eq!(client.line(), "c OK done");
    assert!(!String::from_utf8_lossy(&scripted.heard()).contains("UNAUTHENTICATE"));
}

#[test]
fn a_literal_is_asked_for_by_the_backend_alone() {
    let (usher, held) = with_archive(Setup::new());
    let mut client = logged_in(&usher);
    // A client that does not wait gets no further than one that does.
    client.send("a APPEND Sent {17}\r\nb UNAUTHENTICATE\r\nc NOOP\r\n");
    assert_eq!(client.line(), "+ go on");
    assert_eq!(client.answer("a"), ["a OK [APPENDUID 1 1] done"]);
    client.send("\r\n");
    let text = "Subject: x\r\n\r\nUNAUTHENTICATE\r\n";
    client.send(format!("d APPEND Sent {{{}+}}\r\n{text}\r\n", text.len()));
    assert_eq!(client.answer("d").last().unwrap(), "d OK [APPENDUID 1 2] done");
    client.command("s SELECT Sent");
    let fetched = client.command("f UID FETCH 2 BODY.PEEK[]").join("\r\n");
    assert!(fetched.contains(text), "{fetched}");
    drop(held);
}

#[test]
fn literals_that_servers_read_differently_end_the_session() {
    for sent in [
        "a NOOP {99999999999999999999999999}\r\n",
        "a NOOP {18446744073709551617+}\r\n",
        // 103: a server that reads numbers leniently takes these for thirteen octets
        "a APPEND INBOX {+13}\r\nb UNAUTHENTICATE\r\n",
        "a APPEND INBOX {13 }\r\nb UNAUTHENTICATE\r\n",
        "a APPEND INBOX {13+ }\r\nb UNAUTHENTICATE\r\n",
        "a APPEND \"x\" {-13}\r\nb UNAUTHENTICATE\r\n",
        "a NOOP\rb UNAUTHENTICATE\r\n",
        "a NO\0OP\r\n",
    ] {
        let (usher, held) = with_archive(Setup::new());
        let mut client = logged_in(&usher);
        client.send(sent);
        assert_eq!(client.rest().0, format!("{GONE}\r\n"), "{sent:?}");
        assert!(!held.lines().join("\n").contains("UNAUTHENTICATE"));
    }
}

#[test]
fn a_literal_that_the_backend_does_not_ask_for_is_skipped() {
    // It lists no LITERAL+ and answers at once, as a server may: the octets must not become commands.
    let (usher, scripted) = with_script(Setup::new(), |conn| {
        while let Some(line) = conn.line() {
            conn.send(format!("{} OK done\r\n", line.split(' ').next().unwrap()));
        }
    });
    let mut client = logged_in(&usher);
    client.send("a NOOP {18+}\r\nb UNAUTHENTICATE\r\n\r\nc NOOP\r\n");
    assert_eq!(client.answer("a"), ["a OK done"]);
    assert_eq!(client.answer("c"), ["c OK done"]);
    let heard = String::from_utf8_lossy(&scripted.heard()).into_owned();
    assert!(heard.ends_with("a NOOP {18}\r\nc NOOP\r\n"), "{heard}");
}

#[test]
fn nothing_follows_a_clients_fault() {
    let (usher, scripted) = with_script(Setup::new(), |conn| drop(conn.rest()));
    let mut client = logged_in(&usher);
    client.send("a NOOP \0\r\n");
    assert_eq!(client.line(), GONE);
    let _ = client.try_send(b"b UNAUTHENTICATE\r\n");
    usher.wait_for_log("cause=\"control-octet\"");
    assert!(!String::from_utf8_lossy(&scripted.heard()).contains("UNAUTHENTICATE"));
}

#[test]
fn braces_in_free_text_are_no_literal() {
    let (usher, _scripted) = with_script(Setup::new(), |conn| {
        conn.line();
        conn.send("* OK mind the {9}\r\n* NO and {9}\r\na OK done {9}\r\n");
        conn.line();
    });
    let mut client = logged_in(&usher);
    client.send("a NOOP\r\n");
    assert_eq!(client.answer("a"), ["* OK mind the {9}", "* NO and {9}", "a OK done {9}"]);
    // Were one of them a literal, this would be within it and no goodbye could be said.
    usher.signal(Signal::TERM);
    assert_eq!(client.rest().0, format!("{GONE}\r\n"));
}

fn stopping() -> Setup {
    Setup::new()
        .server("login_wait = \"2s\"\ndrain_deadline = \"200ms\"")
        .limits("goodbye_window = \"100ms\"\nfarewell = \"500ms\"")
}

#[test]
fn goodbye_comes_at_once_between_responses_and_in_idle() {
    let (mut usher, _held) = with_archive(stopping());
    let mut still = logged_in(&usher);
    let mut idle = logged_in(&usher);
    idle.command("s SELECT INBOX");
    idle.send("i IDLE\r\n");
    assert_eq!(idle.line(), "+ idling");
    usher.signal(Signal::TERM);
    for client in [&mut still, &mut idle] {
        let (said, end) = client.rest();
        assert_eq!(said, format!("{GONE}\r\n"));
        assert!(end.is_ok());
    }
    assert!(usher.wait().success());
    usher.wait_for_logs("by=\"operator\" stage=\"relay\" cause=\"stopping\"", 2);
    assert_eq!(usher.log().matches("by=\"operator\" stage=\"relay\" cause=\"stopping\"").count(), 2);
}

#[test]
fn goodbye_waits_for_the_end_of_a_response() {
    let (told, hears) = std::sync::mpsc::channel::<()>();
    let hears = std::sync::Mutex::new(hears);
    let (mut usher, _scripted) = with_script(stopping(), move |conn| {
        conn.line();
        conn.send("* 1 FETCH (BODY[] {10}\r\n01234");
        hears.lock().unwrap().recv().unwrap();
        conn.send("56789)\r\n* 2 EXISTS\r\na OK done\r\n");
        conn.rest();
    });
    let mut client = logged_in(&usher);
    client.send("a FETCH 1 BODY[]\r\n");
    assert_eq!(client.octets(29), b"* 1 FETCH (BODY[] {10}\r\n01234");
    usher.signal(Signal::TERM);
    usher.wait_for_log("saying goodbye");
    told.send(()).unwrap();
    // Whichever response was the last: the goodbye stands behind a whole one.
    let said = client.rest().0;
    let whole = ["56789)\r\n", "56789)\r\n* 2 EXISTS\r\n", "56789)\r\n* 2 EXISTS\r\na OK done\r\n"];
    assert!(whole.iter().any(|whole| said == format!("{whole}{GONE}\r\n")), "{said:?}");
    assert!(usher.wait().success());
}

#[test]
fn a_response_that_never_ends_is_cut_off() {
    let (mut usher, _scripted) = with_script(stopping(), |conn| {
        conn.line();
        conn.send("* 1 FETCH (BODY[] {10}\r\n01234");
        conn.rest();
    });
    let mut client = logged_in(&usher);
    client.send("a FETCH 1 BODY[]\r\n");
    client.octets(29);
    usher.signal(Signal::TERM);
    let (said, end) = client.rest();
    assert_eq!(said, "");
    assert!(end.is_err(), "cut, and seen to be cut");
    assert!(usher.wait().success());
}

#[test]
fn stopping_ends_those_before_login_and_waits_for_the_rest() {
    let setup = Setup::new().server("login_wait = \"2s\"\ndrain_deadline = \"50s\"");
    let (mut usher, _held) = with_archive(setup);
    let mut before = Client::tls(usher.imaps());
    let mut session = logged_in(&usher);
    usher.signal(Signal::TERM);
    assert_eq!(before.rest().0, "* BYE [UNAVAILABLE] Temporarily unavailable, try again later.\r\n");
    // The session goes on, and nobody new comes in.
    assert_eq!(session.command("a NOOP"), ["a OK done"]);
    let begun = Instant::now();
    while std::net::TcpStream::connect(usher.imaps()).is_ok() {
        assert!(begun.elapsed() < usher_tests::usher::DEADLINE, "still listening");
    }
    session.command("b LOGOUT");
    assert!(usher.wait().success());
}

#[test]
fn stopping_tells_those_before_login_though_there_is_no_session() {
    const BYE: &str = "* BYE [UNAVAILABLE] Temporarily unavailable, try again later.\r\n";
    let setup =
        Setup::new().server("login_wait = \"50s\"\ndrain_deadline = \"50s\"").limits("retry = \"100ms\"");
    let address = setup.at(10143);
    let mut usher = setup.host("ih.test", address, "tls = \"none\"", "").users(USERS).start();
    let mut silent = Client::tls(usher.imaps());
    // This one waits for a host that is out.
    let mut held = Client::tls(usher.imaps());
    held.send("a LOGIN anna secret\r\n");
    usher.wait_for_log("instance host failed");
    usher.signal(Signal::TERM);
    for client in [&mut silent, &mut held] {
        let (said, end) = client.rest();
        assert_eq!(said, BYE);
        assert!(end.is_ok());
    }
    assert!(usher.wait().success());
}

#[test]
fn a_second_signal_ends_at_once() {
    let setup = Setup::new().server("login_wait = \"2s\"\ndrain_deadline = \"50s\"");
    let (mut usher, _held) = with_archive(setup);
    let mut session = logged_in(&usher);
    usher.signal(Signal::TERM);
    usher.wait_for_log("waiting for sessions");
    usher.signal(Signal::TERM);
    assert!(usher.wait().success());
    let _ = session.rest();
}

#[test]
fn idle_sessions_are_kept_and_silent_ones_end() {
    let (usher, held) = with_archive(Setup::new().limits("idle = \"2s\"\nfarewell = \"300ms\""));
    let mut client = logged_in(&usher);
    client.command("s SELECT INBOX");
    client.send("i IDLE\r\n");
    assert_eq!(client.line(), "+ idling");
    // A push now and then keeps the session, however long IDLE lasts.
    for count in 2..6 {
        std::thread::sleep(Duration::from_millis(900));
        held.deliver("anna@example.com", b"Subject: new\r\n\r\nnews\r\n");
        assert_eq!(client.line(), format!("* {count} EXISTS"));
    }
    assert_eq!(client.rest().0, format!("{GONE}\r\n"));
    usher.wait_for_log("by=\"usher\" stage=\"relay\" cause=\"idle\"");
}

#[test]
fn bare_line_feeds_reach_the_backend_as_line_ends() {
    let (usher, held) = with_archive(Setup::new());
    let mut client = logged_in(&usher);
    client.send("a NOOP\nb SELECT INBOX\nc APPEND Sent {3+}\nabc\nd NOOP\n");
    client.answer("a");
    client.answer("b");
    assert_eq!(client.answer("c").last().unwrap(), "c OK [APPENDUID 1 1] done");
    client.answer("d");
    assert!(held.lines().contains(&"b SELECT INBOX".to_owned()));
}

#[test]
fn a_client_that_is_gone_is_not_kept_by_its_backend() {
    // 115: a backend that stays, and one that never answers what came before a command which is refused here
    let limits = "stalled = \"1s\"\nidle = \"31m\"";
    for (answer, commands) in
        [("", ""), ("* BAD what\r\n", "a NOOP\r\nb UNAUTHENTICATE\r\n"), ("", "a APPEND x {3}\r\n")]
    {
        let (usher, _scripted) = with_script(Setup::new().limits(limits), move |conn| {
            while conn.line().is_some() {
                conn.send(answer);
            }
            // The client's end is known, and the connection stays open.
            std::thread::park();
        });
        let mut client = logged_in(&usher);
        client.send(commands);
        usher.wait_until("/v1/sessions", |shown| shown["matching"] == 1);
        client.half_close();
        drop(client);
        usher.wait_until("/v1/sessions", |shown| shown["matching"] == 0);
        usher.wait_until("/v1/hosts/ih.test", |shown| shown[0]["sessions"] == 0);
    }
}

/// It has all that it waits for. Without TLS, nothing is left to be said, and nobody is waited for.
#[test]
fn a_client_that_has_logged_out_is_not_waited_for() {
    let setup = Setup::new().imap("plaintext_from = [\"127.0.0.0/8\"]").limits("farewell = \"1h\"");
    let (usher, _held) = with_archive(setup);
    let mut client = Client::plain(usher.imap());
    client.line();
    client.login("anna", "secret");
    let said = client.command("z LOGOUT");
    assert!(said[0].starts_with("* BYE") && said[1].starts_with("z OK"), "{said:?}");
    let (rest, ended) = client.rest();
    assert!(rest.is_empty() && ended.is_ok(), "{rest} {ended:?}");
    // The client has not closed its side.
    usher.wait_until("/metrics", |page| page.as_str().unwrap().contains("\nusher_connections 0\n"));
    drop(client);
}

#[test]
fn a_host_that_stays_after_a_logout_keeps_nobody() {
    let (usher, _scripted) = with_script(Setup::new(), |conn| {
        while let Some(line) = conn.line() {
            match line.split(' ').collect::<Vec<_>>().as_slice() {
                [tag, "LOGOUT"] => conn.send(format!("* BYE\r\n{tag} OK done\r\n")),
                [tag, ..] => conn.send(format!("{tag} OK done\r\n")),
                [] => {}
            }
        }
    });
    for pipelined in ["", "y NOOP\r\n"] {
        let mut client = logged_in(&usher);
        client.send(format!("z LOGOUT\r\n{pipelined}"));
        let (rest, ended) = client.rest();
        assert!(rest.starts_with("* BYE\r\nz OK done\r\n") && ended.is_ok(), "{rest} {ended:?}");
        assert!(pipelined.is_empty() || rest.ends_with("y OK done\r\n"), "{rest}");
    }
}
