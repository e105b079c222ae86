//! Requests that hide another one: whatever is sent, a real nginx and a real HAProxy behind usher see as many
//! requests as clients get answers from them, and never the hidden one.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use usher_tests::deadline::comes_to;
use usher_tests::frames::{self, DATA, END_HEADERS, END_STREAM, HEADERS, block, frame};
use usher_tests::haproxy::Haproxy;
use usher_tests::http::connect;
use usher_tests::nginx::Nginx;
use usher_tests::usher::{Setup, Usher};

const PAYLOADS: usize = 500;
const AT_ONCE: usize = 8;
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: mail.test\r\nX: y\r\n\r\n";

fn door(setup: Setup) -> Usher {
    let address = setup.at(8450);
    setup
        .https("")
        .limits(
            "http_header = \"400ms\"\nhttp_idle = \"400ms\"\nhttp_stalled = \"400ms\"\nfarewell = \"100ms\"",
        )
        .section(&format!(
            "[https]\narray = \"a\"\n[[array]]\nname = \"a\"\nhealth = {{ http = {{ probe = \"none\" }} }}\n\
             members = [{{ name = \"m.test\", http = {{ address = \"{address}\", tls = \"none\" }} }}]"
        ))
        .start()
}

/// Field lines that speak of a body's length, good and bad.
fn lengths() -> Vec<String> {
    let size = HIDDEN.len();
    let mut lines = vec![
        String::new(),
        "Transfer-Encoding: chunked".into(),
        format!("Content-Length: {size}"),
        format!("Content-Length: {}", size + 5),
        "Content-Length: 0".into(),
        "Content-Length: 4".into(),
        format!("Content-Length: 0{size}"),
        format!("Content-Length: +{size}"),
        format!("Content-Length: {size}, {size}"),
        format!("Content-Length: {size};"),
        format!("Content-Length:\u{b}{size}"),
        format!("Content-Length : {size}"),
        format!(" Content-Length: {size}"),
        format!("Content_Length: {size}"),
        format!("Content-Length: {size}\rX: y"),
        format!("Content-Length: {size}\nX: y"),
        format!("X: y\rContent-Length: {size}"),
        format!("X: y\nContent-Length: {size}"),
        format!("X: y\n\nContent-Length: {size}"),
        "Content-Length: 18446744073709551616".into(),
        "Content-Length: -1".into(),
        "Content-Length: 1e1".into(),
    ];
    for value in [
        "Chunked",
        "chunked ",
        "\tchunked",
        "\u{b}chunked",
        "\u{c}chunked",
        "chunked\u{0}",
        "\"chunked\"",
        "'chunked'",
        "xchunked",
        "chunkedx",
        "chunked;q=1",
        ",chunked",
        "chunked,",
        "chunked, chunked",
        "identity, chunked",
        "chunked, identity",
        "gzip, chunked",
        "identity",
        "chun\u{131}ed",
        "chunked\rX: y",
        "chunked\nX: y",
        "x\r\n chunked",
        "\r\n chunked",
        "",
    ] {
        lines.push(format!("Transfer-Encoding: {value}"));
    }
    for name in [
        "Transfer-Encoding ",
        "transfer-encoding\t",
        "Transfer_Encoding",
        "Transfer-Encoding\u{0}",
        " Transfer-Encoding",
        "Transfer Encoding",
        "\u{b}Transfer-Encoding",
        "X: y\rTransfer-Encoding",
        "X: y\nTransfer-Encoding",
        ":Transfer-Encoding",
    ] {
        lines.push(format!("{name}: chunked"));
    }
    lines
}

/// Requests over HTTP/1, each with a hidden one in its body.
fn payloads() -> Vec<String> {
    let lines = lengths();
    let bodies = [
        format!("0\r\n\r\n{HIDDEN}"),
        HIDDEN.to_owned(),
        format!("{:x}\r\n{HIDDEN}\r\n0\r\n\r\n", HIDDEN.len()),
        format!("0\r\nX: y\r\n\r\n{HIDDEN}"),
        format!("0;\r\n\r\n{HIDDEN}"),
        format!("00\r\n\r\n{HIDDEN}"),
        format!("0\n\n{HIDDEN}"),
        format!("1\r\nZ\r\nQ\r\n\r\n{HIDDEN}"),
        format!("0x0\r\n\r\n{HIDDEN}"),
        format!("0\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n{HIDDEN}"),
    ];
    let methods = ["POST", "GET", "PUT", "HEAD", "DELETE"];
    let mut all = Vec::new();
    let mut step = 0_usize;
    'all: for (at, first) in lines.iter().enumerate() {
        for second in std::iter::once(&lines[0]).chain(lines.iter().skip(at % 3 + 1).step_by(6)) {
            let (body, method) = (&bodies[step % bodies.len()], methods[step / 3 % methods.len()]);
            step += 1;
            let fields: String = [first, second]
                .iter()
                .filter(|line| !line.is_empty())
                .map(|line| format!("{line}\r\n"))
                .collect();
            all.push(format!("{method} /outer{step} HTTP/1.1\r\nHost: mail.test\r\n{fields}\r\n{body}"));
            if all.len() == PAYLOADS {
                break 'all;
            }
        }
    }
    assert_eq!(all.len(), PAYLOADS);
    all
}

/// Runs `one` on each payload, some at a time; returns how many answers of the backend's there were.
fn run<P: Sync>(payloads: &[P], one: impl Fn(&P) -> usize + Sync) -> usize {
    let (next, answers) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(payload) = payloads.get(next.fetch_add(1, Ordering::Relaxed)) {
                    answers.fetch_add(one(payload), Ordering::Relaxed);
                }
            });
        }
    });
    answers.into_inner()
}

/// Sends a payload and counts the answers that are the backend's: usher itself never says 200.
fn by_one(address: SocketAddr, payload: &str) -> usize {
    let mut client = connect(address);
    let _ = client.try_send(payload.as_bytes());
    let (seen, _) = client.rest();
    seen.matches("HTTP/1.1 200").count()
}

/// Fields and octets of requests over HTTP/2 that would be two if they were written as HTTP/1.
fn streams() -> Vec<(Vec<(String, String)>, String)> {
    let base = [(":method", "POST"), (":scheme", "https"), (":authority", "mail.test"), (":path", "/outer")];
    let base: Vec<(String, String)> =
        base.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let tails = [
        " HTTP/1.1\r\nHost: mail.test\r\n\r\n",
        "\r\n\r\nGET /hidden HTTP/1.1\r\nHost: x\r\n\r\n",
        "\nX: y",
        "\rX: y",
        "\0",
        " x",
        "\t",
        "#f",
        "?a\r\nb",
        "%0d%0aX:%20y",
    ];
    let mut changes: Vec<Vec<(String, String)>> = Vec::new();
    for at in 0..4 {
        for tail in tails {
            let mut fields = base.clone();
            fields[at].1.push_str(tail);
            changes.push(fields);
        }
    }
    for line in lengths() {
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        let mut fields = base.clone();
        fields.push((name.to_lowercase(), value.trim_start_matches(' ').to_owned()));
        changes.push(fields);
    }
    for (name, value) in [
        ("x: y\r\ntransfer-encoding", "chunked"),
        ("x", "y\r\ntransfer-encoding: chunked"),
        ("connection", "transfer-encoding"),
        ("connection", "keep-alive"),
        ("upgrade", "h2c"),
        ("host", "other.test"),
        ("host", "mail.test"),
        ("te", "chunked"),
        ("expect", "100-continue"),
        ("expect", "nonsense"),
        (":path", "/second"),
        ("", "empty"),
        ("x y", "z"),
        ("content-length", "0"),
        ("content-length", "1"),
        ("cookie", "a\r\nb: c"),
        ("proxy-connection", "keep-alive"),
        ("keep-alive", "timeout=5"),
    ] {
        let mut fields = base.clone();
        fields.push((name.to_owned(), value.to_owned()));
        changes.push(fields);
    }
    let bodies = [format!("0\r\n\r\n{HIDDEN}"), HIDDEN.to_owned(), String::new(), "0\r\n\r\n".to_owned()];
    let all = changes.iter().flat_map(|fields| bodies.iter().map(move |body| (fields.clone(), body.clone())));
    let all: Vec<_> = all.collect();
    (0..PAYLOADS).map(|at| all[at % all.len()].clone()).collect()
}

fn by_two(address: SocketAddr, (fields, body): &(Vec<(String, String)>, String)) -> usize {
    let mut client = frames::connect(address);
    let fields: Vec<(&str, &str)> =
        fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut octets =
        frame(HEADERS, END_HEADERS | if body.is_empty() { END_STREAM } else { 0 }, 1, &block(&fields));
    if !body.is_empty() {
        octets.extend(frame(DATA, END_STREAM, 1, body.as_bytes()));
    }
    let _ = client.try_send(&octets);
    usize::from(client.outcome(1) == Ok(200))
}

/// Whether the length that is said is one, and another than that of the body.
fn breaks_off((fields, body): &(Vec<(String, String)>, String)) -> bool {
    let said = fields.iter().find(|(name, _)| name == "content-length");
    said.and_then(|(_, value)| value.parse::<usize>().ok()).is_some_and(|length| length != body.len())
}

fn seen_as_answered(requests: impl Fn() -> usize, address: SocketAddr) {
    let before = requests();
    let answers = run(&payloads(), |payload| by_one(address, payload));
    assert_eq!(comes_to(before + answers, &requests) - before, answers, "over HTTP/1");
    assert!(answers >= 10, "some of them are good: {answers}");
    let before = requests();
    let streams = streams();
    let answers = run(&streams, |stream| by_two(address, stream));
    // A body that is not as long as its head has said breaks off when the head has gone on already: the
    // backend has seen a request that never became whole, and the client a reset.
    let seen = comes_to(before + answers, &requests) - before;
    let broken = streams.iter().filter(|stream| breaks_off(stream)).count();
    assert!((answers..=answers + broken).contains(&seen), "over HTTP/2: {seen}, {answers}, {broken}");
    assert!(answers >= 10, "some of them are good: {answers}");
}

#[test]
fn nothing_is_hidden_from_nginx() {
    let setup = Setup::new();
    let nginx = Nginx::start("m.test", setup.at(8450), None, "");
    let usher = door(setup);
    seen_as_answered(|| nginx.requests(), usher.https());
    // What is pipelined openly is a request of its own, and is seen as one; what was hidden is not.
    let log = nginx.log();
    let openly = log.lines().filter(|line| line.contains("/hidden")).count();
    let answered = usher
        .log()
        .lines()
        .filter(|line| line.contains("path=\"/hidden\" ") && line.contains("status=200"))
        .count();
    assert_eq!(openly, answered);
}

#[test]
fn nothing_is_hidden_from_haproxy() {
    let setup = Setup::new();
    let haproxy = Haproxy::start(setup.at(8450));
    let usher = door(setup);
    seen_as_answered(|| haproxy.requests(), usher.https());
}
