//! Many requests of many users on shared connections, and bodies that are larger than any memory.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use base64::Engine;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use serde_json::Value;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use usher_tests::certificate::Certificate;
use usher_tests::client::config_with_alpn;
use usher_tests::deadline::comes_to;
use usher_tests::nginx::Nginx;
use usher_tests::usher::{Setup, Usher};
use usher_tests::web::{Web, download_digest, octet};

const USERS: usize = 1000;
const HOSTS: usize = 3;

fn host_of(user: usize) -> String {
    format!("w{}.test", user % HOSTS)
}

fn authorization(user: usize) -> String {
    let pair = format!("user{user}@example.com:secret");
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

async fn connect(address: SocketAddr, protocol: &str) -> TlsStream<TcpStream> {
    let tcp = TcpStream::connect(address).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    let connector = TlsConnector::from(config_with_alpn(&[protocol]));
    connector.connect(ServerName::try_from("mail.test").unwrap(), tcp).await.unwrap()
}

async fn right_host(response: Response<Incoming>, user: usize) {
    assert_eq!(response.status(), 200, "user{user}");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let seen: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(seen["host"], host_of(user), "user{user}: {seen}");
    assert_eq!(seen["user"], format!("user{user}@example.com"));
}

/// Requests of all users in turn over HTTP/1.1 on one connection.
async fn one(address: SocketAddr, first: usize, count: usize) {
    let io = TokioIo::new(connect(address, "http/1.1").await);
    let (mut sender, connection) = http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    for at in 0..count {
        let user = (first + at * 7) % USERS;
        let request = Request::get(format!("/inbox?n={at}"))
            .header("host", "mail.test")
            .header("authorization", authorization(user))
            .body(Empty::<Bytes>::new())
            .unwrap();
        sender.ready().await.unwrap();
        right_host(sender.send_request(request).await.unwrap(), user).await;
    }
}

/// The same over HTTP/2, many at a time.
async fn two(address: SocketAddr, first: usize, count: usize) {
    let io = TokioIo::new(connect(address, "h2").await);
    let (sender, connection) = Box::pin(http2::handshake(TokioExecutor::new(), io)).await.unwrap();
    tokio::spawn(connection);
    let lanes: Vec<_> = (0..20)
        .map(|lane| {
            let mut sender = sender.clone();
            tokio::spawn(async move {
                for at in 0..count / 20 {
                    let user = (first + lane * 31 + at * 7) % USERS;
                    let request =
                        Request::get(format!("https://mail.test/inbox?n={at}").parse::<Uri>().unwrap())
                            .header("authorization", authorization(user))
                            .body(Empty::<Bytes>::new())
                            .unwrap();
                    right_host(sender.send_request(request).await.unwrap(), user).await;
                }
            })
        })
        .collect();
    for lane in lanes {
        lane.await.unwrap();
    }
}

#[test]
fn a_hundred_thousand_requests_reach_the_right_host() {
    let certificate = Certificate::for_names(&["web.test"]);
    let pin = format!("fingerprints = [{:?}]", certificate.pin());
    let mut setup = Setup::new().https("");
    let mut servers = Vec::new();
    for at in 0..HOSTS {
        let (name, address) = (format!("w{at}.test"), setup.at(8440 + at as u16));
        servers.push(Nginx::start(&name, address, Some(&certificate), ""));
        // One of them over HTTP/2.
        let version = if at == 2 { "tls = \"implicit\", version = \"2\"" } else { "tls = \"implicit\"" };
        setup = setup.web_host(&name, address, version, &pin);
    }
    let users: Vec<_> = (0..USERS).map(|user| (format!("user{user}@example.com"), host_of(user))).collect();
    let users: Vec<_> = users.iter().map(|(user, host)| (user.as_str(), host.as_str())).collect();
    let usher = setup.section("[https]\n").users(&users).start();
    let address = usher.https();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let begun = Instant::now();
    runtime.block_on(async {
        let ones = (0..10).map(|at| tokio::spawn(one(address, at * 97, 5000)));
        let twos = (0..5).map(|at| tokio::spawn(two(address, at * 53, 10_000)));
        let all: Vec<_> = ones.chain(twos).collect();
        for task in all {
            task.await.unwrap();
        }
    });
    assert_eq!(comes_to(100_000, || servers.iter().map(Nginx::requests).sum()), 100_000);
    println!("100,000 requests in {:?}, each at the right host", begun.elapsed());
    let shown = usher.shows("/v1/sessions");
    assert_eq!(shown["matching"], 0);
}

/// Octets of a transfer. `LARGE_GIB=5` makes it the whole measure.
fn large() -> u64 {
    let gib = std::env::var("LARGE_GIB").ok().and_then(|gib| gib.parse::<u64>().ok());
    gib.map_or(512 << 20, |gib| gib << 30)
}

/// usher before an archive over TLS, warmed up.
fn with_web() -> (Usher, Arc<Web>, u64) {
    let certificate = Certificate::for_names(&["web.test"]);
    let setup = Setup::new().https("");
    let address = setup.at(8440);
    let web = Web::start("w.test", address, Some(&certificate));
    let pin = format!("fingerprints = [{:?}]", certificate.pin());
    let usher = setup
        .web_host("w.test", address, "tls = \"implicit\"", &pin)
        .section("[https]\n")
        .users(&[("user0@example.com", "w.test")])
        .start();
    // The buffers of all threads are there.
    curl(&usher, &["-o", "/dev/null"], "/download/50000000");
    let idle = usher.resident();
    (usher, web, idle)
}

fn curl(usher: &Usher, words: &[&str], path: &str) -> String {
    let address = usher.https();
    let output = Command::new("curl")
        .args(["-sSk", "--fail", "-u", "user0@example.com:secret"])
        .args(["--connect-to", &format!("mail.test:443:{}:{}", address.ip(), address.port())])
        .args(words)
        .arg(format!("https://mail.test{path}"))
        .output()
        .expect("curl is installed; tests/install-peers does it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The largest growth of memory while `work` runs, in octets.
fn growth(usher: &Usher, idle: u64, work: impl FnOnce()) -> u64 {
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let watch = scope.spawn(move || {
            let mut most = idle;
            while let Err(std::sync::mpsc::RecvTimeoutError::Timeout) =
                is_done.recv_timeout(std::time::Duration::from_millis(20))
            {
                most = most.max(usher.resident());
            }
            most
        });
        work();
        drop(done);
        watch.join().unwrap().saturating_sub(idle)
    })
}

const FLAT: u64 = 20 << 20;

#[test]
fn a_large_download_is_whole_and_memory_stays_flat() {
    let (usher, _web, idle) = with_web();
    let octets = large();
    let wanted = download_digest(octets);
    for version in ["--http1.1", "--http2"] {
        let grown = growth(&usher, idle, || {
            let path = format!("/download/{octets}");
            let address = usher.https();
            let command = format!(
                "curl -sSk --fail {version} -u user0@example.com:secret --connect-to mail.test:443:{}:{} \
                 https://mail.test{path} | sha256sum",
                address.ip(),
                address.port()
            );
            let output = Command::new("sh").args(["-c", &command]).output().unwrap();
            let digest = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(digest.starts_with(&wanted), "{version}: {digest}");
        });
        println!("download of {octets} octets, {version}: {} KiB above idle", grown >> 10);
        assert!(grown < FLAT, "{version}: {grown}");
    }
}

#[test]
fn a_large_upload_is_whole_and_memory_stays_flat() {
    let (usher, _web, idle) = with_web();
    let octets = large();
    let wanted = download_digest(octets);
    let address = usher.https();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    for version in [1, 2] {
        let grown = growth(&usher, idle, || {
            let seen = runtime.block_on(upload(address, octets, version));
            assert_eq!(
                (seen["octets"].as_u64(), seen["sha256"].as_str()),
                (Some(octets), Some(wanted.as_str()))
            );
        });
        println!("upload of {octets} octets, HTTP/{version}: {} KiB above idle", grown >> 10);
        assert!(grown < FLAT, "HTTP/{version}: {grown}");
    }
}

/// A body of so many octets.
struct Pattern {
    at: u64,
    end: u64,
    block: Bytes,
}

impl futures_core::Stream for Pattern {
    type Item = Result<Frame<Bytes>, std::io::Error>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        if self.at == self.end {
            return std::task::Poll::Ready(None);
        }
        let length = (self.end - self.at).min(64 * 1024);
        let from = (self.at % 251) as usize;
        self.at += length;
        std::task::Poll::Ready(Some(Ok(Frame::data(self.block.slice(from..from + length as usize)))))
    }
}

async fn upload(address: SocketAddr, octets: u64, version: u8) -> Value {
    let block: Vec<u8> = (0..64 * 1024 + 251).map(octet).collect();
    let body = BodyExt::boxed(StreamBody::new(Pattern { at: 0, end: octets, block: Bytes::from(block) }));
    let request = Request::put("https://mail.test/upload")
        .header("authorization", authorization(0))
        .header("content-length", octets);
    let response = if version == 1 {
        let io = TokioIo::new(connect(address, "http/1.1").await);
        let (mut sender, connection) = http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        let mut request = request.header("host", "mail.test").body(body).unwrap();
        *request.uri_mut() = "/upload".parse().unwrap();
        sender.send_request(request).await.unwrap()
    } else {
        let io = TokioIo::new(connect(address, "h2").await);
        let (mut sender, connection) = Box::pin(http2::handshake(TokioExecutor::new(), io)).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request.body(body).unwrap()).await.unwrap()
    };
    let body = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{body:?}"))
}

#[test]
fn a_server_that_is_killed_in_the_middle_leaves_a_torn_response() {
    let setup = Setup::new().https("");
    let address = setup.at(8440);
    let mut nginx = Nginx::start("w.test", address, None, "limit_rate 2m;");
    let file = nginx.dir.path().join("files/large");
    std::fs::write(&file, vec![7; 64 << 20]).unwrap();
    let usher = setup
        .web_host("w.test", address, "tls = \"none\"", "")
        .section("[https]\n")
        .users(&[("user0@example.com", "w.test")])
        .start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let io = TokioIo::new(connect(usher.https(), "h2").await);
        let (mut two, connection) = Box::pin(http2::handshake(TokioExecutor::new(), io)).await.unwrap();
        tokio::spawn(connection);
        let io = TokioIo::new(connect(usher.https(), "http/1.1").await);
        let (mut one, connection) = http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        let request = |uri: &str| {
            Request::get(uri)
                .header("host", "mail.test")
                .header("authorization", authorization(0))
                .body(Full::<Bytes>::default())
                .unwrap()
        };
        let mut bodies = [
            two.send_request(request("https://mail.test/files/large")).await.unwrap().into_body(),
            one.send_request(request("/files/large")).await.unwrap().into_body(),
        ];
        for body in &mut bodies {
            assert!(body.frame().await.unwrap().is_ok());
        }
        nginx.kill();
        for body in &mut bodies {
            let end = loop {
                match body.frame().await {
                    Some(Ok(_)) => {}
                    Some(Err(_)) => break "torn",
                    None => break "complete",
                }
            };
            assert_eq!(end, "torn");
        }
    });
}
