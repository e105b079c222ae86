//! What web services of backends get wrong, and what clients and backends then see.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use std::io::Read;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use usher_tests::apache::Apache;
use usher_tests::certificate::Certificate;
use usher_tests::deadline::comes_to;
use usher_tests::frames::{self, DATA, END_HEADERS, END_STREAM, HEADERS, frame, get_block};
use usher_tests::http::{Answer, ask, basic, connect, get};
use usher_tests::nginx::Nginx;
use usher_tests::scripted::{Conn, Scripted};
use usher_tests::usher::{DEADLINE, Setup, Usher};
use usher_tests::web::Web;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn quick() -> Setup {
    Setup::new().limits("backend_connect = \"500ms\"\nretry = \"100ms\"\nfarewell = \"300ms\"")
}

/// usher with anna's archive on one host at port 8440, which answers within a second or not at all.
fn with_host(setup: Setup, http: &str, keys: &str) -> Usher {
    let address = setup.at(8440);
    setup
        .https("")
        .web_host("ih.test", address, http, keys)
        .section("[https]\nresponse_timeout = \"700ms\"\n[[https.path]]\nprefix = \"/long\"\nresponse_timeout = \"20s\"\n\
             [[https.path]]\nprefix = \"/\"\nupgrades = [\"echo\"]")
        .users(&[("anna@example.com", "ih.test")])
        .start()
}

fn anna(usher: &Usher) -> Answer {
    ask(usher.https(), get("/", &basic("anna")))
}

/// Reads the head of a request.
fn head(conn: &mut Conn) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(line) = conn.line().filter(|line| !line.is_empty()) {
        lines.push(line);
    }
    lines
}

#[test]
fn a_home_that_is_out_is_unavailable_and_never_replaced() {
    // 7, 80: nobody listens
    let usher = with_host(quick(), "tls = \"none\"", "");
    let answer = anna(&usher);
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(!answer.text().contains("ih.test") && !answer.text().contains("127."), "{}", answer.text());
    let line = usher.wait_for_log("instance host failed");
    assert!(line.contains("host=\"ih.test\"") && line.contains("stage=\"dial\""), "{line}");
    // 8: held by an operator
    let setup = quick();
    let web = Web::start("ih.test", setup.at(8440), None);
    let usher = with_host(setup, "tls = \"none\"", "");
    assert_eq!(anna(&usher).status, 200);
    for verb in ["drain", "stop"] {
        usher.did(&[verb, "ih.test", "--why", "x"]);
        let answer = anna(&usher);
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "{verb}");
    }
    usher.did(&["start", "ih.test"]);
    assert_eq!(anna(&usher).status, 200);
    assert!(usher.user(&["hold", "anna", "--why", "moving"]).status.success());
    assert_eq!(anna(&usher).status, 503);
    assert_eq!(web.asked().len(), 2);
}

#[test]
fn silence_is_a_timeout_and_nonsense_a_bad_gateway() {
    // 60, 61, 71
    let cases: [(&'static str, u16); 10] = [
        ("", 504),
        ("SSH-2.0-OpenSSH_9.2\r\n", 502),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 502),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", 502),
        ("HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 502),
        ("HTTP/1.1 200 OK\r\nContent-Length: 02\r\n\r\nok", 502),
        ("HTTP/1.1 200 OK\r\nA\0: b\r\n\r\n", 502),
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", 502),
        ("many interim responses", 502),
        ("a long head", 502),
    ];
    for (answer, status) in cases {
        let setup = quick();
        let served = Arc::new(AtomicUsize::new(0));
        let count = served.clone();
        let _backend = Scripted::start(setup.at(8440), move |mut conn| {
            if head(&mut conn).is_empty() {
                return;
            }
            count.fetch_add(1, Ordering::Relaxed);
            match answer {
                "many interim responses" => conn.send("HTTP/1.1 102 Processing\r\n\r\n".repeat(1000)),
                "a long head" => conn.send(format!("HTTP/1.1 200 OK\r\nA: {}", "b".repeat(1_000_000))),
                other => conn.send(other),
            }
            conn.rest();
        });
        let usher = with_host(setup, "tls = \"none\"", "");
        let shown = ask(
            usher.https(),
            format!("POST / HTTP/1.1\r\nHost: mail.test\r\nContent-Length: 0\r\n{}\r\n", basic("anna")),
        );
        assert_eq!(shown.status, status, "{answer:?}: {shown:?}");
        assert_eq!(served.load(Ordering::Relaxed), 1, "a POST is sent once: {answer:?}");
        assert!(shown.header("retry-after").is_some());
    }
}

#[test]
fn a_long_poll_may_take_as_long_as_its_path_allows() {
    let setup = quick();
    let _web = Web::start("ih.test", setup.at(8440), None);
    let usher = with_host(setup, "tls = \"none\"", "");
    let slow = |path: &str| ask(usher.https(), get(path, &basic("anna"))).status;
    assert_eq!(slow("/slow/1500"), 504);
    let setup = quick();
    let _backend = Scripted::start(setup.at(8440), |mut conn| {
        head(&mut conn);
        std::thread::sleep(Duration::from_millis(1500));
        conn.send(OK);
        conn.rest();
    });
    let usher = with_host(setup, "tls = \"none\"", "");
    assert_eq!(ask(usher.https(), get("/LONG/poll", &basic("anna"))).status, 200);
}

#[test]
fn an_upload_that_takes_long_costs_its_answer_no_time() {
    let setup = quick();
    let _web = Web::start("ih.test", setup.at(8440), None);
    // Answers within 700 ms of the last octet are in time.
    let usher = with_host(setup, "tls = \"none\"", "");
    let mut client = connect(usher.https());
    client.send(format!(
        "POST /slow/1 HTTP/1.1\r\nHost: mail.test\r\nContent-Length: 10\r\n{}\r\n",
        basic("anna")
    ));
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(150));
        client.send("x");
    }
    let answer = client.http_answer();
    assert_eq!((answer.status, answer.json()["octets"].as_u64()), (200, Some(10)));
}

#[test]
fn a_wrong_certificate_gets_no_request() {
    // 64
    let setup = quick();
    let (right, wrong) = (Certificate::for_names(&["ih.test"]), Certificate::for_names(&["ih.test"]));
    let web = Web::start("ih.test", setup.at(8440), Some(&wrong));
    let pins = format!("fingerprints = [{:?}]", right.pin());
    let usher = with_host(setup, "tls = \"implicit\"", &pins);
    assert_eq!(anna(&usher).status, 502);
    assert!(usher.wait_for_log("security=true").contains("ih.test"));
    assert!(web.asked().is_empty());
    // Both pins are good while one takes the other's place.
    usher.rewrite(|text| {
        text.replace(&pins, &format!("fingerprints = [{:?}, {:?}]", right.pin(), wrong.pin()))
    });
    usher.did(&["reload"]);
    assert_eq!(anna(&usher).status, 200);
    // And a connection that was good is not used any more once its pin is gone.
    usher.rewrite(|text| text.replace(&format!(", {:?}]", wrong.pin()), "]"));
    usher.did(&["reload"]);
    assert_eq!(anna(&usher).status, 502);
}

#[test]
fn a_response_that_breaks_off_is_seen_to_break_off() {
    // 67, 38
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\nxyz\r\n",
    ] {
        let setup = quick();
        let _backend = Scripted::start(setup.at(8440), move |mut conn| {
            head(&mut conn);
            conn.send(answer);
        });
        let usher = with_host(setup, "tls = \"none\"", "");
        let mut client = connect(usher.https());
        client.send(get("/", &basic("anna")));
        let (seen, _) = client.rest();
        assert!(seen.starts_with("HTTP/1.1 200 OK"), "{seen}");
        assert!(!seen.ends_with("0\r\n\r\n"), "{seen}");
        let line = usher.wait_for_log("cause=\"truncated\"");
        assert!(line.contains("by=\"backend\""), "{line}");
        let mut client = frames::connect(usher.https());
        let auth = basic("anna");
        let auth = auth.trim_end().split_once(": ").unwrap().1;
        client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &get_block("/", &[("authorization", auth)])));
        // A reset overtakes what has not been sent yet.
        let outcome = client.outcome(1);
        while outcome == Ok(200) {
            let frame = client.frame_of(1);
            if frame.kind != DATA {
                assert_eq!(frame.kind, frames::RST_STREAM);
                break;
            }
            assert_eq!(frame.flags & END_STREAM, 0, "never complete");
        }
        assert!(matches!(outcome, Ok(200) | Err(2)), "{outcome:?}");
    }
}

#[test]
fn what_dies_before_the_first_octet_is_tried_again_where_that_is_safe() {
    // 67
    for (method, tries, status) in [("GET", 2, 200), ("POST", 1, 502), ("DELETE", 2, 200)] {
        let setup = quick();
        let served = Arc::new(AtomicUsize::new(0));
        let count = served.clone();
        let _backend = Scripted::start(setup.at(8440), move |mut conn| {
            if head(&mut conn).is_empty() || count.fetch_add(1, Ordering::Relaxed) == 0 {
                return;
            }
            conn.send(OK);
            conn.rest();
        });
        let usher = with_host(setup, "tls = \"none\"", "");
        let answer = ask(
            usher.https(),
            format!("{method} / HTTP/1.1\r\nHost: mail.test\r\nContent-Length: 0\r\n{}\r\n", basic("anna")),
        );
        assert_eq!((answer.status, served.load(Ordering::Relaxed)), (status, tries), "{method}");
    }
}

#[test]
fn tries_beyond_the_budget_are_not_made() {
    let setup = quick();
    let served = Arc::new(AtomicUsize::new(0));
    let count = served.clone();
    let _backend = Scripted::start(setup.at(8440), move |mut conn| {
        if !head(&mut conn).is_empty() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let usher = with_host(setup, "tls = \"none\"", "");
    for _ in 0..100 {
        assert_eq!(anna(&usher).status, 502);
    }
    let served = served.load(Ordering::Relaxed);
    assert!((115..=125).contains(&served), "ten that were saved, and a tenth of a hundred: {served}");
}

#[test]
fn a_connection_that_was_closed_while_it_waited_costs_nobody_a_request() {
    let setup = quick();
    let (closed, closes) = std::sync::mpsc::channel();
    let _backend = Scripted::start(setup.at(8440), move |mut conn| {
        head(&mut conn);
        conn.octets(2);
        conn.send(OK);
        // Closed without a word, as idle connections are.
        drop(conn);
        closed.send(()).unwrap();
    });
    let usher = with_host(setup, "tls = \"none\"", "");
    let mut client = connect(usher.https());
    for _ in 0..50 {
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: mail.test\r\nContent-Length: 2\r\n{}\r\nhi",
            basic("anna")
        ));
        assert_eq!(client.http_answer().status, 200);
        closes.recv_timeout(DEADLINE).unwrap();
        // Whoever has served this has heard of everything that happened before it.
        client.send(get("/healthcheck.htm", ""));
        assert_eq!(client.http_answer().status, 200);
    }
}

#[test]
fn a_connection_with_something_left_over_serves_nobody_else() {
    let setup = quick();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    let _backend = Scripted::start(setup.at(8440), move |mut conn| {
        count.fetch_add(1, Ordering::Relaxed);
        while !head(&mut conn).is_empty() {
            // An answer too many.
            conn.send(format!("{OK}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"));
        }
    });
    let usher = with_host(setup, "tls = \"none\"", "");
    let mut client = connect(usher.https());
    for _ in 0..20 {
        client.send(get("/", &basic("anna")));
        let answer = client.http_answer();
        assert!(answer.text() == "ok" || answer.status == 502, "{answer:?}");
        assert_ne!(answer.text(), "evil");
    }
    assert!(connections.load(Ordering::Relaxed) >= 10);
}

#[test]
fn members_that_cannot_be_reached_are_passed_over() {
    // 80
    let setup = quick();
    let web = Web::start("m1.test", setup.at(8451), None);
    let member = |at: u16| {
        format!(
            "{{ name = \"m{at}.test\", http = {{ address = \"{}\", tls = \"none\" }} }}",
            setup.at(8450 + at)
        )
    };
    let section = format!(
        "[https]\narray = \"a\"\n[[array]]\nname = \"a\"\nbalance = \"first\"\n\
         health = {{ http = {{ probe = \"none\" }} }}\nmembers = [{}, {}]",
        member(0),
        member(1)
    );
    let usher = setup.https("").section(&section).start();
    let post = "POST / HTTP/1.1\r\nHost: mail.test\r\nContent-Length: 2\r\n\r\nhi";
    assert_eq!(ask(usher.https(), post).header("x-held-by"), Some("m1.test"));
    usher.did(&["stop", "m1.test", "--why", "x"]);
    let answer = ask(usher.https(), post);
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
    usher.did(&["stop", "m0.test", "--why", "x"]);
    let answer = ask(usher.https(), get("/", "Accept: application/json\r\n"));
    assert_eq!((answer.status, answer.json()["status"].as_u64()), (503, Some(503)));
    assert_eq!(web.asked().len(), 1);
}

#[test]
fn logins_of_connections_stay_on_the_clients_own() {
    // 86: each connection is somebody's once it has been logged in on
    for scheme in ["NTLM", "Negotiate"] {
        let setup = quick();
        let number = Arc::new(AtomicUsize::new(0));
        let _backend = Scripted::start(setup.at(8440), move |mut conn| {
            let connection = number.fetch_add(1, Ordering::Relaxed);
            let mut whose = String::from("nobody");
            loop {
                let lines = head(&mut conn);
                if lines.is_empty() {
                    return;
                }
                let login = lines.iter().find_map(|line| {
                    line.to_lowercase()
                        .strip_prefix(&format!("authorization: {} ", scheme.to_lowercase()))
                        .map(str::to_owned)
                });
                match login.as_deref() {
                    Some("bmvnb3rpyxrl") => conn.send(format!(
                        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {scheme} Y2hhbGxlbmdl\r\nContent-Length: 0\r\n\r\n"
                    )),
                    Some(token) => {
                        whose = token.to_owned();
                        conn.send(OK);
                    }
                    None if whose == "nobody" => conn.send(format!(
                        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {scheme}\r\nContent-Length: 0\r\n\r\n"
                    )),
                    None => {
                        let text = format!("{whose} on {connection}");
                        conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()));
                    }
                }
            }
        });
        let address = setup.at(8440);
        let usher = setup
            .https("")
            .web_host("ih.test", address, "tls = \"none\"", "")
            .section("[https]\n[[https.identity]]\nfrom = \"query\"\ntemplate = \"?User={user}\"")
            .users(&[("anna@example.com", "ih.test"), ("ben@example.com", "ih.test")])
            .start();
        let log_in = |user: &str| {
            let mut client = connect(usher.https());
            let target = format!("/?User={user}");
            client.send(get(&target, ""));
            assert_eq!(client.http_answer().status, 401);
            client.send(get(&target, &format!("Authorization: {scheme} bmVnb3RpYXRl\r\n")));
            let challenge = client.http_answer();
            assert_eq!(challenge.header("www-authenticate"), Some(format!("{scheme} Y2hhbGxlbmdl").as_str()));
            client.send(get(&target, &format!("Authorization: {scheme} {user}\r\n")));
            assert_eq!(client.http_answer().status, 200);
            client
        };
        let (mut anna, mut ben) = (log_in("anna"), log_in("ben"));
        let mut seen = Vec::new();
        for _ in 0..5 {
            for (client, user) in [(&mut anna, "anna"), (&mut ben, "ben")] {
                client.send(get(&format!("/?User={user}"), ""));
                let answer = client.http_answer().text();
                assert!(answer.starts_with(&format!("{user} on ")), "{answer}");
                seen.push(answer);
            }
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 2, "one connection each: {seen:?}");
        // Whoever comes later is nobody yet.
        drop((anna, ben));
        assert_eq!(ask(usher.https(), get("/?User=anna", "")).status, 401);
        // There is no connection to log in on among many streams.
        let mut client = frames::connect(usher.https());
        let fields = [("authorization", "NTLM x")];
        client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &get_block("/?User=anna", &fields)));
        assert_eq!(client.outcome(1), Err(0xd), "HTTP_1_1_REQUIRED");
    }
}

#[test]
fn a_proxy_header_tells_the_client_and_its_connection_serves_nobody_else() {
    let setup = quick();
    let address = setup.at(8440);
    let backend = Scripted::start(address, |mut conn| {
        while !head(&mut conn).is_empty() {
            conn.send(OK);
        }
    });
    let usher = with_host(setup, "tls = \"none\", client_address = \"proxy-v1\"", "");
    let mut clients = [connect(usher.https()), connect(usher.https())];
    let ports: Vec<_> = clients.iter().map(|client| client.tcp().local_addr().unwrap().port()).collect();
    for _ in 0..3 {
        for client in &mut clients {
            client.send(get("/", &basic("anna")));
            assert_eq!(client.http_answer().status, 200);
        }
    }
    let heard = String::from_utf8(backend.heard()).unwrap();
    let headers: Vec<_> = heard.lines().filter(|line| line.starts_with("PROXY TCP4 127.")).collect();
    assert_eq!(headers.len(), 2, "one connection a client: {headers:?}");
    for port in ports {
        assert!(headers.iter().any(|line| line.contains(&format!(" {port} 1443"))), "{headers:?}");
    }
}

#[test]
fn http2_to_a_backend_shares_one_connection() {
    let setup = quick();
    let certificate = Certificate::for_names(&["ih.test"]);
    let web = Web::start("ih.test", setup.at(8440), Some(&certificate));
    let pins = format!("fingerprints = [{:?}]", certificate.key_pin());
    let usher = with_host(setup, "tls = \"implicit\", version = \"2\"", &pins);
    let seen = anna(&usher).json();
    assert_eq!((seen["version"].as_str(), seen["authority"].as_str()), (Some("HTTP/2.0"), Some("mail.test")));
    let clients: Vec<_> = (0..10)
        .map(|_| {
            let address = usher.https();
            std::thread::spawn(move || {
                let body = "x".repeat(100_000);
                let request = format!(
                    "POST /slow/100 HTTP/1.1\r\nHost: mail.test\r\nContent-Length: {}\r\n{}\r\n{body}",
                    body.len(),
                    basic("anna")
                );
                ask(address, request).json()["octets"].as_u64()
            })
        })
        .collect();
    for client in clients {
        assert_eq!(client.join().unwrap(), Some(100_000));
    }
    // One for each worker of usher's.
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    assert!(web.connections() <= workers, "{}", web.connections());
    // 100: what the backend's own codec lets through, and no client may see
    assert_eq!(ask(usher.https(), get("/blank", &basic("anna"))).status, 502);
    let mut client = frames::connect(usher.https());
    let auth = basic("anna");
    let auth = auth.trim_end().split_once(": ").unwrap().1;
    let fields = get_block("/blank-trailers", &[("authorization", auth)]);
    client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &fields));
    assert_eq!(client.outcome(1), Ok(200));
    let mut last = client.frame_of(1);
    while last.kind == DATA {
        assert_eq!(last.flags & END_STREAM, 0);
        last = client.frame_of(1);
    }
    assert_eq!(last.kind, frames::RST_STREAM, "{last:?}");
    // What HTTP/2 cannot do goes by HTTP/1.1.
    let mut client = connect(usher.https());
    client.send(get("/", &format!("Connection: Upgrade\r\nUpgrade: echo\r\n{}", basic("anna"))));
    assert_eq!(client.http_answer().status, 101);
    client.send("over");
    assert_eq!(client.octets(4), b"over");
}

#[test]
fn an_upgrade_that_is_refused_leaves_nothing_behind_for_http2() {
    let setup = quick();
    let certificate = Certificate::for_names(&["ih.test"]);
    let nginx = Nginx::start("ih.test", setup.at(8440), Some(&certificate), "");
    let pins = format!("fingerprints = [{:?}]", certificate.key_pin());
    let usher = with_host(setup, "tls = \"implicit\", version = \"2\"", &pins);
    for _ in 0..3 {
        let upgrade = format!("Connection: Upgrade\r\nUpgrade: websocket\r\n{}", basic("anna"));
        assert_eq!(ask(usher.https(), get("/", &upgrade)).status, 200, "nginx does not switch");
        assert_eq!(anna(&usher).status, 200);
    }
    comes_to(6, || nginx.requests());
    assert_eq!(nginx.log().matches("HTTP/1.1\" 200").count(), 3, "{}", nginx.log());
    assert_eq!(nginx.log().matches("HTTP/2.0\" 200").count(), 3);
    // The client of an extended CONNECT would take any success for a tunnel.
    let mut client = frames::connect(usher.https());
    let auth = basic("anna");
    let auth = auth.trim_end().split_once(": ").unwrap().1;
    let fields = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":authority", "mail.test"),
        (":path", "/chat"),
        ("authorization", auth),
    ];
    client.send(frame(HEADERS, END_HEADERS, 1, &frames::block(&fields)));
    assert_eq!(client.outcome(1), Ok(502));
}

#[test]
fn a_home_that_has_come_back_serves_every_request() {
    let setup = quick();
    let address = setup.at(8440);
    let health = "health = { interval = \"100ms\", rise = 1, fall = 1, ramp = \"1h\", \
                  imap = { probe = \"none\" } }";
    let usher = with_host(setup, "tls = \"none\"", health);
    let web_state = |shown: &serde_json::Value| {
        let services = shown[0]["services"].as_array().unwrap().clone();
        services.into_iter().find(|service| service["service"] == "http").unwrap()["state"].clone()
    };
    usher.wait_until("/v1/hosts/ih.test", |shown| web_state(shown) == "unhealthy");
    assert_eq!(anna(&usher).status, 503);
    let _web = Web::start("ih.test", address, None);
    usher.wait_until("/v1/hosts/ih.test", |shown| web_state(shown) == "returning");
    for _ in 0..20 {
        assert_eq!(anna(&usher).status, 200);
    }
}

#[test]
fn a_member_that_takes_connections_and_answers_nothing_is_found_out() {
    let setup = quick();
    let _mute = Scripted::start(setup.at(8450), |mut conn| drop(conn.rest()));
    let section = format!(
        "[https]\narray = \"a\"\nresponse_timeout = \"300ms\"\n[[array]]\nname = \"a\"\n\
         health = {{ interval = \"200ms\", timeout = \"200ms\" }}\nmembers = [{{ name = \"m.test\", \
         http = {{ address = \"{}\", tls = \"none\" }} }}]",
        setup.at(8450)
    );
    let usher = setup.https("").section(&section).start();
    assert_eq!(ask(usher.https(), get("/", "")).status, 504);
    usher.wait_for_state("m.test", "unhealthy");
    assert_eq!(ask(usher.https(), get("/", "")).status, 503);
}

#[test]
fn a_broken_body_is_refused_though_the_backend_has_answered() {
    // 48: nginx answers before it has read anything
    let setup = quick();
    let _nginx = Nginx::start("ih.test", setup.at(8440), None, "");
    let usher = with_host(setup, "tls = \"none\"", "");
    for chunk in ["1 \r\nx\r\n", "0x1\r\nx\r\n", "1\r\nxy\r\n"] {
        let head = format!(
            "POST / HTTP/1.1\r\nHost: mail.test\r\nTransfer-Encoding: chunked\r\n{}\r\n",
            basic("anna")
        );
        let answer = ask(usher.https(), format!("{head}{chunk}"));
        assert_eq!((answer.status, answer.closes()), (400, true), "{chunk:?}");
        assert!(!answer.text().contains("ih.test"), "{}", answer.text());
    }
}

#[test]
fn a_kick_and_a_drain_reach_requests_under_way() {
    let setup = quick();
    let _web = Web::start("ih.test", setup.at(8440), None);
    let usher = with_host(setup, "tls = \"none\"", "");
    let ask_slowly = || {
        let mut client = connect(usher.https());
        client.send(get("/long", &basic("anna")).replacen("/long", "/slow/600", 1));
        client
    };
    let mut client = ask_slowly();
    // It stands there before its host is known.
    let shown = usher.wait_until("/v1/sessions", |shown| shown["sessions"][0]["host"] == "ih.test");
    let session = &shown["sessions"][0];
    assert_eq!(
        (session["user"].as_str(), session["host"].as_str()),
        (Some("anna@example.com"), Some("ih.test"))
    );
    assert_eq!(session["protocol"], "https");
    // A drain lets it finish, and is done then.
    let drained = usher.did(&["drain", "ih.test", "--why", "x", "--wait"]);
    assert!(drained.contains("1 sessions ended"), "{drained}");
    assert_eq!(client.http_answer().status, 200);
    usher.wait_until("/v1/sessions", |shown| shown["matching"] == 0);
    usher.did(&["start", "ih.test"]);
    // A tunnel is a session as well, and is ended by a kick.
    let mut client = connect(usher.https());
    client.send(get("/", &format!("Connection: Upgrade\r\nUpgrade: echo\r\n{}", basic("anna"))));
    assert_eq!(client.http_answer().status, 101);
    usher.wait_until("/v1/sessions", |shown| shown["matching"] == 1);
    usher.did(&["kick", "--user", "anna"]);
    let mut rest = Vec::new();
    let _ = client.tcp().read_to_end(&mut rest);
    usher.wait_for_log("cause=\"kicked\"");
    let metrics = usher.ask("GET", "/metrics", None).unwrap().1;
    let metrics = metrics.as_str().unwrap();
    assert!(metrics.contains("usher_http_requests_total{version=\"1.1\",code=\"2xx\"} 1"), "{metrics}");
    assert!(metrics.contains("usher_http_request_duration_seconds_count"));
}

#[test]
fn failing_requests_take_a_host_out_before_the_next_probe() {
    let setup = quick();
    let address = setup.at(8440);
    let mut nginx = Nginx::start("ih.test", address, None, "");
    let health = "health = { interval = \"30s\", imap = { probe = \"none\" } }";
    let usher = with_host(setup, "tls = \"none\"", health);
    assert_eq!(anna(&usher).status, 200);
    nginx.kill();
    usher.wait_until("/v1/hosts/ih.test", |shown| {
        anna(&usher);
        shown[0]["services"].as_array().unwrap().iter().any(|service| service["state"] == "unhealthy")
    });
}

#[test]
fn what_is_careless_in_a_response_is_mended() {
    // 133
    let mut chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\nX-A \t: b\r\n folded\r\n\r\n".to_owned();
    chunked += "2 \r\nhi\r\n3\t;x=y\r\n ho\r\n0 \r\n\r\n";
    for (answer, body) in [
        (chunked, "hi ho"),
        ("HTTP/1.1 200 OK\r\nContent-Length : 2\r\nX-A: b\r\n folded\r\n\r\nhi".into(), "hi"),
    ] {
        let setup = quick();
        let _backend = Scripted::start(setup.at(8440), move |mut conn| {
            while !head(&mut conn).is_empty() {
                conn.send(&answer);
            }
        });
        let usher = with_host(setup, "tls = \"none\"", "");
        for _ in 0..2 {
            let shown = anna(&usher);
            assert_eq!(
                (shown.status, shown.text().as_str(), shown.header("x-a")),
                (200, body, Some("b folded"))
            );
        }
    }
}

#[test]
fn a_client_that_stalls_is_not_the_backends_fault() {
    // 138
    let setup = Setup::new().limits("http_stalled = \"300ms\"");
    let _backend = Scripted::start(setup.at(8440), |mut conn| {
        head(&mut conn);
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun");
        conn.rest();
    });
    let usher = with_host(setup, "tls = \"none\"", "");
    let upload = format!(
        "POST /long HTTP/1.1\r\nHost: mail.test\r\nContent-Length: 9999\r\n{}\r\nbegun",
        basic("anna")
    );
    let mut client = connect(usher.https());
    client.send(&upload);
    assert_eq!(client.line(), "HTTP/1.1 200 OK");
    let _ = client.rest();
    let line = usher.wait_for_log("by=\"client\" stage=\"relay\" cause=\"body-too-slow\"");
    assert!(line.contains("host=\"ih.test\""), "{line}");
    let mut client = connect(usher.https());
    client.send(&upload);
    assert_eq!(client.line(), "HTTP/1.1 200 OK");
    drop(client);
    usher.wait_for_logs("INFO request ", 2);
    assert!(
        !usher.log().contains("instance host failed") && !usher.log().contains("by=\"backend\""),
        "{}",
        usher.log()
    );
}

#[test]
fn webdav_moves_where_the_backend_has_no_tls() {
    // 141
    let setup = quick();
    let address = setup.at(8440);
    let apache = Apache::start(address);
    let usher = with_host(setup, "tls = \"none\"", "");
    let host = format!("mail.test:{}", usher.https().port());
    let asks = |method: &str, path: &str, fields: &str| {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{fields}{}\r\n", basic("anna"));
        ask(usher.https(), request)
    };
    let moved = asks("MOVE", "/dav/a", &format!("Destination: https://{host}/dav/b\r\n"));
    assert_eq!(moved.status, 201, "{}", moved.text());
    assert!(apache.dir.path().join("files/dav/b").exists());
    assert_eq!(moved.header("location"), Some(&*format!("https://{host}/dav/b")));
    let moved = asks("GET", "/dav/dir", "");
    assert_eq!((moved.status, moved.header("location")), (301, Some(&*format!("https://{host}/dav/dir/"))));
    let elsewhere = asks("MOVE", "/dav/b", "Destination: https://other.test/dav/c\r\n");
    assert_eq!(elsewhere.status, 502, "{}", elsewhere.text());
}

#[test]
fn urls_are_left_alone_where_the_operator_says_so() {
    let setup = quick();
    let web = Web::start("ih.test", setup.at(8440), None);
    let usher = with_host(setup, "tls = \"none\", rewrite = false", "");
    let request = get("/", &format!("Destination: https://mail.test/b\r\n{}", basic("anna")));
    assert_eq!(ask(usher.https(), request).json()["headers"]["destination"][0], "https://mail.test/b");
    drop(web);
}

/// What `h2load` makes of `more`, against `usher` as anna.
fn h2load(usher: &Usher, more: &[&str], path: &str) -> String {
    let auth = basic("anna");
    let output = Command::new("h2load")
        .args(more)
        .args(["-H", auth.trim_end(), "-H", ":authority: mail.test"])
        .arg(format!("https://{}{path}", usher.https()))
        .output()
        .expect("h2load is installed; tests/install-peers does it");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn requests_that_a_backend_turns_away_are_sent_again_with_their_bodies() {
    // 189: nginx leaves each connection after twenty requests
    let setup = Setup::new();
    let certificate = Certificate::for_names(&["ih.test"]);
    let _nginx = Nginx::start("ih.test", setup.at(8440), Some(&certificate), "keepalive_requests 20;");
    let pins = format!("fingerprints = [{:?}]", certificate.key_pin());
    let usher = with_host(setup, "tls = \"implicit\", version = \"2\"", &pins);
    let body = usher.setup.dir.path().join("body");
    std::fs::write(&body, vec![b'x'; 20_000]).unwrap();
    let told = h2load(&usher, &["-n", "3000", "-c", "8", "-m", "10", "-d", body.to_str().unwrap()], "/");
    assert!(told.contains("status codes: 3000 2xx, 0 3xx, 0 4xx, 0 5xx"), "{told}");
}

#[test]
fn connections_to_a_backend_have_a_bound() {
    // 186
    let setup = Setup::new();
    let address = setup.at(8440);
    let web = Web::start("ih.test", address, None);
    let usher = with_host(setup, "tls = \"none\", max_connections = 3", "");
    let told = h2load(&usher, &["-n", "600", "-c", "20", "-m", "10"], "/slow/2");
    assert!(told.contains("status codes: 600 2xx, 0 3xx, 0 4xx, 0 5xx"), "{told}");
    assert!(web.connections() <= 3, "{}", web.connections());
    // A tunnel counts no more.
    let mut tunnels = Vec::new();
    for _ in 0..6 {
        let mut client = connect(usher.https());
        client.send(get("/", &format!("Connection: Upgrade\r\nUpgrade: echo\r\n{}", basic("anna"))));
        assert_eq!(client.http_answer().status, 101);
        tunnels.push(client);
    }
    assert_eq!(anna(&usher).status, 200);
    // Who waits too long is told so, and the host is none the worse for it.
    let usher = with_host_at(address, "tls = \"none\", max_connections = 1");
    let mut first = connect(usher.https());
    first.send(get("/slow/3000", &basic("anna")));
    usher.wait_until("/v1/sessions", |shown| shown["matching"] == 1);
    assert_eq!(anna(&usher).status, 503);
    assert!(!usher.log().contains("instance host failed"), "{}", usher.log());
    usher.wait_for_log("instance host full");
}

/// usher, quick to give up, in front of a server that is there.
fn with_host_at(address: SocketAddr, http: &str) -> Usher {
    quick()
        .https("")
        .web_host("ih.test", address, http, "")
        .section("[https]\nresponse_timeout = \"10s\"")
        .users(&[("anna@example.com", "ih.test")])
        .start()
}

#[test]
fn an_answer_that_comes_early_is_heard() {
    // 193
    let setup = quick();
    let _backend = Scripted::start(setup.at(8440), |mut conn| {
        head(&mut conn);
        conn.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
        conn.rest();
    });
    let usher = with_host(setup, "tls = \"none\"", "");
    let body = usher.setup.dir.path().join("body");
    std::fs::write(&body, vec![b'x'; 50_000]).unwrap();
    for _ in 0..10 {
        let output = Command::new("curl")
            .args([
                "-sk",
                "--http2",
                "-w",
                "%{http_code}",
                "-H",
                "Expect:",
                "-u",
                "anna:secret",
                "--data-binary",
            ])
            .arg(format!("@{}", body.display()))
            .arg(format!("https://{}/", usher.https()))
            .output()
            .unwrap();
        assert_eq!((output.status.code(), &*String::from_utf8_lossy(&output.stdout)), (Some(0), "no403"));
    }
}

#[test]
fn curl_logs_in_by_ntlm_though_its_first_request_is_empty() {
    // 130: a server that asks for a length, as IIS does
    let setup = quick();
    let _backend = Scripted::start(setup.at(8440), |mut conn| {
        let mut step = 0;
        loop {
            let lines = head(&mut conn);
            if lines.is_empty() {
                return;
            }
            let field = |name: &str| {
                let found = lines.iter().find(|line| line.to_ascii_lowercase().starts_with(name));
                found.map(|line| line.split_once(": ").map_or("", |(_, value)| value).to_owned())
            };
            let Some(length) = field("content-length").and_then(|length| length.parse::<usize>().ok()) else {
                conn.send("HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\n\r\n");
                return;
            };
            conn.octets(length);
            let is_ntlm = field("authorization").is_some_and(|value| value.starts_with("NTLM "));
            let (status, challenge) = match (step, is_ntlm) {
                (0, true) => (
                    "401 Unauthorized",
                    "WWW-Authenticate: NTLM TlRMTVNTUAACAAAAAAAAADgAAAABAoIAASNFZ4mrze8AAAAAAAAAAAAAAAAAAAAA\r\n",
                ),
                (1, true) => ("200 OK", ""),
                _ => ("401 Unauthorized", "WWW-Authenticate: NTLM\r\n"),
            };
            step += usize::from(is_ntlm);
            conn.send(format!("HTTP/1.1 {status}\r\n{challenge}Content-Length: {}\r\n\r\n", 0));
        }
    });
    let address = setup.at(8440);
    let usher = setup
        .https("")
        .section(&format!(
            "[https]\narray = \"a\"\n[[array]]\nname = \"a\"\nhealth = {{ http = {{ probe = \"none\" }} }}\n\
             members = [{{ name = \"m.test\", http = {{ address = \"{address}\", tls = \"none\" }} }}]"
        ))
        .start();
    let output = Command::new("curl")
        .args(["-sk", "--http1.1", "--ntlm", "-u", "anna:secret", "-w", "%{http_code}", "--data", "a=b"])
        .arg(format!("https://{}/", usher.https()))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "200", "{}", usher.log());
}
