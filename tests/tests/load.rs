//! Many logins of many users: every one at the right host, every octet there.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use aws_lc_rs::digest::{Digest, SHA256, digest};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use usher_tests::archive::{Archive, Options};
use usher_tests::client::Client;
use usher_tests::runtime::archive;
use usher_tests::scripted::{GREETING, Scripted};
use usher_tests::swarm::Swimmer;
use usher_tests::usher::{Setup, Usher};

const USERS: usize = 500;
const LOGINS: usize = 10_000;
const AT_ONCE: usize = 32;

/// A message of the user's own, with whatever a tracker could trip over, of a length of its own.
fn message(user: usize, host: usize) -> Vec<u8> {
    let mut state = (user * 3 + host) as u64 ^ 0x9e37_79b9_7f4a_7c15;
    let mut text = format!("Subject: user {user} at host {host}\r\n\r\n").into_bytes();
    for _ in 0..(user * 37) % 2000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        match state >> 60 {
            0 => text.extend_from_slice(b"{7}\r\n"),
            1 => text.extend_from_slice(b"* BYE [UNAVAILABLE] not really\r\n"),
            2 => text.extend_from_slice(b"f OK not yet {3+}\r\n"),
            3 => text.extend_from_slice(b"* CAPABILITY IMAP4rev1 COMPRESS=DEFLATE\r\n"),
            _ => text.extend_from_slice(&state.to_le_bytes()),
        }
    }
    text
}

fn fleet() -> (Usher, Vec<Arc<Archive>>) {
    let mut setup = Setup::new();
    let mut archives = Vec::new();
    for host in 0..3 {
        let (name, address) = (format!("ih{host}.test"), setup.at(10143 + host as u16));
        archives.push(archive(Options::named(&name), address));
        setup = setup.host(&name, address, "tls = \"none\"", "login_as = \"canonical\"");
    }
    let mut places = Vec::new();
    for user in 0..USERS {
        let host = user % 3;
        let name = format!("user{user}@example.com");
        archives[host].add_user(&name, "secret");
        archives[host].replace_inbox(&name, message(user, host));
        places.push((name, format!("ih{host}.test")));
    }
    let places: Vec<_> = places.iter().map(|(user, host)| (user.as_str(), host.as_str())).collect();
    (setup.users(&places).start(), archives)
}

#[test]
fn ten_thousand_logins_lose_nothing_and_nobody_while_others_are_moved() {
    let (usher, archives) = fleet();
    let expected: Arc<Vec<Digest>> =
        Arc::new((0..USERS).map(|user| digest(&SHA256, &message(user, user % 3))).collect());
    let (next, done) = (Arc::new(AtomicUsize::new(0)), AtomicBool::new(false));
    let address = usher.imaps();
    std::thread::scope(|scope| {
        // Other users come, move and go all the while, one by one and by import.
        let changes = scope.spawn(|| {
            let mut count = 0;
            while !done.load(Ordering::Relaxed) {
                let host = format!("ih{}.test", count % 3);
                assert!(usher.user(&["set", &format!("other{}", count % 50), &host]).status.success());
                let csv: String = (0..200).map(|n| format!("more{n},{host}\n")).collect();
                let path = usher.setup.dir.path().join("others.csv");
                std::fs::write(&path, csv).unwrap();
                assert!(usher.user(&["import", "--replace", path.to_str().unwrap()]).status.success());
                count += 1;
            }
            count
        });
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let workers: Vec<_> = (0..AT_ONCE)
                .map(|_| {
                    let (next, expected) = (next.clone(), expected.clone());
                    tokio::spawn(async move {
                        loop {
                            let number = next.fetch_add(1, Ordering::Relaxed);
                            if number >= LOGINS {
                                return;
                            }
                            let user = (number * 7) % USERS;
                            let mut client = Swimmer::connect(address).await.expect("a connection");
                            let answer = client.command(&format!("l LOGIN user{user} secret")).await.unwrap();
                            assert!(answer.starts_with("l OK"), "user{user}: {answer}");
                            client.command("s SELECT INBOX").await.unwrap();
                            let fetched = client.fetch().await.expect("the whole message");
                            let same = digest(&SHA256, &fetched).as_ref() == expected[user].as_ref();
                            assert!(same, "user{user} has read something else");
                            client.close().await.unwrap();
                        }
                    })
                })
                .collect();
            for worker in workers {
                worker.await.expect("no login fails");
            }
        });
        done.store(true, Ordering::Relaxed);
        assert!(changes.join().unwrap() > 0);
    });
    let logins: usize = archives.iter().map(|archive| archive.logins()).sum();
    assert_eq!(logins, LOGINS);
}

#[test]
fn unfinished_commands_cost_no_more_than_their_cap() {
    const CONNECTIONS: usize = 300;
    let usher = Setup::new().imap("plaintext_from = [\"127.0.0.0/8\"]").start();
    let hold = |count: usize| -> Vec<Client> {
        (0..count)
            .map(|_| {
                let mut client = Client::plain(usher.imap());
                client.line();
                // As much as a command may hold, and more than may be held behind it.
                client.send(format!("a LOGIN {} {{16384}}\r\n", "x".repeat(8000)));
                assert_eq!(client.line(), "+ OK");
                client.send([b'y'; 16383]);
                let _ = client.tcp().set_nonblocking(true);
                let mut tcp = client.tcp();
                let _ = tcp.write(&[b'z'; 16000]);
                client
            })
            .collect()
    };
    drop(hold(20));
    let before = usher.resident();
    let held = hold(CONNECTIONS);
    let each = usher.resident().saturating_sub(before) / CONNECTIONS as u64;
    // 32 KiB of input, and what a connection costs anyway.
    assert!(each < 44 * 1024, "{each} octets a connection");
    drop(held);
}

/// Sessions come and go in every way there is, while operators turn hosts on and off: nothing is left behind.
#[test]
fn a_hundred_thousand_sessions_leave_nothing_behind() {
    const SESSIONS: usize = 100_000;
    let setup = Setup::new()
        .server("login_wait = \"100ms\"\ndrain_deadline = \"1s\"")
        .imap("plaintext_from = [\"127.0.0.0/8\"]")
        .limits(
            "retry = \"20ms\"\nfarewell = \"200ms\"\ngoodbye_window = \"100ms\"\nbackend_connect = \"300ms\"",
        );
    let (good, bad, gone) = (setup.at(10143), setup.at(10144), setup.at(10145));
    let held = archive(Options::named("good.test"), good);
    held.add_user("good@example.com", "secret");
    let served = AtomicUsize::new(0);
    let _bad = Scripted::start(bad, move |mut conn| {
        let fault = served.fetch_add(1, Ordering::Relaxed) % 6;
        if fault == 0 {
            return;
        }
        conn.send(GREETING);
        let Some(_) = conn.line() else { return };
        match fault {
            1 => conn.send("L NO [UNAVAILABLE] not now\r\n"),
            2 => conn.send("L NO [AUTHENTICATIONFAILED] no\r\n"),
            3 => conn.send("* BYE I am going\r\n"),
            4 => conn.send("L OK in\r\n* 1 FETCH (BODY[] {100}\r\nabc"),
            _ => {
                conn.send("L OK in\r\n");
                conn.line();
            }
        }
    });
    let none = "health = { imap = { probe = \"none\" } }\nlogin_as = \"canonical\"";
    let usher = setup
        .host("good.test", good, "tls = \"none\"", none)
        .host("bad.test", bad, "tls = \"none\"", none)
        .host("gone.test", gone, "tls = \"none\"", none)
        .users(&[
            ("good@example.com", "good.test"),
            ("bad@example.com", "bad.test"),
            ("gone@example.com", "gone.test"),
        ])
        .start();
    let address = usher.imap();
    let (next, done) = (Arc::new(AtomicUsize::new(0)), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let operator = scope.spawn(|| {
            let mut changes = 0;
            while !done.load(Ordering::Relaxed) {
                let host = ["good", "bad", "gone"][changes % 3];
                let verb = ["drain", "start", "stop", "start"][changes % 4];
                usher.ask("POST", &format!("/v1/hosts/{host}.test/{verb}"), None).unwrap();
                usher.ask("DELETE", "/v1/sessions?host=good.test", None).unwrap();
                if changes % 5 == 0 {
                    usher.ask("POST", "/v1/reload", None).unwrap();
                }
                std::thread::sleep(std::time::Duration::from_millis(100));
                changes += 1;
            }
            changes
        });
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let workers: Vec<_> = (0..64)
                .map(|_| {
                    let next = next.clone();
                    tokio::spawn(async move {
                        loop {
                            let number = next.fetch_add(1, Ordering::Relaxed);
                            if number >= SESSIONS {
                                return;
                            }
                            // Whatever it comes to.
                            let _ = churn(address, number).await;
                        }
                    })
                })
                .collect();
            for worker in workers {
                worker.await.expect("no worker fails");
            }
        });
        done.store(true, Ordering::Relaxed);
        eprintln!("{} changes by operators", operator.join().unwrap());
    });
    usher.wait_until("/v1/status", |status| {
        let idle = |host: &serde_json::Value| host["sessions"] == 0;
        status["sessions"] == 0
            && status["connections"] == 0
            && status["held_logins"] == 0
            && status["backends"].as_array().unwrap().iter().all(idle)
    });
    assert!(held.logins() > SESSIONS / 20, "{}", held.logins());
}

async fn churn(address: std::net::SocketAddr, number: usize) -> std::io::Result<()> {
    let mut client = Swimmer::connect_plain(address).await?;
    // Those of the host that is gone wait; few are enough.
    let user = match number % 64 {
        0 => "gone",
        1..=20 => "bad",
        _ => "good",
    };
    match (number / 7) % 8 {
        // Gone in the middle of a literal.
        0 => client.send("a LOGIN {4}").await?,
        1 => client.send(&format!("a LOGIN {user} wrong")).await?,
        // Gone before the answer.
        2 => client.send(&format!("a LOGIN {user} secret")).await?,
        3 => {
            client.command(&format!("a LOGIN {user} secret")).await?;
        }
        4 => {
            client.command(&format!("a LOGIN {user} secret")).await?;
            client.send("b IDLE").await?;
            client.line().await?;
        }
        5 => {
            client.send(&format!("a LOGIN {user} secret\r\nb SELECT INBOX\r\nc APPEND INBOX {{5}}")).await?;
            client.line().await?;
        }
        _ => {
            client.command(&format!("a LOGIN {user} secret")).await?;
            client.close().await?;
        }
    }
    Ok(())
}
