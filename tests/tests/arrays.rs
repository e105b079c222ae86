//! Plain TCP spread over the members of an array.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use usher_tests::client::Client;
use usher_tests::scripted::Scripted;
use usher_tests::usher::{DEADLINE, Setup, Usher};

/// Members m0, m1, … at ports from 13000 on, which say their name to whoever connects.
fn spread(setup: Setup, count: u16, array: &str, member: impl Fn(u16) -> String) -> (Usher, SocketAddr) {
    let listener = setup.at(12000);
    let members: Vec<_> = (0..count)
        .map(|at| {
            let address = setup.at(13000 + at);
            format!("{{ name = \"m{at}.test\", tcp = {{ address = \"{address}\" }}, {} }}", member(at))
        })
        .collect();
    let section = format!(
        "[[listener]]\nprotocol = \"tcp\"\naddress = \"{listener}\"\narray = \"a\"\n\
         [[array]]\nname = \"a\"\n{array}\nmembers = [{}]",
        members.join(", ").replace(",  }", " }")
    );
    (setup.section(&section).start(), listener)
}

fn says_its_name(setup: &Setup, at: u16) -> Scripted {
    Scripted::start(setup.at(13000 + at), move |mut conn| conn.send(format!("m{at}.test\n")))
}

fn member_of(listener: SocketAddr) -> String {
    Client::plain(listener).rest().0.trim_end().to_owned()
}

const NO_PROBES: &str = "health = { interval = \"1h\" }";

#[test]
fn each_balance_does_what_it_says() {
    for (balance, expected) in [
        ("round-robin", [50, 50, 100]),
        ("first", [200, 0, 0]),
        ("random-two", [50, 50, 100]),
        ("least-sessions", [50, 50, 100]),
    ] {
        let setup = Setup::new();
        let _members: Vec<_> = (0..3).map(|at| says_its_name(&setup, at)).collect();
        let weight = |at| if at == 2 { "weight = 2".to_owned() } else { String::new() };
        let (_usher, listener) = spread(setup, 3, &format!("balance = \"{balance}\"\n{NO_PROBES}"), weight);
        let mut counts: HashMap<String, i32> = HashMap::new();
        for _ in 0..200 {
            *counts.entry(member_of(listener)).or_default() += 1;
        }
        for (at, expected) in expected.into_iter().enumerate() {
            let count = counts.get(&format!("m{at}.test")).copied().unwrap_or(0);
            // Connections that end at once leave no mark, so that turns decide; some may still be ending.
            let slack = if balance == "least-sessions" || balance == "random-two" { 40 } else { 5 };
            assert!((count - expected).abs() <= slack, "{balance}: {counts:?}");
        }
    }
}

#[test]
fn sessions_that_stay_weigh() {
    let setup = Setup::new();
    let _members: Vec<_> = (0..2)
        .map(|at| {
            Scripted::start(setup.at(13000 + at), move |mut conn| {
                conn.send(format!("m{at}.test\n"));
                conn.line();
            })
        })
        .collect();
    let weight = |at| format!("weight = {}", at + 1);
    let (usher, listener) = spread(setup, 2, &format!("balance = \"least-sessions\"\n{NO_PROBES}"), weight);
    let mut clients: Vec<_> = (0..30).map(|_| Client::plain(listener)).collect();
    let names: Vec<_> = clients.iter_mut().map(Client::line).collect();
    let second = names.iter().filter(|name| *name == "m1.test").count();
    assert!((19..=21).contains(&second), "two thirds: {second}");
    assert_eq!(usher.shows("/v1/hosts/m1.test")[0]["sessions"], second);
    let shown = usher.shows("/v1/sessions?host=m1.test");
    assert_eq!(
        (shown["matching"].as_u64(), shown["sessions"][0]["protocol"].as_str()),
        (Some(second as u64), Some("tcp"))
    );
    assert!(usher.did(&["kick", "--host", "m1.test"]).starts_with(&format!("{second} ")));
    drop(clients);
    usher.wait_until("/v1/hosts/m0.test", |shown| shown[0]["sessions"] == 0);
}

#[test]
fn a_client_stays_at_its_member_as_long_as_that_is_there() {
    for array in ["balance = \"source-hash\"", "balance = \"least-sessions\"\naffinity = \"address\""] {
        let setup = Setup::new();
        let _members: Vec<_> = (0..4).map(|at| says_its_name(&setup, at)).collect();
        let (usher, listener) = spread(setup, 4, &format!("{array}\n{NO_PROBES}"), |_| String::new());
        let from = |number: u8| {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            socket.bind(&SocketAddr::from(([127, 9, 9, number], 0)).into()).unwrap();
            socket.connect(&listener.into()).unwrap();
            let mut name = String::new();
            TcpStream::from(socket).read_to_string(&mut name).unwrap();
            name.trim_end().to_owned()
        };
        let homes: Vec<_> = (1..40).map(from).collect();
        assert_eq!((1..40).map(from).collect::<Vec<_>>(), homes, "{array}");
        let distinct: std::collections::HashSet<_> = homes.iter().collect();
        assert!(distinct.len() > 2, "{array}: {homes:?}");
        usher.did(&["drain", "m1.test"]);
        for (number, home) in (1..40).zip(&homes) {
            let now = from(number);
            assert_ne!(now, "m1.test");
            assert!(now == *home || home == "m1.test", "{array}: only the drained one's clients move");
        }
    }
}

#[test]
fn ranges_go_to_the_same_port_and_the_address_goes_along() {
    let setup = Setup::new();
    let (ip, first) = (setup.ip, setup.at(6005));
    // On another address, where the members listen on the same ports.
    let member = usher_tests::address::own();
    let _members: Vec<_> = (6005..=6007)
        .map(|port| {
            Scripted::start(SocketAddr::new(member, port), move |mut conn| {
                let header = conn.line().unwrap_or_default();
                let asked = conn.line().unwrap_or_default();
                conn.send(format!("{port} {header} {asked}"));
            })
        })
        .collect();
    let _usher = setup
        .section(&format!(
            "[[listener]]\nprotocol = \"tcp\"\naddress = \"{first}-6007\"\narray = \"rpc\"\n\
             [[array]]\nname = \"rpc\"\nhealth = {{ tcp = {{ probe = \"none\" }} }}\n\
             members = [ {{ name = \"cas.test\", tcp = {{ address = \"{member}\", client_address = \"proxy-v1\" }} }} ]"
        ))
        .start();
    for port in 6005..=6007 {
        let mut tcp = TcpStream::connect((ip, port)).unwrap();
        tcp.set_read_timeout(Some(DEADLINE)).unwrap();
        let own = tcp.local_addr().unwrap();
        tcp.write_all(b"hello\n").unwrap();
        let mut said = String::new();
        tcp.read_to_string(&mut said).unwrap();
        let header = format!("PROXY TCP4 {} {ip} {} {port}", own.ip(), own.port());
        assert_eq!(said, format!("{port} {header} hello"));
    }
}

#[test]
fn octets_and_half_closes_pass_both_ways() {
    let setup = Setup::new();
    let address = setup.at(13000);
    let _member = Scripted::start(address, |mut conn| {
        let heard = conn.rest();
        conn.send(&heard);
        conn.send("end");
    });
    let (usher, listener) = spread(setup, 1, NO_PROBES, |_| String::new());
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut tcp = TcpStream::connect(listener).unwrap();
    tcp.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut writer = tcp.try_clone().unwrap();
    let sent = bytes.clone();
    let writing = std::thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        writer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut said = Vec::new();
    tcp.read_to_end(&mut said).unwrap();
    writing.join().unwrap();
    assert_eq!(said.len(), bytes.len() + 3);
    assert!(said.starts_with(&bytes) && said.ends_with(b"end"));
    usher.wait_for_log("bytes_from_client=3000000 bytes_from_backend=3000003");
}

/// A member that does not answer, rather than refuse, leaves time for another.
#[test]
fn a_member_that_does_not_answer_is_passed_over() {
    let setup = Setup::new().limits("backend_connect = \"3s\"");
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    full.bind(&setup.at(13000).into()).unwrap();
    full.listen(0).unwrap();
    // Its queue is full: the system answers nobody any more.
    let mut waiting = Vec::new();
    loop {
        let next = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let connected = next.connect_timeout(&setup.at(13000).into(), Duration::from_millis(200));
        if connected.is_err() {
            break;
        }
        waiting.push(next);
    }
    let _other = says_its_name(&setup, 1);
    let (_usher, listener) =
        spread(setup, 2, &format!("balance = \"first\"\n{NO_PROBES}"), |_| String::new());
    assert_eq!(member_of(listener), "m1.test");
}

/// What a member says last is heard, though it has closed and the client is still sending.
#[test]
fn last_words_are_heard_by_a_client_that_is_still_sending() {
    let setup = Setup::new();
    let _member = Scripted::start(setup.at(13000), |mut conn| {
        conn.octets(10);
        conn.send("too much\n");
    });
    let (_usher, listener) = spread(setup, 1, NO_PROBES, |_| String::new());
    for _ in 0..20 {
        let mut tcp = TcpStream::connect(listener).unwrap();
        tcp.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut writer = tcp.try_clone().unwrap();
        let writing = std::thread::spawn(move || while writer.write_all(&[b'x'; 8192]).is_ok() {});
        let mut said = [0; 9];
        tcp.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"too much\n");
        // It may be gone already.
        let _ = tcp.shutdown(std::net::Shutdown::Both);
        writing.join().unwrap();
    }
}

/// A member that does not close after the client's end is not waited for without end.
#[test]
fn a_half_closed_connection_ends_by_the_idle_limit() {
    let setup = Setup::new().limits("idle = \"1s\"");
    let _member = Scripted::start(setup.at(13000), |mut conn| {
        conn.rest();
        conn.tcp().set_read_timeout(None).unwrap();
        std::thread::park();
    });
    let (usher, listener) = spread(setup, 1, NO_PROBES, |_| String::new());
    // Quiet, but whole: nobody's to judge.
    let whole = TcpStream::connect(listener).unwrap();
    let half = TcpStream::connect(listener).unwrap();
    half.shutdown(std::net::Shutdown::Write).unwrap();
    usher.wait_for_log("cause=\"idle\"");
    usher.wait_until("/v1/sessions", |shown| shown["matching"] == 1);
    drop(whole);
    usher.wait_until("/v1/sessions", |shown| shown["matching"] == 0);
}

/// Five of twenty die and three are drained under a storm of connections.
#[test]
fn a_storm_meets_only_members_that_are_there() {
    const RATE: u64 = 2_000;
    const SECONDS: u64 = 6;
    let setup = Setup::new().limits("backend_connect = \"2s\"");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let members: Vec<_> = (0..20_u16)
        .map(|at| {
            let address = setup.at(13000 + at);
            runtime.spawn(async move {
                let listener = tokio::net::TcpListener::bind(address).await.unwrap();
                loop {
                    let (mut tcp, _) = listener.accept().await.unwrap();
                    tokio::spawn(async move {
                        let _ = tokio::io::AsyncWriteExt::write_all(&mut tcp, &[at as u8]).await;
                        // The client ends it.
                        let _ = tcp.read(&mut [0; 8]).await;
                    });
                }
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(100));
    let weight = |at: u16| format!("weight = {}", at % 3 + 1);
    let health = "balance = \"round-robin\"\nhealth = { interval = \"500ms\", fall = 3 }";
    let (usher, listener) = spread(setup, 20, health, weight);
    let seen: Arc<Mutex<Vec<(Duration, u8)>>> = Arc::default();
    let (failed, begun) = (Arc::new(Mutex::new(Vec::new())), Instant::now());
    let stop = Arc::new(AtomicBool::new(false));
    let (record, fails, stopped) = (seen.clone(), failed.clone(), stop.clone());
    let storm = runtime.spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        let mut running = tokio::task::JoinSet::new();
        while !stopped.load(Ordering::Relaxed) {
            ticks.tick().await;
            for _ in 0..RATE / 200 {
                let (record, fails) = (record.clone(), fails.clone());
                running.spawn(async move {
                    let at = begun.elapsed();
                    let one = async {
                        let mut tcp = tokio::net::TcpStream::connect(listener).await?;
                        tcp.read_u8().await
                    };
                    match one.await {
                        Ok(member) => record.lock().unwrap().push((at, member)),
                        Err(error) => fails.lock().unwrap().push((at, error.to_string())),
                    }
                });
            }
            while running.try_join_next().is_some() {}
        }
        while running.join_next().await.is_some() {}
    });
    std::thread::sleep(Duration::from_secs(1));
    for member in &members[..5] {
        member.abort();
    }
    for at in 5..8 {
        usher.did(&["drain", &format!("m{at}.test")]);
    }
    let out = begun.elapsed();
    std::thread::sleep(Duration::from_secs(SECONDS - 1));
    stop.store(true, Ordering::Relaxed);
    runtime.block_on(storm).unwrap();
    let seen = seen.lock().unwrap();
    eprintln!("{} connections in {:?}", seen.len(), begun.elapsed());
    // A client whose member dies in that moment sees its connection end.
    let failed = failed.lock().unwrap();
    let late = failed.iter().filter(|(at, _)| *at > out + Duration::from_secs(1)).collect::<Vec<_>>();
    assert!(late.is_empty(), "{late:?}");
    let later: Vec<u8> =
        seen.iter().filter(|(at, _)| *at > out + Duration::from_secs(1)).map(|(_, member)| *member).collect();
    assert!(later.len() > 4000, "the storm went on: {}", later.len());
    assert!(later.iter().all(|member| *member >= 8), "nobody goes to a member that is out");
    let weights: f64 = (8..20).map(|at| f64::from(at % 3 + 1)).sum();
    for at in 8..20_u8 {
        let count = later.iter().filter(|member| **member == at).count() as f64;
        let expected = later.len() as f64 * f64::from(at % 3 + 1) / weights;
        assert!((count / expected - 1.0).abs() < 0.1, "m{at}: {count} of {expected}");
    }
}
