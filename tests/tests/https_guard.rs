//! What clients of HTTPS get wrong: octets in, the exact answer out, and what the backend saw of it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use std::sync::Arc;
use std::time::Instant;
use usher_tests::client::Client;
use usher_tests::frames::{
    self, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PRIORITY, PROTOCOL_ERROR, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, block, frame, get_block,
};
use usher_tests::haproxy::Haproxy;
use usher_tests::http::{Answer, ask, basic, connect, get};
use usher_tests::scripted::Scripted;
use usher_tests::usher::{DEADLINE, HTTPS, Setup, Usher};
use usher_tests::web::Web;

/// usher in front of an array of one, which sees whatever names nobody.
fn door(setup: Setup) -> (Usher, Arc<Web>) {
    let address = setup.at(8450);
    let web = Web::start("m.test", address, None);
    (with_array(setup, "").start(), web)
}

fn with_array(setup: Setup, https: &str) -> Setup {
    with_listener(setup, "", https)
}

fn with_listener(setup: Setup, listener: &str, https: &str) -> Setup {
    let address = setup.at(8450);
    setup.https(listener).section(&format!(
        "[https]\narray = \"a\"\n{https}\n[[https.path]]\nprefix = \"/tunnel\"\nupgrades = [\"echo\"]\n\
         [[array]]\nname = \"a\"\nhealth = {{ http = {{ probe = \"none\" }} }}\n\
         members = [{{ name = \"m.test\", http = {{ address = \"{address}\", tls = \"none\" }} }}]"
    ))
}

/// What `request` gets, and whether the connection ends behind it.
fn refused(usher: &Usher, request: &str) -> u16 {
    let mut client = connect(usher.https());
    client.send(request);
    let answer = client.http_answer();
    if answer.status != 421 {
        assert!(answer.closes(), "{request:?}: {answer:?}");
        assert_eq!(client.rest().0, "", "nothing behind it: {request:?}");
    }
    answer.status
}

fn post(fields: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: mail.test\r\n{fields}\r\n{body}")
}

#[test]
fn framing_that_could_be_read_in_two_ways_is_refused_and_reaches_nobody() {
    let (usher, web) = door(Setup::new());
    let chunked = "Transfer-Encoding: chunked\r\n";
    let hidden = "0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: mail.test\r\n\r\n";
    for (request, status) in [
        // 41: two lengths
        (post("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", hidden), 400),
        // 42: lengths that are none
        (post("Content-Length: 1\r\nContent-Length: 1\r\n", "x"), 400),
        (post("Content-Length: 01\r\n", "x"), 400),
        (post("Content-Length: +1\r\n", "x"), 400),
        (post("Content-Length: 0x1\r\n", "x"), 400),
        (post("Content-Length:\r\n", "x"), 400),
        (post("Content-Length: 9223372036854775808\r\n", "x"), 400),
        // 43: codings
        (post("Transfer-Encoding: ,chunked\r\n", hidden), 400),
        (post("Transfer-Encoding: identity, chunked\r\n", hidden), 400),
        (post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", hidden), 400),
        (post("Transfer-Encoding: gzip, chunked\r\n", hidden), 501),
        ("POST / HTTP/1.0\r\nHost: mail.test\r\nTransfer-Encoding: chunked\r\n\r\n".into(), 400),
        // 44: lines
        ("GET / HTTP/1.1\nHost: mail.test\n\n".into(), 400),
        (get("/", "A: b\nC: d\r\n"), 400),
        (get("/", "A: b\r\n c\r\n"), 400),
        (get("/", "A: b\0\r\n"), 400),
        (get("/", "A : b\r\n"), 400),
        (get("/", ": b\r\n"), 400),
        // 45: hosts
        ("GET / HTTP/1.1\r\n\r\n".into(), 400),
        (get("/", "Host: mail.test\r\n"), 400),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n".into(), 400),
        ("GET / HTTP/1.1\r\nHost: u@mail.test\r\n\r\n".into(), 400),
        ("GET https://other.test/ HTTP/1.1\r\nHost: mail.test\r\n\r\n".into(), 400),
        // 46: methods
        ("TRACE / HTTP/1.1\r\nHost: mail.test\r\n\r\n".into(), 405),
        ("CONNECT mail.test:443 HTTP/1.1\r\nHost: mail.test\r\n\r\n".into(), 405),
        ("GET * HTTP/1.1\r\nHost: mail.test\r\n\r\n".into(), 400),
        // 47: targets
        (get("/a#b", ""), 400),
        (get("a", ""), 400),
        (get("/\u{e4}", ""), 400),
        // 50: expectations
        (post("Expect: 200-ok\r\nContent-Length: 1\r\n", "x"), 417),
        // 53: sizes
        (get("/", &format!("A: {}\r\n", "b".repeat(40_000))), 431),
        (get("/", &"A: b\r\n".repeat(100)), 431),
        (get(&format!("/{}", "a".repeat(9000)), ""), 414),
        // 55: paths that servers resolve differently
        (get("/a/../b", ""), 400),
        (get("/%2e%2e%2fb", ""), 400),
        (get("/a%00", ""), 400),
        (get("//a", ""), 400),
        (get("/a/..;x/b", ""), 400),
        (get("/%c0%ae%c0%ae/b", ""), 400),
        (get("/a\\b", ""), 400),
    ] {
        let shown = &request[..request.len().min(120)];
        assert_eq!(refused(&usher, &request), status, "{shown:?}");
    }
    assert_eq!(web.asked(), Vec::<String>::new());
    // 48: chunks; the head is good and goes on, the body breaks off.
    for body in [
        "1 \r\nx\r\n0\r\n\r\n",
        "0x1\r\nx\r\n",
        "ffffffffffffffffff\r\nx",
        "1;a\nb\r\nx\r\n0\r\n\r\n",
        "1\r\nxy\r\n",
    ] {
        assert_eq!(refused(&usher, &post(chunked, body)), 400, "{body:?}");
    }
    assert!(!web.asked().iter().any(|asked| asked.contains("hidden")));
    usher.wait_for_log("cause=\"two-lengths\"");
}

#[test]
fn a_refused_request_is_answered_behind_those_before_it() {
    let (usher, web) = door(Setup::new());
    let mut client = connect(usher.https());
    client.send(
        get("/slow/300", "") + &get("/two", "") + &post("Content-Length: 01\r\n", "x") + &get("/three", ""),
    );
    assert_eq!(client.http_answer().json()["target"], "/slow/300");
    assert_eq!(client.http_answer().json()["target"], "/two");
    let answer = client.http_answer();
    assert_eq!((answer.status, answer.closes()), (400, true));
    assert_eq!(client.rest().0, "");
    assert_eq!(web.asked(), ["GET /slow/300", "GET /two"]);
}

#[test]
fn good_requests_are_made_anew_from_what_was_read() {
    let (usher, _web) = door(Setup::new());
    // 52: whatever a client says of itself that only a proxy may say
    let forged = "X-Forwarded-For: 1.2.3.4\r\nX_Forwarded_For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\n\
                  X-Real-IP: 1.2.3.4\r\nX-Forwarded-Proto: gopher\r\nX-Request-ID: mine\r\n\
                  Connection: close, X-Mine, Host\r\nX-Mine: 1\r\nProxy-Authorization: x\r\nTE: gzip\r\n\
                  Keep-Alive: 5\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nX-Other: \u{e9}  \r\n";
    let answer = ask(usher.https(), get("/a%2Fb?c=%2e%2e", forged));
    let seen = answer.json();
    let headers = seen["headers"].as_object().unwrap();
    let field = |name: &str| headers.get(name).map(|values| values[0].as_str().unwrap().to_owned());
    assert_eq!(seen["target"], "/a%2Fb?c=%2e%2e", "55: %2F stays in its segment");
    let client = field("x-forwarded-for").unwrap();
    assert!(client.starts_with("127."), "{client}");
    assert_eq!(field("x-real-ip").as_ref(), Some(&client));
    assert!(field("forwarded").unwrap().starts_with(&format!("for=\"{client}:")));
    assert!(field("forwarded").unwrap().ends_with(";host=\"mail.test\";proto=https"));
    assert_eq!(field("x-forwarded-proto").as_deref(), Some("https"));
    assert_eq!(field("x-forwarded-host").as_deref(), Some("mail.test"));
    assert_eq!(field("via").as_deref(), Some("1.1 mail.test"));
    assert_eq!(field("x-request-id").map(|id| id.len()), Some(16));
    assert_eq!(field("host").as_deref(), Some("mail.test"));
    assert_eq!(field("x-other").as_deref(), Some("\u{e9}"));
    // 51: no h2c, nothing of the connection
    for gone in
        ["x_forwarded_for", "x-mine", "connection", "proxy-authorization", "te", "keep-alive", "upgrade"]
    {
        assert_eq!(field(gone), None, "{gone}");
    }
    assert!(!answer.text().contains("1.2.3.4"));
    assert!(answer.closes(), "the client asked for it");
    // 49: what a trailer may not say is taken out of it
    let body = "3\r\nabc\r\n0\r\nContent-Length: 5\r\nHost: x\r\nX-Forwarded-For: 1.2.3.4\r\nX_Real_IP: 1.2.3.4\r\n\
                X-Sum: 1\r\n\r\n";
    let trailer = "Transfer-Encoding: chunked\r\nTrailer: X-Sum, X-Forwarded-For, X_Real_IP\r\n";
    let seen = ask(usher.https(), post(trailer, body)).json();
    assert_eq!(
        (seen["octets"].as_u64(), seen["trailers"].to_string()),
        (Some(3), "{\"x-sum\":[\"1\"]}".into())
    );
    // GET may have a body as well, whatever its length.
    let seen =
        ask(usher.https(), get("/", "Transfer-Encoding: chunked\r\n") + "3\r\nabc\r\n0\r\n\r\n").json();
    assert_eq!((seen["method"].as_str(), seen["octets"].as_u64()), (Some("GET"), Some(3)));
    // A trailer of the backend's as well.
    let mut client = connect(usher.https());
    client.send(get("/trailers", "TE: trailers\r\nConnection: TE, close\r\n"));
    let rest = client.rest().0;
    assert!(rest.ends_with("0\r\nx-checksum: 1234\r\n\r\n"), "{rest:?}");
}

#[test]
fn senders_who_are_trusted_are_added_to() {
    let setup = Setup::new();
    let web = Web::start("m.test", setup.at(8450), None);
    let usher = with_array(setup, "trusted = [\"127.0.0.0/8\"]").start();
    let fields = "X-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\nX-Forwarded-Proto: https\r\n\
                  X_Forwarded_For: 5.6.7.8\r\nX-Request-ID: theirs\r\n";
    let seen = ask(usher.https(), get("/", fields)).json();
    let field = |name: &str| seen["headers"][name][0].as_str().unwrap_or_default().to_owned();
    assert!(field("x-forwarded-for").starts_with("1.2.3.4, 127."), "{seen}");
    assert!(field("forwarded").starts_with("for=1.2.3.4, for="));
    assert_eq!(field("x-request-id"), "theirs");
    assert_eq!(field("x_forwarded_for"), "");
    drop(web);
}

#[test]
fn a_name_that_is_not_the_connections_is_misdirected() {
    // 35
    let (usher, web) = door(Setup::new());
    assert_eq!(refused(&usher, "GET / HTTP/1.1\r\nHost: other.test\r\n\r\n"), 421);
    let mut client = frames::connect(usher.https());
    let fields = [(":method", "GET"), (":scheme", "https"), (":authority", "other.test"), (":path", "/")];
    client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&fields)));
    assert_eq!(client.outcome(1), Ok(421));
    assert!(web.asked().is_empty());
    // The port is no part of it, and neither is case.
    assert_eq!(ask(usher.https(), "GET / HTTP/1.1\r\nHost: MAIL.test:1443\r\n\r\n").status, 200);
}

#[test]
fn slow_clients_are_told_and_closed() {
    // 54
    let setup = Setup::new().limits(
        "http_header = \"400ms\"\nhttp_idle = \"700ms\"\nhttp_stalled = \"500ms\"\nfarewell = \"300ms\"",
    );
    let (usher, web) = door(setup);
    let mut client = connect(usher.https());
    client.send("GET / HTTP/1.1\r\nHost: ");
    let answer = client.http_answer();
    assert_eq!((answer.status, answer.closes()), (408, true));
    // Between two requests there is nothing to be told.
    let mut client = connect(usher.https());
    client.send(get("/", ""));
    assert_eq!(client.http_answer().status, 200);
    assert_eq!(client.rest().0, "");
    // A body that stands still.
    let mut client = connect(usher.https());
    client.send(post("Content-Length: 10\r\n", "x"));
    let answer = client.http_answer();
    assert_eq!((answer.status, answer.closes()), (408, true));
    // A client that reads nothing.
    let mut client = connect(usher.https());
    client.send(get("/download/200000000", ""));
    usher.wait_for_log("path=\"/download/200000000\"");
    // One that waits for its answer is none of them.
    assert_eq!(ask(usher.https(), get("/slow/1500", "")).status, 200);
    // Over HTTP/2 a block of fields must come to its end.
    let mut client = frames::connect(usher.https());
    let begun = Instant::now();
    client.send(frame(HEADERS, END_STREAM, 1, &get_block("/", &[])));
    drop(client.rest());
    assert!(begun.elapsed() < DEADLINE / 2, "closed, and not by the test's own patience");
    // Octets that trickle are no head either, and no body that goes anywhere.
    let body = "POST /x HTTP/1.1\r\nHost: mail.test\r\nContent-Length: 100000\r\n\r\n";
    for start in ["GET / HTTP/1.1\r\n", body] {
        let mut client = connect(usher.https());
        client.send(start);
        while client.try_send(b"a").is_ok() {
            assert!(begun.elapsed() < DEADLINE, "trickling goes on");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
    assert!(web.asked().contains(&"GET /slow/1500".to_owned()));
}

#[test]
fn a_body_beyond_its_limit_is_refused_on_the_way() {
    // 53
    let setup = Setup::new();
    let web = Web::start("m.test", setup.at(8450), None);
    let https = "body_limit = \"64KiB\"\n[[https.path]]\nprefix = \"/upload\"\nbody_limit = \"1MiB\"";
    let usher = with_array(setup, https).start();
    let body = "x".repeat(70_000);
    let sized = post(&format!("Content-Length: {}\r\n", body.len()), &body);
    assert_eq!(refused(&usher, &sized), 413);
    assert!(web.asked().is_empty(), "known before anything is sent");
    let chunked = post("Transfer-Encoding: chunked\r\n", &format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()));
    assert_eq!(refused(&usher, &chunked), 413);
    let allowed = sized.replacen("POST / ", "POST /Upload/x ", 1);
    assert_eq!(ask(usher.https(), allowed).json()["octets"], 70_000);
}

#[test]
fn http2_that_breaks_the_rules_is_reset() {
    // 56, 57
    let (usher, web) = door(Setup::new());
    let base = |authority, path, scheme| {
        vec![(":method", "GET"), (":scheme", scheme), (":authority", authority), (":path", path)]
    };
    let with =
        |more: &[(&'static str, &'static str)]| [base("mail.test", "/", "https").as_slice(), more].concat();
    let cases: Vec<(&str, Vec<(&str, &str)>)> = vec![
        ("two names", with(&[("host", "other.test")])),
        ("two hosts", with(&[("host", "mail.test"), ("host", "mail.test")])),
        ("userinfo", base("u@mail.test", "/", "https")),
        ("port", base("mail.test:99999", "/", "https")),
        ("scheme", base("mail.test", "/", "http")),
        ("asterisk", base("mail.test", "*", "https")),
        ("no path", base("mail.test", "", "https")),
        ("no authority", vec![(":method", "GET"), (":scheme", "https"), (":path", "/")]),
        ("line end", with(&[("a", "b\r\nc: d")])),
        ("nul", with(&[("a", "b\0")])),
        ("upper case", with(&[("Abc", "d")])),
        ("connection", with(&[("connection", "close")])),
        ("length", with(&[("content-length", "5")])),
    ];
    // 132: whoever refuses it, it is counted
    let counted = |most: u64| {
        usher.wait_until("/metrics", |page| {
            let lines = page.as_str().unwrap().lines();
            let counts =
                lines.filter_map(|line| line.strip_prefix("usher_http_refused_total")?.split(' ').nth(1));
            counts.map(|count| count.parse::<u64>().unwrap()).sum::<u64>() == most
        });
    };
    let mut refused = 0;
    for (name, fields) in cases {
        let mut client = frames::connect(usher.https());
        client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&fields)));
        let outcome = client.outcome(1);
        assert!(matches!(outcome, Err(PROTOCOL_ERROR) | Ok(400)), "{name}: {outcome:?}");
        drop(client);
        refused += 1;
        counted(refused);
    }
    for octets in
        [frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff; 20]), b"GET / HTTP/1.1\r\n\r\n".to_vec()]
    {
        let mut client = frames::connect(usher.https());
        client.send(octets);
        let ended = client.outcome(1);
        assert!(ended.is_err(), "{ended:?}");
        drop(client);
        refused += 1;
        counted(refused);
    }
    // DATA that is not as long as was said.
    let mut client = frames::connect(usher.https());
    let fields = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "mail.test"),
        (":path", "/short"),
        ("content-length", "5"),
    ];
    client.send(frame(HEADERS, END_HEADERS, 1, &block(&fields)));
    client.send(frame(DATA, END_STREAM, 1, b"abc"));
    assert!(matches!(client.outcome(1), Err(PROTOCOL_ERROR) | Ok(400)));
    assert!(!web.asked().iter().any(|asked| !asked.contains("/short")), "{:?}", web.asked());
    // TRACE and CONNECT are known, and not served.
    let mut client = frames::connect(usher.https());
    client.send(frame(
        HEADERS,
        END_HEADERS | END_STREAM,
        1,
        &block(&[(":method", "CONNECT"), (":authority", "mail.test:443")]),
    ));
    assert!(matches!(client.outcome(1), Ok(405 | 400) | Err(PROTOCOL_ERROR)));
    // HEAD has no body, whoever answers.
    let mut client = frames::connect(usher.https());
    for (stream, path) in [(1, "/healthcheck.htm"), (3, "/fine"), (5, "/a//b")] {
        let fields =
            [(":method", "HEAD"), (":scheme", "https"), (":authority", "mail.test"), (":path", path)];
        client.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&fields)));
        let head = client.frame_of(stream);
        assert_eq!((head.kind, head.flags & END_STREAM), (HEADERS, END_STREAM), "{path}");
    }
    // What the guard of HTTP/1 refuses is refused here as well.
    let long = format!("/{}", "a".repeat(9000));
    let many: Vec<_> = (0..101).map(|at| (format!("f{at}"), "v")).collect();
    let many: Vec<_> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    for (fields, status) in [
        (get_block("/", &[("expect", "200-ok")]), 417),
        (get_block(&long, &[]), 414),
        (get_block("/", &many), 431),
        (get_block("/", &[("content-length", "00")]), 400),
        (get_block("/", &[("authorization", "Basic x"), ("authorization", "Basic y")]), 400),
    ] {
        let mut client = frames::connect(usher.https());
        client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &fields));
        let outcome = client.outcome(1);
        assert!(outcome == Ok(status) || (status == 400 && outcome == Err(PROTOCOL_ERROR)), "{outcome:?}");
    }
    // The path has one normal form here as well; a good request is served on the same connection.
    let mut client = frames::connect(usher.https());
    client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &get_block("/a/../b", &[])));
    assert_eq!(client.outcome(1), Ok(400));
    client.send(frame(HEADERS, END_HEADERS | END_STREAM, 3, &get_block("/fine", &[])));
    assert_eq!(client.outcome(3), Ok(200));
}

/// Sends `flood` until the connection ends; fails if it never does.
fn ends(mut client: Client, flood: &[u8]) {
    let begun = Instant::now();
    while client.try_send(flood).is_ok() {
        assert!(begun.elapsed() < DEADLINE, "the flood goes on");
    }
}

#[test]
fn floods_of_frames_end_their_connection_and_no_other() {
    // 58
    let (usher, _web) = door(Setup::new());
    let mut other = frames::connect(usher.https());
    for flood in [
        frame(PING, 0, 0, &[0; 8]),
        frame(SETTINGS, 0, 0, &[]),
        frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1]),
        frame(0xbe, 0, 0, b"unknown"),
        frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
    ] {
        ends(frames::connect(usher.https()), &flood.repeat(100));
    }
    // Streams that are opened and reset at once.
    let mut client = frames::connect(usher.https());
    let begun = Instant::now();
    for stream in (1..).step_by(2) {
        let mut octets = frame(HEADERS, END_HEADERS | END_STREAM, stream, &get_block("/slow/5000", &[]));
        octets.extend(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
        if client.try_send(&octets).is_err() {
            break;
        }
        assert!(begun.elapsed() < DEADLINE, "resets go on");
    }
    // Streams that usher has to reset itself: trailers without an end.
    let mut client = frames::connect(usher.https());
    let fields = get_block("/slow/5000", &[]);
    for stream in (1..).step_by(2) {
        let octets =
            [&fields, &block(&[("a", "b")])].map(|block| frame(HEADERS, END_HEADERS, stream, block)).concat();
        if client.try_send(&octets).is_err() {
            break;
        }
        assert!(begun.elapsed() < DEADLINE, "resets go on");
    }
    // A block of fields without an end.
    let mut client = frames::connect(usher.https());
    client.send(frame(HEADERS, END_STREAM, 1, &get_block("/", &[])));
    ends(client, &frame(CONTINUATION, 0, 1, &block(&[("a", "b")])));
    other.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &get_block("/", &[])));
    assert_eq!(other.outcome(1), Ok(200));
}

#[test]
fn a_stream_that_stands_still_is_reset_alone() {
    // 59
    let setup = Setup::new().limits("http_stalled = \"600ms\"");
    let (usher, _web) = door(setup);
    // A window of no octets on every stream.
    let mut client = frames::connect_with(usher.https(), &[(4, 0)]);
    client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &get_block("/download/1000000", &[])));
    assert_eq!(client.outcome(1), Ok(200));
    assert_eq!(client.outcome(1), Err(8), "CANCEL");
    client.send(frame(HEADERS, END_HEADERS | END_STREAM, 3, &get_block("/fine", &[])));
    client.send(frame(WINDOW_UPDATE, 0, 3, &[0, 1, 0, 0]));
    assert_eq!(client.outcome(3), Ok(200));
    assert_eq!(client.frame_of(3).kind, DATA);
    // Fields beyond 32 KiB.
    let long = "v".repeat(16_000);
    let fields = get_block("/", &[("a", &long), ("b", &long), ("c", &long)]);
    let (first, rest) = fields.split_at(16_000);
    let mut octets = frame(HEADERS, END_STREAM, 5, first);
    for (at, part) in rest.chunks(16_000).enumerate() {
        let flags = if (at + 1) * 16_000 >= rest.len() { END_HEADERS } else { 0 };
        octets.extend(frame(CONTINUATION, flags, 5, part));
    }
    let mut client = frames::connect(usher.https());
    let octets = octets.chunks(1).map(|octet| octet[0]).collect::<Vec<_>>();
    client.try_send(&replace_stream(octets, 1)).unwrap();
    let outcome = client.outcome(1);
    assert!(matches!(outcome, Ok(431) | Err(_)), "{outcome:?}");
}

/// The same frames on another stream.
fn replace_stream(mut octets: Vec<u8>, stream: u32) -> Vec<u8> {
    let mut at = 0;
    while at < octets.len() {
        let length = u32::from_be_bytes([0, octets[at], octets[at + 1], octets[at + 2]]) as usize;
        octets[at + 5..at + 9].copy_from_slice(&stream.to_be_bytes());
        at += 9 + length;
    }
    octets
}

#[test]
fn a_body_is_asked_for_when_the_backend_wants_it() {
    // 50: a backend that refuses early, one that says 100, and one that says nothing of it
    for (script, status, sends) in [
        ("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno", 401, false),
        ("HTTP/1.1 100 Continue\r\n\r\n", 200, true),
        ("", 200, true),
    ] {
        let setup = Setup::new();
        let backend = Scripted::start(setup.at(8450), move |mut conn| {
            while conn.line().is_some_and(|line| !line.is_empty()) {}
            conn.send(script);
            if sends {
                assert_eq!(conn.octets(5), b"hello");
                conn.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes");
            }
            conn.rest();
        });
        let usher = with_array(setup, "").start();
        let mut client = connect(usher.https());
        client.send(post("Expect: 100-continue\r\nContent-Length: 5\r\n", ""));
        if sends {
            assert_eq!(client.one_answer(false).status, 100);
            client.send("hello");
        }
        let answer: Answer = client.http_answer();
        assert_eq!((answer.status, answer.closes()), (status, !sends), "{answer:?}");
        let heard = String::from_utf8(backend.heard()).unwrap().to_lowercase();
        assert!(heard.contains("expect: 100-continue\r\n"), "{heard}");
        assert_eq!(heard.contains("hello"), sends);
        // Nothing of the exchange is left, though a body never came.
        drop(client);
        usher.wait_until("/v1/sessions", |shown| shown["matching"] == 0);
        let until = Instant::now() + DEADLINE;
        let open = || {
            usher.ask("GET", "/metrics", None).unwrap().1.as_str().unwrap().contains("usher_connections 0")
        };
        while !open() {
            assert!(Instant::now() < until, "a connection is left");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

#[test]
fn who_waits_for_a_word_over_http2_gets_it() {
    let (usher, _web) = door(Setup::new());
    let mut client = frames::connect(usher.https());
    let fields = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "mail.test"),
        (":path", "/upload"),
        ("expect", "100-continue"),
        ("content-length", "3"),
    ];
    client.send(frame(HEADERS, END_HEADERS, 1, &block(&fields)));
    assert_eq!(client.outcome(1), Ok(100));
    client.send(frame(DATA, END_STREAM, 1, b"abc"));
    assert_eq!(client.outcome(1), Ok(200));
    // Who does not wait is told nothing but the answer.
    let both = [frame(HEADERS, END_HEADERS, 3, &block(&fields)), frame(DATA, END_STREAM, 3, b"abc")].concat();
    client.send(both);
    assert_eq!(client.outcome(3), Ok(200));
    // A fragment belongs to nobody but the client.
    client.send(frame(HEADERS, END_HEADERS | END_STREAM, 5, &get_block("/a#b", &[])));
    assert_eq!(client.outcome(5), Err(PROTOCOL_ERROR));
}

#[test]
fn interim_responses_are_passed_on() {
    let setup = Setup::new();
    let _backend = Scripted::start(setup.at(8450), |mut conn| {
        while conn.line().is_some_and(|line| !line.is_empty()) {}
        conn.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        std::thread::sleep(std::time::Duration::from_millis(100));
        // 134: and two that come together with the answer, in their order
        conn.send(
            "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 104 Upload Resumption Supported\r\nLink: </b>\r\n\r\n\
             HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        );
    });
    let usher = with_array(setup, "").start();
    let mut client = connect(usher.https());
    client.send(get("/", ""));
    let hints = client.one_answer(false);
    assert_eq!((hints.status, hints.header("link")), (103, Some("</a>")));
    assert_eq!(client.one_answer(false).status, 102);
    let hints = client.one_answer(false);
    assert_eq!((hints.status, hints.header("link")), (104, Some("</b>")));
    assert_eq!(client.one_answer(false).text(), "ok");
    let mut client = frames::connect(usher.https());
    client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &get_block("/", &[])));
    assert_eq!([(); 4].map(|()| client.outcome(1)), [Ok(103), Ok(102), Ok(104), Ok(200)]);
}

#[test]
fn octets_become_a_tunnel_only_after_the_backend_has_switched() {
    // 51
    let (usher, web) = door(Setup::new());
    let upgrade = "Connection: Upgrade\r\nUpgrade: echo\r\n";
    let mut client = connect(usher.https());
    client.send(get("/tunnel", upgrade) + "GET /hidden HTTP/1.1\r\nHost: mail.test\r\n\r\n");
    let answer = client.http_answer();
    assert_eq!((answer.status, answer.header("upgrade")), (101, Some("echo")));
    let hidden = "GET /hidden HTTP/1.1\r\nHost: mail.test\r\n\r\n";
    assert_eq!(client.octets(hidden.len()), hidden.as_bytes(), "the tunnel's, sent back");
    client.send([0, 1, 2, 255]);
    assert_eq!(client.octets(4), [0, 1, 2, 255]);
    usher.wait_until("/v1/sessions", |shown| {
        shown["matching"] == 1 && shown["sessions"][0]["protocol"] == "https"
    });
    client.half_close();
    assert_eq!(client.rest().0, "");
    usher.wait_until("/v1/sessions", |shown| shown["matching"] == 0);
    // A backend that does not switch: what follows is the next request.
    let setup = Setup::new();
    let backend = Scripted::start(setup.at(8450), |mut conn| {
        while conn.line().is_some_and(|line| !line.is_empty()) {}
        conn.send("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    });
    let usher = with_array(setup, "").start();
    let mut client = connect(usher.https());
    client.send(get("/tunnel", upgrade) + &get("/next", ""));
    assert_eq!(client.http_answer().status, 426);
    assert_eq!(client.http_answer().status, 426);
    let heard = String::from_utf8(backend.heard()).unwrap();
    assert!(heard.contains("GET /tunnel") && heard.contains("GET /next HTTP/1.1\r\n"), "{heard}");
    assert!(!web.asked().iter().any(|asked| asked.contains("hidden")));
}

#[test]
fn extended_connect_becomes_an_upgrade() {
    let (usher, web) = door(Setup::new());
    let mut client = frames::connect(usher.https());
    let fields = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":authority", "mail.test"),
        (":path", "/chat"),
        ("sec-websocket-version", "13"),
    ];
    client.send(frame(HEADERS, END_HEADERS, 1, &block(&fields)));
    assert_eq!(client.outcome(1), Ok(200));
    client.send(frame(DATA, 0, 1, b"over and back"));
    let back = client.frame_of(1);
    assert_eq!((back.kind, back.payload.as_slice()), (DATA, b"over and back".as_slice()));
    client.send(frame(DATA, END_STREAM, 1, b""));
    assert_eq!(client.frame_of(1).flags & END_STREAM, END_STREAM);
    // A tunnel has no body: its octets would be the beginning of somebody else's request.
    let fields = [&fields[..], &[("content-length", "5")]].concat();
    let mut client = frames::connect(usher.https());
    client.send(frame(HEADERS, END_HEADERS, 1, &block(&fields)));
    assert!(matches!(client.outcome(1), Err(PROTOCOL_ERROR) | Ok(400)));
    // And a page of usher's own is no tunnel.
    let page: Vec<_> = fields
        .iter()
        .filter(|(name, _)| *name != "content-length")
        .map(|(name, value)| (*name, if *name == ":path" { "/healthcheck.htm" } else { *value }))
        .collect();
    let mut client = frames::connect(usher.https());
    client.send(frame(HEADERS, END_HEADERS, 1, &block(&page)));
    assert_eq!(client.outcome(1), Ok(200), "the backend has switched");
    assert!(web.asked().contains(&"GET /healthcheck.htm".to_owned()));
}

#[test]
fn garbage_and_other_protocols_are_nobodys_request() {
    let (usher, web) = door(Setup::new());
    for garbage in ["\r\n\r\n", "a LOGIN anna secret\r\n", "\0\0\0\0\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    {
        let status = refused(&usher, garbage);
        assert!(matches!(status, 400 | 505), "{garbage:?}: {status}");
    }
    assert!(web.asked().is_empty());
    assert_eq!(usher.setup.at(HTTPS), usher.https());
    assert_eq!(ask(usher.https(), get("/", &basic("x"))).status, 401);
}

#[test]
fn values_of_http2_have_no_blank_ends() {
    // 100: one reader takes them off, another does not, and a login of a connection is taken for none
    let (usher, web) = door(Setup::new());
    let blanks = [" NTLM x", "\tNTLM x", "NTLM x ", "NTLM x\t", " ", "\t", " Negotiate x"];
    for (name, value) in
        blanks.iter().flat_map(|value| [("authorization", value), ("a", value), ("cookie", value)])
    {
        let mut client = frames::connect(usher.https());
        client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &get_block("/", &[(name, value)])));
        assert_eq!(client.outcome(1), Err(PROTOCOL_ERROR), "{name}: {value:?}");
        // The connection goes on.
        client.send(frame(
            HEADERS,
            END_HEADERS | END_STREAM,
            3,
            &get_block("/fine", &[(name, value.trim())]),
        ));
        let login = name == "authorization" && !value.trim().is_empty();
        assert_eq!(client.outcome(3), if login { Err(0xd) } else { Ok(200) }, "{name}: {value:?}");
    }
    assert!(!web.asked().contains(&"GET /".to_owned()), "{:?}", web.asked());
    let post = [(":method", "POST"), (":scheme", "https"), (":authority", "mail.test"), (":path", "/post")];
    for value in [" v", "v ", "\tv", "v\t"] {
        let mut client = frames::connect(usher.https());
        client.send(frame(HEADERS, END_HEADERS, 1, &block(&post)));
        client.send(frame(DATA, 0, 1, b"abc"));
        client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[("x-sum", value)])));
        assert_eq!(client.outcome(1), Err(PROTOCOL_ERROR), "in trailers: {value:?}");
    }
    let connect =
        [&post[1..3], &[(":method", "CONNECT"), (":path", "/"), (":protocol", "websocket ")]].concat();
    let mut client = frames::connect(usher.https());
    client.send(frame(HEADERS, END_HEADERS, 1, &block(&connect)));
    assert_eq!(client.outcome(1), Err(PROTOCOL_ERROR));
    // HTTP/1.1 has them, and they mean nothing.
    let seen = ask(usher.https(), get("/", "Authorization: \t NTLM x \t\r\nA: \tb \r\n")).json();
    assert_eq!(seen["headers"]["a"][0], "b");
    assert_eq!(seen["headers"]["authorization"][0], "NTLM x");
}

#[test]
fn only_what_is_allowed_becomes_a_tunnel() {
    // 101
    let (usher, web) = door(Setup::new());
    for (protocol, path) in [
        ("h2c", "/"),
        ("H2C", "/tunnel"),
        ("h2c/1", "/"),
        ("connect-udp", "/"),
        ("echo", "/elsewhere"),
        ("websocket/13", "/"),
        ("websocket, h2c", "/"),
        ("", "/"),
    ] {
        let fields = [
            (":method", "CONNECT"),
            (":protocol", protocol),
            (":scheme", "https"),
            (":authority", "mail.test"),
            (":path", path),
        ];
        let mut client = frames::connect(usher.https());
        client.send(frame(HEADERS, END_HEADERS, 1, &block(&fields)));
        assert_eq!(client.outcome(1), Ok(501), "{protocol:?}");
    }
    assert_eq!(web.asked(), Vec::<String>::new());
    let with = |path: &str, upgrade: &str| get(path, &format!("Connection: Upgrade\r\n{upgrade}\r\n"));
    for upgrade in [
        "Upgrade: h2c",
        "Upgrade: H2C, h2c/1",
        "Upgrade: h2c;q=1",
        "Upgrade: echo",
        "Upgrade: websocket/13",
        "Upgrade: websocket;x",
        "Upgrade: web socket",
        "Upgrade:",
    ] {
        let answer = ask(usher.https(), with("/", upgrade));
        assert_eq!(answer.status, 200, "{upgrade}");
        assert_eq!(answer.json()["headers"].get("upgrade"), None, "{upgrade}");
    }
    for (path, upgrade, protocol) in [
        ("/", "Upgrade: h2c, WebSocket", "WebSocket"),
        ("/", "Upgrade: h2c\r\nUpgrade: foo/1, websocket, bar", "websocket"),
        ("/Tunnel/x", "Upgrade: h2c, ECHO/2", "ECHO/2"),
    ] {
        let mut client = connect(usher.https());
        client.send(with(path, upgrade));
        let answer = client.http_answer();
        assert_eq!((answer.status, answer.header("upgrade")), (101, Some(protocol)), "{upgrade}");
        client.send("over");
        assert_eq!(client.octets(4), b"over");
    }
    // A backend that switches to something else has not switched.
    let setup = Setup::new();
    let _backend = Scripted::start(setup.at(8450), |mut conn| {
        while conn.line().is_some_and(|line| !line.is_empty()) {}
        conn.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n");
        conn.rest();
    });
    let usher = with_array(setup, "").start();
    assert_eq!(ask(usher.https(), with("/", "Upgrade: websocket, h2c")).status, 502);
}

#[test]
fn an_empty_body_is_another_one_than_none() {
    // 130, 182
    let (usher, _web) = door(Setup::new());
    let zero = serde_json::json!(["0"]);
    let length = |request: String| ask(usher.https(), request).json()["headers"]["content-length"].clone();
    assert_eq!(length(post("Content-Length: 0\r\n", "")), zero);
    assert_eq!(length(post("", "")), serde_json::Value::Null);
    assert_eq!(length(get("/", "Content-Length: 0\r\n")), zero);
    for (method, fields, expected) in [
        ("POST", &[][..], zero.clone()),
        ("PUT", &[], zero.clone()),
        ("POST", &[("content-length", "0")], zero.clone()),
        ("GET", &[], serde_json::Value::Null),
        ("DELETE", &[("content-length", "0")], zero),
    ] {
        let mut client = frames::connect(usher.https());
        let pseudo = [(":method", method), (":scheme", "https"), (":authority", "mail.test"), (":path", "/")];
        client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[&pseudo, fields].concat())));
        let seen = loop {
            let next = client.frame_of(1);
            if next.kind == DATA {
                break serde_json::from_slice::<serde_json::Value>(&next.payload).unwrap();
            }
        };
        assert_eq!(seen["headers"]["content-length"], expected, "{method} {fields:?}");
        assert_eq!(seen["octets"], 0);
    }
}

#[test]
fn every_octet_of_a_target_goes_on_as_it_is_or_is_refused_in_the_open() {
    // 132
    let (usher, _web) = door(Setup::new());
    let mut refused = 0;
    for octet in (b'!'..=b'~').filter(|octet| *octet != b'#') {
        let c = char::from(octet);
        for target in [format!("/a{c}b"), format!("/a?b{c}c")] {
            let answer = ask(usher.https(), get(&target, ""));
            match answer.status {
                200 => assert_eq!(answer.json()["target"], target.as_str()),
                // A backslash and half an escape have no one meaning in a path.
                400 => {
                    assert!(matches!(c, '<' | '>' | '`' | '"' | '\\' | '%'), "{target}");
                    let id = answer.header("x-request-id").expect("an id").to_owned();
                    usher.wait_for_log(&id);
                    refused += 1;
                }
                other => panic!("{target}: {other}"),
            }
        }
    }
    assert_eq!(refused, 2 + 2 + 1 + 1 + 1 + 1);
    assert!(!usher.log().contains("codec"));
}

#[test]
fn who_names_no_host_gets_what_is_the_same_for_everybody() {
    // 131, with HAProxy's default check; 190
    let setup = Setup::new();
    let address = setup.at(8450);
    let web = Web::start("m.test", address, None);
    let clear = setup.at(8080);
    let usher = with_listener(setup, &format!("redirect_from = \"{clear}\""), "").start();
    let answer = ask(usher.https(), "OPTIONS /healthcheck.htm HTTP/1.0\r\n\r\n");
    assert_eq!(answer.status, 200);
    for request in
        ["OPTIONS / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\n\r\n", "GET /healthcheck.htm HTTP/1.1\r\n\r\n"]
    {
        assert_eq!(ask(usher.https(), request).status, 400, "{request:?}");
    }
    assert!(web.asked().is_empty());
    let haproxy = Haproxy::in_front_of(usher.setup.at(8081), clear);
    let begun = Instant::now();
    while haproxy.check_of_server() != "L7OK 308" && begun.elapsed() < DEADLINE {
        std::thread::yield_now();
    }
    assert_eq!(haproxy.check_of_server(), "L7OK 308");
    let port = usher.https().port();
    let redirected = |request: &str| {
        let mut client = Client::plain(clear);
        client.send(request);
        let answer = client.one_answer(request.starts_with("HEAD"));
        (answer.status, answer.header("location").map(str::to_owned))
    };
    let there = |host: &str, path: &str| Some(format!("https://{host}:{port}{path}"));
    for (request, status, location) in [
        ("OPTIONS / HTTP/1.0\r\n\r\n", 308, there("mail.test", "/")),
        ("GET /x?y HTTP/1.1\r\nHost: mail.test:8080\r\n\r\n", 301, there("mail.test", "/x?y")),
        ("GET /x HTTP/1.1\r\nHost: evil.test\r\n\r\n", 301, there("mail.test", "/x")),
        ("GET /x HTTP/1.1\r\nHost: example.com\r\n\r\n", 301, there("example.com", "/x")),
        ("GET http://mail.test/x HTTP/1.1\r\nHost: mail.test\r\n\r\n", 301, there("mail.test", "/x")),
        ("GET http://mail.test?y HTTP/1.1\r\nHost: mail.test\r\n\r\n", 301, there("mail.test", "/?y")),
        ("HEAD / HTTP/1.1\r\nHost: mail.test\r\n\r\n", 301, there("mail.test", "/")),
        ("OPTIONS * HTTP/1.1\r\nHost: mail.test\r\n\r\n", 400, None),
        ("GET https://mail.test/ HTTP/1.1\r\nHost: mail.test\r\n\r\n", 400, None),
    ] {
        assert_eq!(redirected(request), (status, location), "{request:?}");
    }
}

#[test]
fn targets_in_other_forms_are_what_they_say() {
    // 136, 143
    let (usher, _web) = door(Setup::new());
    for (request, target) in [
        ("OPTIONS * HTTP/1.1\r\nHost: mail.test\r\n\r\n", "*"),
        ("OPTIONS https://mail.test HTTP/1.1\r\nHost: mail.test\r\n\r\n", "*"),
        ("GET https://mail.test?a=b HTTP/1.1\r\nHost: mail.test\r\n\r\n", "/?a=b"),
        ("GET /;jsessionid=1A2B HTTP/1.1\r\nHost: mail.test:\r\n\r\n", "/;jsessionid=1A2B"),
    ] {
        let answer = ask(usher.https(), request);
        assert_eq!(answer.status, 200, "{request:?}");
        assert_eq!(answer.json()["target"], target, "{request:?}");
    }
    assert_eq!(ask(usher.https(), get("/..;/x", "")).status, 400);
    let mut client = frames::connect(usher.https());
    let options = [(":method", "OPTIONS"), (":scheme", "https"), (":authority", "mail.test"), (":path", "*")];
    client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&options)));
    assert_eq!(client.outcome(1), Ok(200));
    let long = [
        (":method", "X".repeat(33)),
        (":scheme", "https".into()),
        (":authority", "mail.test".into()),
        (":path", "/".into()),
    ];
    let long: Vec<(&str, &str)> = long.iter().map(|(name, value)| (*name, value.as_str())).collect();
    client.send(frame(HEADERS, END_HEADERS | END_STREAM, 3, &block(&long)));
    assert_eq!(client.outcome(3), Ok(400));
    assert_eq!(
        ask(usher.https(), format!("{} / HTTP/1.1\r\nHost: mail.test\r\n\r\n", "X".repeat(33))).status,
        400
    );
}

#[test]
fn what_head_gets_has_no_content() {
    // 137
    let (usher, _web) = door(Setup::new());
    for request in [
        "HEAD /#a HTTP/1.1\r\nHost: mail.test\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: mail.test\r\nA : b\r\n\r\n",
        "HEAD / HTTP/1.1\r\n\r\n",
        "HEAD /../x HTTP/1.1\r\nHost: mail.test\r\nConnection: close\r\n\r\n",
    ] {
        let mut client = connect(usher.https());
        client.send(request);
        let said = client.rest().0;
        assert!(said.starts_with("HTTP/1.1 400") && said.ends_with("\r\n\r\n"), "{request:?}: {said:?}");
        assert!(said.to_lowercase().contains("content-length"), "{said:?}");
    }
}

#[test]
fn limits_of_heads_are_the_operators() {
    // 142, 191
    let (usher, _web) =
        door(Setup::new().limits("http_head = \"64KiB\"\nhttp_target = \"20KiB\"\nhttp_fields = 40"));
    let kerberos = format!("Cookie: {}\r\n", "a".repeat(48 * 1024));
    assert_eq!(ask(usher.https(), get("/", &kerberos)).status, 200);
    assert_eq!(ask(usher.https(), get(&format!("/?{}", "a".repeat(19_000)), "")).status, 200);
    assert_eq!(ask(usher.https(), get(&format!("/?{}", "a".repeat(21_000)), "")).status, 414);
    // Host is the fortieth.
    assert_eq!(ask(usher.https(), get("/", &"A: b\r\n".repeat(39))).status, 200);
    assert_eq!(ask(usher.https(), get("/", &"A: b\r\n".repeat(40))).status, 431);
    let (usher, web) = door(Setup::new());
    let ninety: String = (0..89).map(|at| format!("A{at}: b\r\n")).collect();
    let answer = ask(usher.https(), get("/", &ninety));
    assert!(answer.json()["headers"].as_object().unwrap().len() <= 100);
    assert_eq!(ask(usher.https(), get("/", &format!("{ninety}B: c\r\n"))).status, 431);
    assert_eq!(web.asked().len(), 1);
}

#[test]
fn paths_have_their_own_ways() {
    // 139, 143, 144, 184
    let setup = Setup::new().limits("http_stalled = \"300ms\"\nhttp_min_rate = \"1KiB\"");
    let address = setup.at(8450);
    let _web = Web::start("m.test", address, None);
    let usher = with_array(
        setup,
        "via = false\n[[https.path]]\nprefix = \"/rpc\"\nhttp_stalled = \"20s\"\nhttp_min_rate = \"0KiB\"\n\
         lenient_paths = true\nrequest_trailers = true",
    )
    .start();
    let slowly = |path: &str| {
        let mut client = connect(usher.https());
        client
            .send(format!("POST {path} HTTP/1.1\r\nHost: mail.test\r\nContent-Length: 20\r\n\r\n0123456789"));
        usher.wait_for_log("serving");
        std::thread::sleep(std::time::Duration::from_millis(700));
        client.send("0123456789");
        client.http_answer()
    };
    assert_eq!(slowly("/rpc").json()["octets"], 20);
    assert_eq!(slowly("/other").status, 408);
    let answer = ask(usher.https(), get("/rpc//principals/", ""));
    assert_eq!(answer.json()["target"], "/rpc//principals/");
    assert_eq!(answer.json()["headers"]["via"], serde_json::Value::Null);
    assert_eq!(ask(usher.https(), get("/other//principals/", "")).status, 400);
    assert_eq!(ask(usher.https(), get("/rpc//../x", "")).status, 400);
    for (path, trailers) in [("/rpc", serde_json::json!(["1234"])), ("/other", serde_json::Value::Null)] {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: mail.test\r\nTransfer-Encoding: chunked\r\n\r\n\
             2\r\nhi\r\n0\r\nx-checksum: 1234\r\n\r\n"
        );
        let seen = ask(usher.https(), request).json();
        assert_eq!(seen["octets"], 2);
        assert_eq!(seen["trailers"]["x-checksum"], trailers, "{path}: {seen}");
    }
}

#[test]
fn readers_may_take_as_long_as_their_path_says() {
    // 139: of two who take nothing, one is patiently waited for
    let setup = Setup::new().limits("http_stalled = \"300ms\"");
    let address = setup.at(8450);
    let _web = Web::start("m.test", address, None);
    let patient = |path: &str| format!("[[https.path]]\nprefix = {path:?}\nhttp_stalled = \"60s\"\n");
    let usher = with_array(setup, &(patient("/download/30000") + &patient("/download/30000000"))).start();
    let mut two = frames::connect_with(usher.https(), &[(4, 0)]);
    for (stream, path) in [(1, "/download/30000"), (3, "/download/10000")] {
        two.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, &get_block(path, &[])));
        assert_eq!(two.outcome(stream), Ok(200));
    }
    assert_eq!(two.outcome(3), Err(8), "CANCEL");
    two.send(frame(WINDOW_UPDATE, 0, 1, &[0, 1, 0, 0]));
    assert_eq!(two.frame_of(1).kind, DATA);
    let ask = |path: &str| {
        let mut client = connect(usher.https());
        client.send(get(path, ""));
        client
    };
    let (mut patient, _other) = (ask("/download/30000000"), ask("/download/10000000"));
    usher.wait_for_log("/download/10000000");
    assert_eq!(patient.http_answer().body.len(), 30_000_000);
}

#[test]
fn a_front_has_a_name_of_its_own() {
    // 140
    for (trusted, status) in [("[\"127.0.0.0/8\"]", 200), ("[\"192.0.2.0/24\"]", 421)] {
        let setup = Setup::new();
        let address = setup.at(8450);
        let _web = Web::start("m.test", address, None);
        let usher = with_array(setup, &format!("trusted = {trusted}")).start();
        let request = "GET / HTTP/1.1\r\nHost: other.test\r\n\r\n";
        assert_eq!(ask(usher.https(), request).status, status);
    }
}

#[test]
fn http_1_0_is_negotiated_as_well() {
    // 183
    let (usher, _web) = door(Setup::new());
    let mut client = Client::plain(usher.https());
    client.try_start_tls(usher_tests::client::config_with_alpn(&["http/1.0"]), "mail.test").unwrap();
    client.send("GET / HTTP/1.0\r\nHost: mail.test\r\n\r\n");
    assert_eq!(client.http_answer().status, 200);
}

#[test]
fn own_answers_of_http_2_have_a_date() {
    // 190
    let (usher, _web) = door(Setup::new());
    let output = std::process::Command::new("curl")
        .args(["-sk", "--http2", "-D", "-", "-o", "/dev/null", "--resolve"])
        .arg(format!("mail.test:{}:{}", usher.https().port(), usher.https().ip()))
        .arg(format!("https://mail.test:{}/healthcheck.htm", usher.https().port()))
        .output()
        .unwrap();
    let head = String::from_utf8_lossy(&output.stdout).to_lowercase();
    assert!(
        head.starts_with("http/2 200") && head.contains("\r\ndate: ") && head.contains(" gmt\r\n"),
        "{head}"
    );
}

#[test]
fn small_messages_are_no_flood_and_a_flood_is_told_so() {
    // 180, 188
    let (usher, _web) = door(Setup::new());
    let mut client = frames::connect(usher.https());
    let settings = client.frame();
    assert_eq!(settings.kind, SETTINGS);
    let values: Vec<(u16, u32)> = settings
        .payload
        .chunks(6)
        .map(|it| (u16::from_be_bytes([it[0], it[1]]), u32::from_be_bytes([it[2], it[3], it[4], it[5]])))
        .collect();
    let value = |wanted| values.iter().find(|(id, _)| *id == wanted).map(|(_, value)| *value).unwrap();
    let (streams, window) = (value(3), value(4));
    let fields = [
        (":method", "CONNECT"),
        (":protocol", "echo"),
        (":scheme", "https"),
        (":authority", "mail.test"),
        (":path", "/tunnel"),
    ];
    client.send(frame(HEADERS, END_HEADERS, 1, &block(&fields)));
    let mut all = 65_535;
    loop {
        let next = client.frame();
        if next.kind == WINDOW_UPDATE && next.stream == 0 {
            all += u32::from_be_bytes(next.payload.try_into().unwrap());
        } else if next.kind == HEADERS {
            break;
        }
    }
    // A stream that stands still holds its own window and nobody else's.
    assert!(all >= streams * window, "{all} for {streams} of {window}");
    for at in 0..2000_u32 {
        let message = at.to_be_bytes();
        client.send(
            [
                frame(DATA, 0, 1, &message),
                frame(WINDOW_UPDATE, 0, 0, &4_u32.to_be_bytes()),
                frame(WINDOW_UPDATE, 0, 1, &4_u32.to_be_bytes()),
                frame(PING, 0, 0, &[0; 8]),
            ]
            .concat(),
        );
        let back = loop {
            let next = client.frame();
            if next.kind == DATA {
                break next;
            }
            assert!(matches!(next.kind, PING | WINDOW_UPDATE | SETTINGS), "{at}: {next:?}");
        };
        assert_eq!(back.payload, message);
    }
    let mut client = frames::connect(usher.https());
    client.send(frame(PING, 0, 0, &[0; 8]).repeat(3000));
    let last = loop {
        let next = client.frame();
        if next.kind == frames::GOAWAY {
            break next;
        }
    };
    assert_eq!(last.payload[4..], [0, 0, 0, 0xb], "ENHANCE_YOUR_CALM");
    usher.wait_for_log("cause=\"flood\"");
}
