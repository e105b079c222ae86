//! What a strict reader of HTTP/1 takes, and what it does not.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use proptest::prelude::*;
use usher_wire::http1::{Awaits, Caps, Expected, Fault, RequestReader, ResponseReader, Scheme};

/// What goes on of `input`, read in pieces of `piece` octets, and the fault that ends it.
fn read(input: &[u8], piece: usize) -> (Vec<u8>, Option<Fault>, RequestReader) {
    let (mut reader, mut out) = (RequestReader::new(Caps::REQUEST, Scheme::Https), Vec::new());
    for part in input.chunks(piece) {
        if let Err(fault) = reader.read(part, &mut out) {
            return (out, Some(fault), reader);
        }
    }
    (out, None, reader)
}

fn status(input: &str) -> Option<u16> {
    let whole = read(input.as_bytes(), usize::MAX);
    let pieces = read(input.as_bytes(), 1);
    assert_eq!(whole.1, pieces.1, "{input:?}");
    whole.1.map(Fault::status)
}

fn get(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n")
}

fn post(fields: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n{body}")
}

#[test]
fn good_requests_go_on_as_they_are() {
    for input in [
        get(""),
        get("A: b\r\nC:d\r\nE: \t f \t\r\nEmpty:\r\nHigh: \u{e9}\r\n"),
        get("").repeat(3),
        post("Content-Length: 5\r\n", "hello") + &get(""),
        post("Content-Length: 0\r\n", "") + &get(""),
        post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n") + &get(""),
        post("transfer-encoding: Chunked\r\n", "A;x=\"y\";z\r\n0123456789\r\n00\r\nA: b\r\n\r\n"),
        post("Expect: 100-Continue\r\nContent-Length: 1\r\n", "x"),
        "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
        "GET / HTTP/1.0\r\n\r\n".to_owned(),
        "GET /\"{|}^[]\\?`{|}^[]\\ HTTP/1.1\r\nHost: h:\r\n\r\n".to_owned(),
        "PROPFIND /a?b=c/../d HTTP/1.0\r\nHost: [::1]:8443\r\n\r\n".to_owned(),
        get("Upgrade: h2c\r\nConnection: upgrade\r\n"),
    ] {
        assert_eq!(status(&input), None, "{input:?}");
        assert_eq!(String::from_utf8_lossy(&read(input.as_bytes(), 7).0), input);
    }
    // What is in absolute form goes on in origin form.
    for (written, target) in [
        ("GET https://H:443/x", "GET /x"),
        ("GET https://h", "GET /"),
        ("GET https://h?a=b", "GET /?a=b"),
        ("OPTIONS https://h", "OPTIONS *"),
        ("OPTIONS https://h/", "OPTIONS /"),
        ("OPTIONS HTTPS://h:?x", "OPTIONS /?x"),
    ] {
        let (out, fault, _) = read(format!("{written} HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n").as_bytes(), 5);
        let expected = format!("{target} HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n");
        assert_eq!((String::from_utf8_lossy(&out).into_owned(), fault), (expected, None));
    }
    // One line end behind a message is forgiven, and does not go on.
    let (out, fault, _) = read(format!("\r\n{}", get("")).as_bytes(), 1);
    assert_eq!((out, fault), (get("").into_bytes(), None));
}

#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    let chunked = "Transfer-Encoding: chunked\r\n";
    for (input, expected) in [
        // 41
        (post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", ""), 400),
        (post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", ""), 400),
        // 42
        (post("Content-Length: 5\r\nContent-Length: 5\r\n", ""), 400),
        (post("Content-Length: 5, 5\r\n", ""), 400),
        (post("Content-Length: 01\r\n", ""), 400),
        (post("Content-Length: +1\r\n", ""), 400),
        (post("Content-Length: 0x1\r\n", ""), 400),
        (post("Content-Length: \r\n", ""), 400),
        (post("Content-Length: -1\r\n", ""), 400),
        (post("Content-Length: 1 1\r\n", ""), 400),
        (post("Content-Length: 9223372036854775808\r\n", ""), 400),
        (post("Content-Length: 99999999999999999999\r\n", ""), 400),
        // 43
        (post("Transfer-Encoding: ,chunked\r\n", ""), 400),
        (post("Transfer-Encoding: identity, chunked\r\n", ""), 400),
        (post("Transfer-Encoding: chunked, chunked\r\n", ""), 400),
        (post("Transfer-Encoding: chunked, identity\r\n", ""), 400),
        (post("Transfer-Encoding: chunked, gzip\r\n", ""), 400),
        (post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", ""), 400),
        (post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", ""), 400),
        (post("Transfer-Encoding: \u{b}chunked\r\n", ""), 400),
        (post("Transfer-Encoding: x chunked\r\n", ""), 400),
        (post("Transfer-Encoding:\r\n", ""), 400),
        (post("Transfer-Encoding: gzip, chunked\r\n", ""), 501),
        (post("Transfer-Encoding: gzip\r\n", ""), 501),
        ("POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), 400),
        // 44
        ("GET / HTTP/1.1\nHost: h\n\n".to_owned(), 400),
        (get("A: b\nC: d\r\n"), 400),
        (get("A: b\r\n c\r\n"), 400),
        (get("A: b\0c\r\n"), 400),
        (get("A: b\rc\r\n"), 400),
        (get("A : b\r\n"), 400),
        (get(": b\r\n"), 400),
        (get("A b\r\n"), 400),
        (get("A(: b\r\n"), 400),
        // 45
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        (get("Host: h\r\n"), 400),
        ("GET / HTTP/1.1\r\nHost: \r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: u@h\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: h:99999\r\n\r\n".to_owned(), 400),
        ("GET https://other/ HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 400),
        ("GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 400),
        ("GET https://other?a HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 400),
        ("GET /<x> HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 400),
        ("GET /` HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 400),
        ("GET /?\" HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 400),
        // 46
        ("TRACE / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 405),
        ("CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 405),
        ("GET * HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 400),
        // 47
        ("GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 400),
        ("GET a HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 400),
        ("GET /\u{e4} HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 400),
        ("GET  / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 400),
        ("GET /\t HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/2.0\r\nHost: h\r\n\r\n".to_owned(), 505),
        ("GET / http/1.1\r\nHost: h\r\n\r\n".to_owned(), 400),
        ("\r\n\r\n".to_owned(), 400),
        // 48
        (post(chunked, "1 \r\nx\r\n"), 400),
        (post(chunked, "0x1\r\nx\r\n"), 400),
        (post(chunked, "+1\r\nx\r\n"), 400),
        (post(chunked, "\r\nx\r\n"), 400),
        (post(chunked, "8000000000000000\r\nx\r\n"), 400),
        (post(chunked, "10000000000000001\r\nx\r\n"), 400),
        (post(chunked, "1;a\nb\r\nx\r\n"), 400),
        (post(chunked, "1\nx\r\n"), 400),
        (post(chunked, "1\r\nxy\r\n"), 400),
        (post(chunked, "1\r\nx\n"), 400),
        (post(chunked, "0\r\nA : b\r\n\r\n"), 400),
        (post(chunked, &format!("1;{}\r\nx\r\n", "e".repeat(2000))), 400),
        // 50
        (post("Expect: 200-ok\r\n", ""), 417),
        // 53
        (get(&format!("A: {}\r\n", "b".repeat(40_000))), 431),
        (get(&"A: b\r\n".repeat(90)), 431),
        (format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(9000)), 414),
        (format!("GET /{}", "a".repeat(9000)), 414),
    ] {
        assert_eq!(status(&input), Some(expected), "{:?}", &input[..input.len().min(200)]);
    }
}

#[test]
fn nothing_of_a_bad_head_goes_on() {
    let (out, fault, _) = read(format!("{}GET /#x HTTP/1.1\r\nHost: h\r\n\r\n", get("")).as_bytes(), 1000);
    assert_eq!((out, fault), (get("").into_bytes(), Some(Fault::Malformed("target"))));
}

#[test]
fn octets_behind_an_upgrade_wait_for_its_answer() {
    let head = get("Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n");
    for (switched, expected) in [(true, "GET / nonsense"), (false, "")] {
        let (mut reader, mut out) = (RequestReader::new(Caps::REQUEST, Scheme::Https), Vec::new());
        let input = format!("{head}GET / nonsense");
        let taken = reader.read(input.as_bytes(), &mut out).unwrap();
        assert_eq!((taken, reader.awaits()), (head.len(), Awaits::Switch));
        assert_eq!(reader.read(b"x", &mut out), Ok(0));
        reader.switched(switched);
        out.clear();
        reader.read(b"GET / nonsense", &mut out).unwrap();
        assert_eq!(out, expected.as_bytes());
    }
}

fn response(input: &str, expected: Expected) -> Result<Vec<u8>, Fault> {
    let mut results = [1, 7, usize::MAX].map(|piece| {
        let (mut reader, mut out) = (ResponseReader::default(), Vec::new());
        reader.expect(expected);
        input.as_bytes().chunks(piece).try_for_each(|part| reader.read(part, &mut out)).map(|()| out)
    });
    assert_eq!(results[0], results[1]);
    assert_eq!(results[1], results[2]);
    std::mem::replace(&mut results[0], Ok(Vec::new()))
}

#[test]
fn responses() {
    let good = [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.0 200 OK\r\n\r\nto the end",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nanything at all",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n",
    ];
    for input in good {
        assert_eq!(response(input, Expected::Any), Ok(input.as_bytes().to_vec()), "{input:?}");
    }
    // What requests may not have is mended.
    for (input, mended) in [
        (
            "HTTP/1.1 200 a : b\r\nContent-Length : 2\r\nA \t: b : c\r\n\r\nhi",
            "HTTP/1.1 200 a : b\r\nContent-Length: 2\r\nA: b : c\r\n\r\nhi",
        ),
        (
            "HTTP/1.1 200 OK\r\nA: b\r\n\t c\r\n \r\nContent-Length: 2\r\n\r\nhi",
            "HTTP/1.1 200 OK\r\nA: b c \r\nContent-Length: 2\r\n\r\nhi",
        ),
        (
            "HTTP/1.1 103 Early\r\nLink : x\r\n\r\nHTTP/1.1 204 No\r\nB : c\r\n\r\n",
            "HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 204 No\r\nB: c\r\n\r\n",
        ),
    ] {
        assert_eq!(response(input, Expected::Any), Ok(mended.as_bytes().to_vec()), "{input:?}");
    }
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2 \t\r\nhi\r\n2 ;x\r\nho\r\n0 \r\n\r\n";
    assert_eq!(response(chunked, Expected::Any), Ok(chunked.as_bytes().to_vec()));
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
    assert_eq!(response(head, Expected::HeadOnly), Ok(head.as_bytes().to_vec()));
    let many = "HTTP/1.1 102 Processing\r\n\r\n".repeat(1000);
    let bad = [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi!",
        "HTTP/1.1 200 OK\r\nContent-Length : 2\r\nContent-Length: 3\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\n : 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n 2\r\nhi\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2 2\r\nhi\r\n",
        "HTTP/1.1 204 No\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 2\n\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 +20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "SSH-2.0-OpenSSH\r\n\r\n",
        many.as_str(),
    ];
    for input in bad {
        assert!(response(input, Expected::Any).is_err(), "{:?}", &input[..input.len().min(100)]);
    }
    assert!(response("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", Expected::HeadOnly).is_err());
    assert!(ResponseReader::default().read(b"H", &mut Vec::new()).is_err(), "nothing was asked");
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    let body = proptest::collection::vec(any::<u8>(), 0..300);
    let name = "[A-Za-z-]{1,12}";
    (body, 0..3_u8, proptest::collection::vec((name, "[ -~]{0,20}"), 0..6)).prop_map(
        |(body, kind, fields)| {
            let framing = ["content-length", "transfer-encoding", "host", "expect", "upgrade", "connection"];
            let fields: String = fields
                .into_iter()
                .filter(|(name, _)| !framing.contains(&name.to_lowercase().as_str()))
                .map(|(name, value)| format!("{name}: {value}\r\n"))
                .collect();
            let (length, body) = match kind {
                0 => (String::new(), Vec::new()),
                1 => (format!("Content-Length: {}\r\n", body.len()), body),
                _ => {
                    let mut chunks = Vec::new();
                    for chunk in body.chunks(77) {
                        chunks.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                        chunks.extend_from_slice(chunk);
                        chunks.extend_from_slice(b"\r\n");
                    }
                    chunks.extend_from_slice(b"0\r\n\r\n");
                    ("Transfer-Encoding: chunked\r\n".to_owned(), chunks)
                }
            };
            [format!("PUT /x HTTP/1.1\r\nHost: h\r\n{fields}{length}\r\n").into_bytes(), body].concat()
        },
    )
}

proptest! {
    /// Good messages go on to the octet, wherever they are cut.
    #[test]
    fn good_messages_are_not_changed(messages in proptest::collection::vec(message(), 1..4), piece in 1_usize..400) {
        let input = messages.concat();
        let (out, fault, reader) = read(&input, piece);
        prop_assert_eq!(fault, None);
        prop_assert_eq!(out, input);
        prop_assert_eq!(reader.awaits(), Awaits::Head);
        prop_assert_eq!(reader.heads(), messages.len() as u64);
    }

    /// Whatever comes, the pieces it comes in make no difference, and nothing is made up.
    #[test]
    fn any_octets_are_judged_alike(
        mut input in message(),
        at in any::<prop::sample::Index>(),
        noise in proptest::collection::vec(any::<u8>(), 0..8),
    ) {
        let at = at.index(input.len());
        input.splice(at..at, noise);
        let whole = read(&input, usize::MAX);
        let pieces = read(&input, 1);
        prop_assert_eq!(whole.1, pieces.1);
        // Of a chunked body the octets of one reading go on together, or not at all.
        prop_assert!(pieces.0.starts_with(&whole.0));
        prop_assert!(input.starts_with(&pieces.0) || input.starts_with(b"\r\n"));
    }

    #[test]
    fn any_response_is_judged_alike(input in proptest::collection::vec(any::<u8>(), 0..400)) {
        let input = [b"HTTP/1.1 200 OK\r\n".as_slice(), &input].concat();
        let read = |piece: usize| {
            let (mut reader, mut out) = (ResponseReader::default(), Vec::new());
            reader.expect(Expected::Any);
            let fault = input.chunks(piece).try_for_each(|part| reader.read(part, &mut out)).err();
            (fault, out)
        };
        let (pieces, whole) = (read(1), read(usize::MAX));
        prop_assert_eq!(pieces.0, whole.0);
        prop_assert!(pieces.1.starts_with(&whole.1));
    }
}
