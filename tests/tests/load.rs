//! Many logins of many users: every one at the right host, every octet there.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use aws_lc_rs::digest::{Digest, SHA256, digest};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use usher_tests::archive::{Archive, Options};
use usher_tests::client::Client;
use usher_tests::runtime::archive;
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
