//! CPU time of a small request over HTTPS, side by side with nginx and HAProxy: the same certificate, the same
//! backend, the same load, in turn.

use crate::Outcome;
use crate::peers::{Peer, cpu};
use crate::table::{Row, Table};
use std::error::Error;
use std::net::SocketAddr;
use std::process::Command;
use usher_tests::certificate::Certificate;
use usher_tests::usher::Setup;

/// Rounds, in each of which every proxy has its turn.
const ROUNDS: usize = 11;
/// `user@example.com:secret`.
const LOGIN: &str = "authorization: Basic dXNlckBleGFtcGxlLmNvbTpzZWNyZXQ=";

/// What is asked: its name, requests, and h2load's words.
const WORK: [(&str, u32, &[&str]); 3] = [
    ("small request, keep-alive h1", 40_000, &["--h1", "-c20", "-m1"]),
    ("small request, h2", 40_000, &["-c20", "-m10"]),
    ("with a new connection each", 3000, &["--h1"]),
];

/// The limits of each kind of work.
fn limited(row: Row, at: usize) -> Row {
    match at {
        0 => row.against("nginx", 1.40, 1.00),
        1 => row.against("nginx", 1.50, 1.00).against("HAProxy", 2.00, 1.20),
        _ => row.against("nginx", 0.80, 0.60),
    }
}

pub(crate) fn measure(table: &mut Table) -> Outcome {
    let setup = Setup::new().https("").environment("RUST_LOG", "info,usher::https=error");
    let (backend, nginx, haproxy) = (setup.at(18080), setup.at(18443), setup.at(18444));
    let certificate = Certificate::for_names(&["mail.test"]);
    let stub = "http { access_log off; keepalive_requests 100000000; server { listen ADDRESS; \
                location / { return 200 'hello, this is a small answer of one hundred octets, so that it is \
                like those that are often asked for.'; } } }";
    let _stub = Peer::nginx(&certificate, &stub.replace("ADDRESS", &backend.to_string()), backend)?;
    let proxy = "http { access_log off; keepalive_requests 100000000; upstream b { server BACKEND; keepalive 64; \
                 keepalive_requests 100000000; } server { listen ADDRESS ssl http2; ssl_certificate CHAIN; \
                 ssl_certificate_key KEY; ssl_ecdh_curve X25519; location / { proxy_pass http://b; \
                 proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $host; \
                 proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; } } }";
    let proxy = proxy.replace("ADDRESS", &nginx.to_string()).replace("BACKEND", &backend.to_string());
    let nginx_peer = Peer::nginx(&certificate, &proxy, nginx)?;
    let content = format!(
        " mode http\n option http-keep-alive\n option forwardfor\nfrontend f\n \
         bind {haproxy} ssl crt PEM alpn h2,http/1.1\n default_backend b\nbackend b\n http-reuse always\n server s {backend}"
    );
    let haproxy_peer = Peer::haproxy(&certificate, &content, haproxy)?;
    let own = setup.at(usher_tests::usher::HTTPS);
    let mut setup = setup;
    setup.certificate = certificate;
    let usher = setup
        .web_host("w.test", backend, "tls = \"none\"", "")
        .section("[https]\n")
        .users(&[("user@example.com", "w.test")])
        .start();
    let proxies = [
        ("usher", own, usher.pid()),
        ("nginx", nginx, nginx_peer.pid()),
        ("HAProxy", haproxy, haproxy_peer.pid()),
    ];
    for (at, (what, requests, words)) in WORK.into_iter().enumerate() {
        let mut row = limited(Row::new(format!("HTTPS {what}: CPU"), "µs"), at);
        for round in 0..=ROUNDS {
            for (name, address, pid) in proxies {
                let before = cpu(pid);
                load(address, requests, words)?;
                // The first round fills pools and caches.
                if round > 0 {
                    row.add(name, (cpu(pid) - before) / f64::from(requests) * 1e6);
                }
            }
        }
        table.add(row);
    }
    Ok(())
}

fn load(address: SocketAddr, requests: u32, words: &[&str]) -> Result<(), Box<dyn Error>> {
    let new_each = !words.contains(&"-m1") && !words.contains(&"-m10");
    let clients = format!("-c{requests}");
    let mut command = Command::new("h2load");
    command
        .args(["-t1", &format!("-n{requests}"), &format!("--connect-to={address}"), "-H", LOGIN])
        .args(words);
    if new_each {
        // As many clients as requests, a few of them at a time.
        command.args([&clients, "-r1500", "-m1"]);
    }
    let output = command.arg("https://mail.test/").output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let whole = format!("status codes: {requests} 2xx");
    if said.contains(&whole) { Ok(()) } else { Err(format!("h2load: {said}").into()) }
}
