//! A thousand sessions over a real Dovecot and the sample archive, drained for maintenance.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use aws_lc_rs::digest::{Context, SHA256, digest};
use rustix::process::Signal;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Barrier, watch};
use usher_tests::archive::Options;
use usher_tests::client::Client;
use usher_tests::dovecot::{Dovecot, Mode, PASSWORD};
use usher_tests::runtime::archive;
use usher_tests::swarm::Swimmer;
use usher_tests::usher::{Setup, Usher};

const SESSIONS: usize = 500;
const FETCHING: usize = 12;
const LARGE: usize = 10 << 20;
const GONE: &[u8] = b"* BYE [UNAVAILABLE] Connection is closing, please reconnect.\r\n";

/// Ten megabytes of lines, among them such that a tracker could trip over.
fn large() -> Vec<u8> {
    let mut text = b"Subject: large\r\n\r\n".to_vec();
    let mut number = 0_u64;
    while text.len() <= LARGE {
        number += 1;
        let line = match number % 97 {
            0 => "* BYE [UNAVAILABLE] not really {7}\r\n".to_owned(),
            1 => "f OK FETCH done {3+}\r\n".to_owned(),
            _ => format!("{:064x}\r\n", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        };
        text.extend_from_slice(line.as_bytes());
    }
    text
}

async fn logged_in(address: SocketAddr, user: &str) -> io::Result<Swimmer> {
    let mut client = Swimmer::connect(address).await?;
    let said = client.command(&format!("l LOGIN {user} {PASSWORD}")).await?;
    if said.starts_with("l OK") { Ok(client) } else { Err(io::Error::other(said)) }
}

/// Everything that a session did not get a whole line of, or that did not end with a goodbye.
fn framed(rest: &[u8]) -> bool {
    rest.ends_with(GONE) && rest.split_inclusive(|b| *b == b'\n').all(|line| line.ends_with(b"\r\n"))
}

#[test]
fn a_drain_of_a_thousand_sessions_tears_nothing() {
    let setup = Setup::new()
        .server("login_wait = \"2s\"\ndrain_deadline = \"90s\"")
        .limits("goodbye_window = \"5s\"\nquiet = \"1s\"");
    let message = large();
    let expected = Arc::new(digest(&SHA256, &message).as_ref().to_vec());
    let (real, sample, other) = (setup.at(10143), setup.at(10144), setup.at(10145));
    let dovecot = Dovecot::start("real.test", real, Mode::Plain);
    dovecot.add_user("real@example.com");
    dovecot.deliver("real@example.com", "large", &message);
    let held = archive(Options::named("sample.test"), sample);
    held.add_user("sample@example.com", PASSWORD);
    held.deliver("sample@example.com", &message);
    archive(Options::named("other.test"), other).add_user("other@example.com", PASSWORD);
    let usher = setup
        .host("real.test", real, "tls = \"none\", client_address = \"proxy-v1\"", "login_as = \"canonical\"")
        .host("sample.test", sample, "tls = \"none\"", "login_as = \"canonical\"")
        .host("other.test", other, "tls = \"none\"", "login_as = \"canonical\"")
        .users(&[
            ("real@example.com", "real.test"),
            ("sample@example.com", "sample.test"),
            ("other@example.com", "other.test"),
        ])
        .start();
    let address = usher.imaps();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (drained, drain) = watch::channel(false);
    let ready = Arc::new(Barrier::new(2 * SESSIONS + 1));
    let (torn, idle_ends) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let done = Arc::new(AtomicBool::new(false));
    // Sessions come in as fast as the machine takes them, not all at once.
    let gate = Arc::new(tokio::sync::Semaphore::new(32));
    let mut running = Vec::new();
    for number in 0..2 * SESSIONS {
        let user = if number % 2 == 0 { "real" } else { "sample" };
        let (ready, torn, idle_ends, expected) =
            (ready.clone(), torn.clone(), idle_ends.clone(), expected.clone());
        let (mut drain, gate) = (drain.clone(), gate.clone());
        running.push(runtime.spawn(async move {
            let place = gate.acquire().await.unwrap();
            let mut client = logged_in(address, user).await.expect("a session");
            client.command("s SELECT INBOX").await.unwrap();
            drop(place);
            let role = number / 2;
            if role < FETCHING {
                // In the middle of it when the drain begins.
                client.send("f FETCH 2 BODY.PEEK[]").await.unwrap();
                let line = client.line().await.unwrap();
                let size: usize =
                    line.trim_end_matches('}').rsplit_once('{').unwrap().1.parse().expect("a literal");
                assert!(line.starts_with("* 2 FETCH") && size > LARGE, "{line}");
                let mut context = Context::new(&SHA256);
                let first = client.octets(100_000).await.unwrap();
                context.update(&first);
                ready.wait().await;
                drain.wait_for(|drained| *drained).await.unwrap();
                let mut left = size - first.len();
                while left > 0 {
                    match client.octets(left.min(65_536)).await {
                        Ok(chunk) => {
                            left -= chunk.len();
                            context.update(&chunk);
                        }
                        Err(_) => break,
                    }
                }
                let rest = client.rest().await;
                if context.finish().as_ref() != expected.as_slice() || !framed(&rest) {
                    torn.fetch_add(1, Ordering::Relaxed);
                }
            } else {
                let idles = role < SESSIONS / 2;
                if idles {
                    client.send("i IDLE").await.unwrap();
                    while !client.line().await.unwrap().starts_with('+') {}
                }
                ready.wait().await;
                let rest = client.rest().await;
                if !framed(&rest) {
                    torn.fetch_add(1, Ordering::Relaxed);
                } else if idles {
                    idle_ends.fetch_add(1, Ordering::Relaxed);
                }
            }
        }));
    }
    runtime.block_on(ready.wait());
    let (logins, failures) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    for _ in 0..2 {
        let (done, logins, failures) = (done.clone(), logins.clone(), failures.clone());
        running.push(runtime.spawn(async move {
            while !done.load(Ordering::Relaxed) {
                let one = async { logged_in(address, "other").await?.close().await };
                let counter = if one.await.is_ok() { &logins } else { &failures };
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let drains = ["real.test", "sample.test"].map(|host| {
            let usher = &usher;
            scope.spawn(move || usher.did(&["drain", host, "--why", "new disks", "--wait"]))
        });
        for host in ["real.test", "sample.test"] {
            usher.wait_until(&format!("/v1/hosts/{host}"), |shown| shown[0]["drain"].is_object());
        }
        drained.send_replace(true);
        for drain in drains {
            let said = drain.join().unwrap();
            assert!(said.contains(&format!("{SESSIONS} sessions ended")), "{said}");
        }
    });
    let took = begun.elapsed();
    done.store(true, Ordering::Relaxed);
    runtime.block_on(async {
        for session in running {
            session.await.unwrap();
        }
    });
    eprintln!("drained in {took:?}; {} logins of others meanwhile", logins.load(Ordering::Relaxed));
    assert!(took < Duration::from_secs(90), "within the deadline");
    assert_eq!(torn.load(Ordering::Relaxed), 0);
    assert_eq!(idle_ends.load(Ordering::Relaxed), 2 * (SESSIONS / 2 - FETCHING));
    assert_eq!(failures.load(Ordering::Relaxed), 0, "nobody else is disturbed");
    assert!(logins.load(Ordering::Relaxed) > 10);
    usher.wait_until("/v1/sessions", |shown| shown["matching"] == 0);
    let page = usher.shows("/metrics").to_string();
    for host in ["real.test", "sample.test"] {
        assert!(page.contains(&format!("usher_drain_sessions_at_start{{host=\\\"{host}\\\"}} {SESSIONS}")));
        assert!(page.contains(&format!("usher_drain_sessions_left{{host=\\\"{host}\\\"}} 0")));
    }
}

#[test]
fn whoever_asks_before_they_connect_hears_of_the_stop_first() {
    // 160
    let mut usher = Setup::new().server("stop_delay = \"3s\"").https("").start();
    let health =
        |usher: &Usher| usher_tests::http::ask(usher.https(), usher_tests::http::get("/healthcheck.htm", ""));
    assert_eq!(health(&usher).status, 200);
    usher.signal(Signal::TERM);
    let begun = Instant::now();
    while health(&usher).status == 200 {
        assert!(begun.elapsed() < Duration::from_secs(3), "said at once");
    }
    assert_eq!(usher.ask("GET", "/readyz", None).unwrap().0, 503);
    assert!(Client::plain(usher.imap()).line().starts_with("* OK "), "and still served");
    assert!(usher.wait().success());
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
}
