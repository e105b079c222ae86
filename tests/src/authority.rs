//! An authority for certificates: pebble, with names that lead to the test, and somebody in front of it who breaks what a
//! test wants broken.

use crate::certificate::Certificate;
use crate::client;
use crate::deadline::DEADLINE;
use futures_util::FutureExt;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

const ACME: u16 = 14000;
const MANAGEMENT: u16 = 15000;
const FRONT: u16 = 14001;
const DNS: u16 = 8053;
const DNS_MANAGEMENT: u16 = 8055;

/// What is special about an authority.
#[derive(Clone, Copy)]
pub struct Rules {
    /// For how long certificates are valid, in seconds.
    pub validity: u64,
    /// How many of a hundred nonces are refused.
    pub bad_nonces: u8,
    /// Whether an account is bound to another one, `kid-1` with [`KEY`].
    pub bound: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self { validity: 90 * 24 * 60 * 60, bad_nonces: 0, bound: false }
    }
}

/// The key of the account `kid-1`.
pub const KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

/// An answer.
pub type Reply = Response<Full<Bytes>>;

/// What becomes of an answer; `None`: the connection is closed instead.
pub type Breaker = Box<dyn Fn(&str, Reply) -> Broken + Send + Sync>;

/// What a client is given.
pub enum Broken {
    /// This.
    Answer(Reply),
    /// The end of the connection.
    Closed,
    /// Nothing, ever.
    Silence,
}

/// The running authority.
pub struct Authority {
    ip: IpAddr,
    dir: TempDir,
    children: Vec<Child>,
    rules: Rules,
    ports: (u16, u16),
    certificate: Arc<Certificate>,
    breaker: Arc<Mutex<Option<Breaker>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Authority {
    /// Starts one on `ip`, where all names lead too: to `http` and `https` for proofs.
    pub fn start(ip: IpAddr, (http, https): (u16, u16), rules: Rules) -> Self {
        let mut authority = Self {
            ip,
            dir: tempfile::tempdir().unwrap(),
            children: Vec::new(),
            rules,
            ports: (http, https),
            certificate: Certificate::for_names(&[&ip.to_string()]),
            breaker: Arc::default(),
            asked: Arc::default(),
        };
        authority.begin();
        authority.stand_in_front();
        authority
    }

    /// Its directory.
    pub fn directory(&self) -> String {
        format!("https://{}:{FRONT}/dir", self.ip)
    }

    /// The same past whoever breaks its answers: another address, as if it were another authority.
    pub fn directory_behind(&self) -> String {
        format!("https://{}:{ACME}/dir", self.ip)
    }

    /// The file with whom to trust for it.
    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("authority.pem")
    }

    /// `[acme]` for it, with these keys more.
    pub fn section(&self, keys: &str) -> String {
        format!(
            "[acme]\ndirectory = \"{}\"\nca = {:?}\naccept_terms = true\n{keys}\n",
            self.directory(),
            self.ca()
        )
    }

    /// What it has been asked: method, path and status of the answer.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Breaks its answers from now on; `None`: they are whole again.
    pub fn break_by(&self, breaker: Option<Breaker>) {
        *self.breaker.lock().unwrap() = breaker;
    }

    /// It forgets everything and everybody.
    pub fn begin_anew(&mut self) {
        self.kill();
        self.begin();
    }

    /// It is gone.
    pub fn kill(&mut self) {
        for mut child in self.children.drain(..) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// It is there again.
    pub fn begin(&mut self) {
        let at = |port: u16| SocketAddr::new(self.ip, port);
        let (chain, key) = self.certificate.write(self.dir.path(), "authority");
        let Rules { validity, bad_nonces, bound } = self.rules;
        let (http, https) = self.ports;
        let config = serde_json::json!({ "pebble": {
            "listenAddress": at(ACME).to_string(),
            "managementListenAddress": at(MANAGEMENT).to_string(),
            "certificate": chain,
            "privateKey": key,
            "httpPort": http,
            "tlsPort": https,
            "certificateValidityPeriod": validity,
            "externalAccountBindingRequired": bound,
            "externalAccountMACKeys": { "kid-1": KEY },
        }});
        let file = self.dir.path().join("pebble.json");
        std::fs::write(&file, config.to_string()).unwrap();
        let names = spawn(Command::new("pebble-challtestsrv").args([
            "-dns01",
            &at(DNS).to_string(),
            "-http01",
            "",
            "-https01",
            "",
            "-tlsalpn01",
            "",
            "-management",
            &at(DNS_MANAGEMENT).to_string(),
            "-defaultIPv4",
            &self.ip.to_string(),
            "-defaultIPv6",
            "",
        ]));
        self.children.push(names);
        let pebble = spawn(
            Command::new("pebble")
                .args(["-dnsserver", &at(DNS).to_string(), "-config"])
                .arg(&file)
                .env("PEBBLE_VA_NOSLEEP", "1")
                .env("PEBBLE_AUTHZREUSE", "0")
                .env("PEBBLE_WFE_NONCEREJECT", bad_nonces.to_string()),
        );
        self.children.push(pebble);
        let until = Instant::now() + DEADLINE;
        for port in [DNS_MANAGEMENT, ACME] {
            while std::net::TcpStream::connect(at(port)).is_err() {
                assert!(Instant::now() < until, "pebble does not listen on {}", at(port));
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// Passes everything on that is not to be broken.
    fn stand_in_front(&self) {
        let listener = std::net::TcpListener::bind(SocketAddr::new(self.ip, FRONT)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let acceptor = self.certificate.acceptor_for(&["http/1.1"]);
        let behind = SocketAddr::new(self.ip, ACME);
        let (breaker, asked) = (self.breaker.clone(), self.asked.clone());
        crate::runtime::runtime().spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, breaker, asked) = (acceptor.clone(), breaker.clone(), asked.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(tcp).await else { return };
                    let serve = service_fn(|request| answer(behind, request, &breaker, &asked));
                    let connection = hyper::server::conn::http1::Builder::new();
                    let _ = connection.serve_connection(TokioIo::new(stream), serve).await;
                });
            }
        });
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(command: &mut Command) -> Child {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("pebble is installed; tests/install-peers does it")
}

async fn answer(
    behind: SocketAddr,
    request: Request<Incoming>,
    breaker: &Mutex<Option<Breaker>>,
    asked: &Mutex<Vec<String>>,
) -> io::Result<Reply> {
    let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
    let reply = match pass_on(behind, request).await {
        Ok(reply) => reply,
        Err(_) => {
            let mut reply = Reply::default();
            *reply.status_mut() = StatusCode::BAD_GATEWAY;
            reply
        }
    };
    let reply = if path == "/order-plz" { without_reuse(reply) } else { reply };
    asked.lock().unwrap().push(format!("{method} {path} {}", reply.status().as_u16()));
    let broken = match &*breaker.lock().unwrap() {
        Some(breaker) => breaker(&path, reply),
        None => Broken::Answer(reply),
    };
    match broken {
        Broken::Answer(reply) => Ok(reply),
        Broken::Closed => Err(io::Error::other("closed")),
        Broken::Silence => std::future::pending().await,
    }
}

/// Pebble takes an earlier proof for one order in a hundred even where it is told to take none; whoever orders is to order
/// again then, so that each order needs a proof of its own.
fn without_reuse(reply: Reply) -> Reply {
    let mut proven = false;
    let reply = with_body(reply, |body| {
        proven = body.contains("\"status\": \"ready\"");
        body.to_owned()
    });
    if proven { refusal(&reply, 400, "badNonce") } else { reply }
}

async fn pass_on(behind: SocketAddr, request: Request<Incoming>) -> io::Result<Reply> {
    let tcp = TcpStream::connect(behind).await?;
    let name = ServerName::IpAddress(behind.ip().into());
    let stream = TlsConnector::from(client::config()).connect(name, tcp).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(io::Error::other)?;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    Ok(Response::from_parts(parts, Full::new(body)))
}

/// The same answer with another body.
pub fn with_body(reply: Reply, change: impl FnOnce(&str) -> String) -> Reply {
    let (mut parts, body) = reply.into_parts();
    // All of it is here already.
    let body = body.collect().now_or_never().unwrap().unwrap().to_bytes();
    let body = change(&String::from_utf8_lossy(&body));
    parts.headers.remove(TRANSFER_ENCODING);
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    Response::from_parts(parts, Full::new(body.into()))
}

/// A refusal as authorities say it (RFC 8555 section 6.7).
pub fn refusal(reply: &Reply, status: u16, kind: &str) -> Reply {
    let said = format!("{{\"type\":\"urn:ietf:params:acme:error:{kind}\",\"detail\":\"made up\"}}");
    let mut refusal = Response::new(Full::new(Bytes::from(said)));
    *refusal.status_mut() = StatusCode::from_u16(status).unwrap();
    if let Some(nonce) = reply.headers().get("replay-nonce") {
        refusal.headers_mut().insert("replay-nonce", nonce.clone());
    }
    refusal
}
