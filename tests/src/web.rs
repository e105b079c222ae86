//! A sample web archive: says its name and what it saw, over HTTP/1.1 and HTTP/2.

use crate::certificate::Certificate;
use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context as Cx, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Octets of a chunk of a download.
const CHUNK: u64 = 64 * 1024;

/// The running archive.
pub struct Web {
    name: String,
    /// What was asked: method and target.
    asked: Mutex<Vec<String>>,
    connections: AtomicUsize,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

type Answer = Response<BoxBody<Bytes, io::Error>>;

impl Web {
    /// Serves on `address`, with TLS where there is a certificate.
    pub fn start(name: &str, address: SocketAddr, certificate: Option<&Certificate>) -> Arc<Self> {
        let listener = std::net::TcpListener::bind(address).expect("the web archive listens");
        listener.set_nonblocking(true).unwrap();
        let acceptor = certificate.map(|certificate| certificate.acceptor_for(&["h2", "http/1.1"]));
        let web = Arc::new(Self {
            name: name.to_owned(),
            asked: Mutex::default(),
            connections: AtomicUsize::new(0),
            accepting: Mutex::default(),
        });
        let serving = web.clone();
        let accepting = crate::runtime::runtime().spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((tcp, peer)) = listener.accept().await {
                let (web, acceptor) = (serving.clone(), acceptor.clone());
                tokio::spawn(async move {
                    let _ = tcp.set_nodelay(true);
                    match acceptor {
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(tcp).await {
                                Box::pin(web.serve(stream, peer)).await;
                            }
                        }
                        None => Box::pin(web.serve(tcp, peer)).await,
                    }
                });
            }
        });
        *web.accepting.lock().unwrap() = Some(accepting);
        web
    }

    /// Method and target of every request so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    async fn serve(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: SocketAddr,
    ) {
        let number = self.connections.fetch_add(1, Ordering::Relaxed) + 1;
        let service = service_fn(move |request| {
            let web = self.clone();
            async move { Ok::<_, Infallible>(web.answer(request, peer, number).await) }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http2().enable_connect_protocol();
        let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
    }

    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr, connection: usize) -> Answer {
        let target = request.uri().path_and_query().map_or("*", |target| target.as_str()).to_owned();
        self.asked.lock().unwrap().push(format!("{} {target}", request.method()));
        let path = request.uri().path().to_owned();
        let part = |prefix: &str| path.strip_prefix(prefix).and_then(|rest| rest.parse::<u64>().ok());
        if let Some(octets) = part("/download/") {
            return download(octets);
        }
        if let Some(millis) = part("/slow/") {
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
        if request.headers().contains_key("upgrade") {
            return echo(request);
        }
        let (parts, body) = request.into_parts();
        let is_login = parts.method == Method::POST && path == "/login";
        let (mut digest, mut length, mut start, mut trailers) = (Context::new(&SHA256), 0, Vec::new(), None);
        let mut body = body;
        while let Some(Ok(frame)) = body.frame().await {
            match frame.into_data() {
                Ok(data) => {
                    digest.update(&data);
                    length += data.len();
                    if start.len() < 1024 {
                        start.extend_from_slice(&data);
                    }
                }
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        if path == "/login" {
            return self.login(is_login, &String::from_utf8_lossy(&start));
        }
        let seen = json!({
            "host": self.name,
            "version": format!("{:?}", parts.version),
            "method": parts.method.as_str(),
            "target": target,
            "authority": parts.uri.authority().map(ToString::to_string),
            "user": basic_user(&parts.headers),
            "headers": fields(&parts.headers),
            "trailers": trailers.as_ref().map(fields),
            "octets": length,
            "sha256": hex(digest.finish().as_ref()),
            "peer": peer.to_string(),
            "connection": connection,
        });
        let mut answer = Response::new(full(format!("{seen}\n")));
        answer.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
        answer.headers_mut().insert("x-held-by", HeaderValue::from_str(&self.name).unwrap());
        let is_refused = path == "/guarded" && !has_password(&parts.headers);
        if let Some(status) = part("/status/").or(is_refused.then_some(401)) {
            *answer.status_mut() = StatusCode::from_u16(status as u16).unwrap();
        }
        if path == "/blank" {
            answer.headers_mut().insert("x-blank", HeaderValue::from_static(" v"));
        }
        if let Some(cookie) = parts.headers.get("x-set-cookie") {
            for cookie in cookie.to_str().unwrap().split('|') {
                answer.headers_mut().append("set-cookie", HeaderValue::from_str(cookie).unwrap());
            }
        }
        if path == "/blank-trailers" {
            let fields = HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from_static("v\t"))]);
            let frames = [Frame::data(Bytes::from_static(b"body")), Frame::trailers(fields)];
            *answer.body_mut() =
                BodyExt::boxed(StreamBody::new(Frames(frames.map(Ok::<_, io::Error>).into_iter())));
        }
        if path == "/trailers" {
            let mut fields = HeaderMap::new();
            fields.insert("x-checksum", HeaderValue::from_static("1234"));
            fields.insert("content-length", HeaderValue::from_static("9"));
            let frames = [Frame::data(Bytes::from_static(b"body")), Frame::trailers(fields)];
            let frames = frames.map(Ok::<_, io::Error>);
            *answer.body_mut() = BodyExt::boxed(StreamBody::new(Frames(frames.into_iter())));
            answer.headers_mut().insert("trailer", HeaderValue::from_static("x-checksum"));
        }
        answer
    }

    /// A form, and what comes of it: the password is `secret`.
    fn login(&self, posted: bool, form: &str) -> Answer {
        let name = &self.name;
        if !posted {
            let page = format!(
                "<!doctype html><title>{name}</title><form method=\"post\" action=\"/login\">\
                 <input name=\"username\"><input name=\"password\" type=\"password\"><button>Log in</button></form>"
            );
            let mut answer = Response::new(full(page));
            answer.headers_mut().insert("content-type", HeaderValue::from_static("text/html"));
            return answer;
        }
        let mut answer = Response::new(full(format!("{name} saw {form}\n")));
        if form.contains("secret") {
            *answer.status_mut() = StatusCode::SEE_OTHER;
            answer.headers_mut().insert("location", HeaderValue::from_static("/inbox"));
            answer.headers_mut().insert("set-cookie", HeaderValue::from_static("app=1; Path=/"));
        } else {
            *answer.status_mut() = StatusCode::UNAUTHORIZED;
        }
        answer
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        if let Some(accepting) = self.accepting.lock().unwrap().take() {
            accepting.abort();
        }
    }
}

/// Octet number `at` of every download.
pub fn octet(at: u64) -> u8 {
    (at % 251) as u8
}

/// SHA-256 of a download of so many octets, in hexadecimal.
pub fn download_digest(octets: u64) -> String {
    let mut digest = Context::new(&SHA256);
    let mut at = 0;
    while at < octets {
        let chunk = chunk(at, octets);
        digest.update(&chunk);
        at += chunk.len() as u64;
    }
    hex(digest.finish().as_ref())
}

fn chunk(at: u64, end: u64) -> Vec<u8> {
    (at..end.min(at + CHUNK)).map(octet).collect()
}

/// Octets in hexadecimal.
pub fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn full(text: String) -> BoxBody<Bytes, io::Error> {
    Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed()
}

fn fields(headers: &HeaderMap) -> Value {
    let mut shown = serde_json::Map::new();
    for name in headers.keys() {
        let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        shown.insert(name.to_string(), Value::from(values.collect::<Vec<_>>()));
    }
    Value::Object(shown)
}

fn basic_user(headers: &HeaderMap) -> Option<String> {
    basic_pair(headers).map(|(user, _)| user)
}

fn has_password(headers: &HeaderMap) -> bool {
    basic_pair(headers).is_some_and(|(_, password)| password == "secret")
}

fn basic_pair(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let decoded = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
    decoded.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}

/// Answers with what comes, after it has switched.
fn echo(mut request: Request<Incoming>) -> Answer {
    let protocol = request.headers()["upgrade"].clone();
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(switched) = upgrade.await else { return };
        let (mut read, mut write) = tokio::io::split(TokioIo::new(switched));
        let _ = tokio::io::copy(&mut read, &mut write).await;
    });
    let mut answer = Response::new(full(String::new()));
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    answer.headers_mut().insert("connection", HeaderValue::from_static("upgrade"));
    answer.headers_mut().insert("upgrade", protocol);
    answer
}

/// A body of so many octets, made while it is sent.
struct Download {
    at: u64,
    end: u64,
    block: Bytes,
}

impl hyper::body::Body for Download {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Cx<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.at == self.end {
            return Poll::Ready(None);
        }
        // The pattern repeats, so one block serves all.
        let length = (self.end - self.at).min(CHUNK);
        let from = (self.at % 251) as usize;
        let data = self.block.slice(from..from + length as usize);
        self.at += length;
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        hyper::body::SizeHint::with_exact(self.end - self.at)
    }
}

fn download(octets: u64) -> Answer {
    let block: Vec<u8> = (0..CHUNK + 251).map(octet).collect();
    Response::new(BodyExt::boxed(Download { at: 0, end: octets, block: Bytes::from(block) }))
}

/// Frames that are there already.
struct Frames<I>(I);

impl<I: Iterator + Unpin> futures_core::Stream for Frames<I> {
    type Item = I::Item;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Cx<'_>) -> Poll<Option<I::Item>> {
        Poll::Ready(self.0.next())
    }
}
