//! The console of a large site: it opens at once, and stays live.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper::{Request, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;
use usher_tests::archive::Options;
use usher_tests::browser::Browser;
use usher_tests::client::config_with_alpn;
use usher_tests::runtime::archive;
use usher_tests::swarm::Swimmer;
use usher_tests::usher::{DEADLINE, Setup, Usher};
use usher_tests::web::Web;

const HOSTS: usize = 5000;
/// Each is at a host of their own.
const USERS: usize = 200;
/// Requests at a time on a connection.
const STREAMS: usize = 100;

/// An usher with so many hosts, all of them at two servers, and its console.
fn site() -> (Usher, SocketAddr, Arc<Web>) {
    let setup = Setup::new().https("");
    let (console, mail, web) = (setup.at(9143), setup.at(10143), setup.at(10080));
    let held = archive(Options::named("held.test"), mail);
    let answers = Web::start("held.test", web, None);
    let users: Vec<_> =
        (0..USERS).map(|number| (format!("u{number}@example.com"), format!("ih{number}.test"))).collect();
    let mut setup =
        setup.section(&format!("[admin]\nlisten = \"{console}\"\n[https]\nresponse_timeout = \"10m\""));
    let http = format!("http = {{ address = \"{web}\", tls = \"none\", version = \"2\" }}");
    for number in 0..HOSTS {
        setup = setup.host(&format!("ih{number}.test"), mail, "tls = \"none\"", &http);
    }
    for (user, _) in &users {
        held.add_user(user, "secret");
    }
    let listed: Vec<_> = users.iter().map(|(user, host)| (user.as_str(), host.as_str())).collect();
    (setup.users(&listed).start(), console, answers)
}

/// So many mail sessions.
fn swim(runtime: &Runtime, address: SocketAddr, count: usize) -> Vec<Swimmer> {
    let gate = Arc::new(Semaphore::new(32));
    let coming = (0..count).map(|number| {
        let gate = gate.clone();
        runtime.spawn(async move {
            let _place = gate.acquire().await.unwrap();
            let mut client = Swimmer::connect(address).await.unwrap();
            let said =
                client.command(&format!("l LOGIN u{}@example.com secret", number % USERS)).await.unwrap();
            assert!(said.starts_with("l OK"), "{said}");
            client
        })
    });
    let coming: Vec<_> = coming.collect();
    runtime.block_on(async move {
        let mut swimmers = Vec::new();
        for one in coming {
            swimmers.push(one.await.unwrap());
        }
        swimmers
    })
}

/// So many requests that get no answer, on connections that each carry `STREAMS`.
fn wait(runtime: &Runtime, address: SocketAddr, count: usize) {
    for connection in 0..count / STREAMS {
        runtime.spawn(async move {
            let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
            let name = ServerName::try_from("mail.test").unwrap();
            let stream = TlsConnector::from(config_with_alpn(&["h2"])).connect(name, tcp).await.unwrap();
            let (sender, driver) =
                Box::pin(http2::handshake(TokioExecutor::new(), TokioIo::new(stream))).await.unwrap();
            for number in 0..STREAMS {
                let user = format!("u{}@example.com", (connection * STREAMS + number) % USERS);
                let basic = format!("Basic {}", BASE64.encode(format!("{user}:secret")));
                let request = Request::get("https://mail.test/slow/600000".parse::<Uri>().unwrap());
                let request = request.header("authorization", basic).body(Empty::<Bytes>::new()).unwrap();
                let mut sender = sender.clone();
                tokio::spawn(async move {
                    let _ = sender.send_request(request).await;
                });
            }
            let _ = driver.await;
        });
    }
}

/// What a request gets.
fn asked(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{path}");
    answer
}

/// The first event for somebody who begins to follow.
fn first_event(address: SocketAddr) -> Value {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut reader = BufReader::new(stream);
    let mut event = String::new();
    while !event.starts_with("data:") {
        event.clear();
        reader.read_line(&mut event).unwrap();
    }
    serde_json::from_str(event.trim_start_matches("data:")).unwrap()
}

/// Does something and says how long it took.
fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = work();
    println!("{what}: {:.0} ms", begun.elapsed().as_secs_f64() * 1e3);
    done
}

fn large(mail: usize, requests: usize) {
    let (usher, console, _web) = site();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let swimmers = swim(&runtime, usher.imaps(), mail);
    wait(&runtime, usher.https(), requests);
    usher.wait_until("/v1/status", |status| status["sessions"] == mail + requests);
    for path in
        ["/", "/v1/sessions?limit=100", "/v1/sessions?host=ih7.test&limit=100", "/v1/hosts", "/v1/sources"]
    {
        timed(path, || asked(console, path));
    }
    let news = timed("first event", || first_event(console));
    assert_eq!(news["rows"].as_array().unwrap().len(), HOSTS);
    assert_eq!(news["pulse"]["sessions"], mail + requests);

    let browser = Browser::open("usher.test", console);
    browser.resize(1280, 900);
    timed("the page", || {
        browser.go(&format!("http://{console}/"));
        browser.see("caption", "5,000 of 5,000");
    });
    browser.type_into("#filter", "ih7.test");
    let of_one = |count: usize| (count / USERS).to_string();
    let cell = "[data-row=\"/ih7.test\"] [data-label=Sessions]";
    browser.see(cell, &of_one(mail + requests));
    // It follows what happens meanwhile.
    timed("a change is seen", || {
        usher.did(&["kick", "--user", "u7@example.com", "--protocol", "imaps"]);
        browser.see(cell, &of_one(requests));
    });
    browser.go(&format!("http://{console}/#/sessions"));
    browser.expect("matching", &thousands(mail + requests - mail / USERS));
    drop(swimmers);
    // What carries the requests is not all in the tasks that have begun them.
    runtime.shutdown_background();
    browser.expect("matching", "0");
}

fn thousands(number: usize) -> String {
    match number / 1000 {
        0 => number.to_string(),
        thousands => format!("{thousands},{:03}", number % 1000),
    }
}

#[test]
fn thousands_of_hosts_are_watched_live() {
    large(800, 1200);
}

#[test]
#[ignore = "twenty thousand sessions: make proof"]
fn thousands_of_hosts_and_sessions_are_watched_live() {
    large(8000, 12_000);
}
