//! Whether hosts that fail are out soon, and back when they are.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use socket2::{Domain, Socket, Type};
use std::io::Write;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use usher_tests::archive::{Options, Tls};
use usher_tests::certificate::Certificate;
use usher_tests::client::Client;
use usher_tests::dovecot::{Dovecot, Mode, PASSWORD};
use usher_tests::runtime::archive;
use usher_tests::scripted::{GREETING, Scripted};
use usher_tests::usher::{Setup, Usher};

const LATER: &str = "a NO [UNAVAILABLE] Temporarily unavailable, try again later.";

fn quick() -> Setup {
    Setup::new()
        .server("login_wait = \"500ms\"")
        .limits("retry = \"50ms\"\nfarewell = \"500ms\"\nbackend_connect = \"1s\"")
}

/// A host with this health and nothing else.
fn watched(setup: Setup, address: SocketAddr, imap: &str, keys: &str, health: &str) -> Usher {
    let keys =
        format!("{keys}\nhealth = {{ interval = \"200ms\", timeout = \"300ms\", ramp = \"1s\", {health} }}");
    setup.host("ih.test", address, imap, &keys).users(&[("anna@example.com", "ih.test")]).start()
}

fn first_line(usher: &Usher, user: &str, password: &str) -> String {
    let mut client = Client::tls(usher.imaps());
    client.send(format!("a LOGIN {user} {password}\r\n"));
    client.line()
}

/// Real Dovecot: killed as a crash would, out under traffic and without, and back.
#[test]
fn a_killed_dovecot_is_out_soon_and_back_with_a_ramp() {
    let setup = Setup::new().server("login_wait = \"20s\"").limits("retry = \"100ms\"\nfarewell = \"500ms\"");
    let address = setup.at(10143);
    let mut dovecot = Dovecot::start("ih.test", address, Mode::Plain);
    dovecot.add_user("anna@example.com");
    let keys = "login_as = \"canonical\"\nhealth = { interval = \"1s\", ramp = \"2s\", imap = { probe = \"greeting\" } }";
    let usher = setup
        .host("ih.test", address, "tls = \"none\", client_address = \"proxy-v1\"", keys)
        .users(&[("anna@example.com", "ih.test")])
        .start();
    assert!(first_line(&usher, "anna", PASSWORD).starts_with("a OK"));
    for traffic in [false, true] {
        let done = AtomicBool::new(false);
        let outcomes = std::sync::Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            if traffic {
                for _ in 0..4 {
                    scope.spawn(|| {
                        while !done.load(Ordering::Relaxed) {
                            let said = first_line(&usher, "anna", PASSWORD);
                            outcomes.lock().unwrap().push(said);
                        }
                    });
                }
                while outcomes.lock().unwrap().len() < 10 {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
            let begun = Instant::now();
            dovecot.kill();
            usher.wait_for_state("ih.test", "unhealthy");
            // The promise is 1 s under traffic and 5 s without; a busy machine gets more time than that.
            eprintln!("out after {:?}, traffic: {traffic}", begun.elapsed());
            assert!(begun.elapsed() < Duration::from_secs(10));
            let mut held = Client::tls(usher.imaps());
            held.send(format!("a LOGIN anna {PASSWORD}\r\n"));
            usher.wait_until("/v1/status", |status| status["held_logins"].as_u64() > Some(0));
            dovecot.start_again();
            let begun = Instant::now();
            usher.wait_until("/v1/hosts/ih.test", |shown| {
                let service = &shown[0]["services"][0];
                service["state"] == "returning" && service["share"].as_f64() < Some(1.0)
            });
            assert!(held.answer("a")[0].starts_with("a OK"), "held, and served on its return");
            usher.wait_for_state("ih.test", "up");
            eprintln!("back after {:?}", begun.elapsed());
            done.store(true, Ordering::Relaxed);
        });
        for said in outcomes.into_inner().unwrap() {
            assert!(said.starts_with("a OK") || said == LATER, "{said}");
        }
    }
}

#[test]
fn probes_go_as_deep_as_they_are_told() {
    let certificate = Certificate::for_names(&["ih.test"]);
    let other = Certificate::for_names(&["ih.test"]);
    let served = |setup: &Setup, password: &str| {
        let options = Options {
            tls: Tls::Implicit,
            certificate: Some(certificate.clone()),
            ..Options::named("ih.test")
        };
        let held = archive(options, setup.at(10143));
        held.add_user("probe@example.com", password);
    };
    let secret = |setup: &Setup| {
        let path = setup.dir.path().join("secret");
        std::fs::write(&path, "right\n").unwrap();
        format!("imap = {{ probe = \"login\", user = \"probe@example.com\", password_file = {path:?} }}")
    };
    for (probe, pin, password, state) in [
        ("tcp", &other, "right", "up"),
        ("tls", &certificate, "right", "up"),
        ("tls", &other, "right", "unhealthy"),
        ("greeting", &certificate, "right", "up"),
        ("greeting", &other, "right", "unhealthy"),
        ("login", &certificate, "right", "up"),
        ("login", &certificate, "wrong", "unhealthy"),
    ] {
        let setup = quick();
        served(&setup, password);
        let address = setup.at(10143);
        let health = match probe {
            "login" => secret(&setup),
            _ => format!("imap = {{ probe = \"{probe}\" }}"),
        };
        let keys = format!("fingerprints = [{:?}]", pin.pin());
        let usher = watched(setup, address, "tls = \"implicit\"", &keys, &health);
        // As many checks as a verdict takes.
        usher.wait_until("/metrics", |page| {
            let good = if state == "up" { "good" } else { "failed" };
            let line =
                format!("usher_host_checks_total{{host=\"ih.test\",service=\"imap\",result=\"{good}\"}} ");
            let count =
                page.as_str().unwrap().lines().find_map(|page| page.strip_prefix(&line)?.parse().ok());
            count.unwrap_or(0) >= 4
        });
        assert_eq!(usher.state("ih.test", 0), state, "{probe}");
        assert!(!usher.log().contains("right"), "no password in the log");
    }
}

#[test]
fn http_is_asked_for_status_and_body() {
    for (answer, state) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nI am healthy", "up"),
        ("HTTP/1.1 503 Busy\r\nContent-Length: 12\r\n\r\nI am healthy", "unhealthy"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nI am sick", "unhealthy"),
        ("* OK this is IMAP\r\n", "unhealthy"),
    ] {
        let setup = quick();
        let address = setup.at(10080);
        let http = Scripted::start(address, move |mut conn| {
            while conn.line().is_some_and(|line| !line.is_empty()) {}
            conn.send(answer);
        });
        let keys = format!("http = {{ address = \"{address}\", tls = \"none\" }}");
        let health = "imap = { probe = \"none\" }, http = { probe = \"get\", path = \"/healthcheck.htm\", body = \"healthy\" }";
        let usher = watched(setup, address, "tls = \"none\"", &keys, health);
        let good = if state == "up" { "good" } else { "failed" };
        let line = format!("usher_host_checks_total{{host=\"ih.test\",service=\"http\",result=\"{good}\"}} ");
        usher.wait_until("/metrics", |page| {
            let count =
                page.as_str().unwrap().lines().find_map(|page| page.strip_prefix(&line)?.parse().ok());
            count.unwrap_or(0) >= 4
        });
        let shown = usher.shows("/v1/hosts/ih.test");
        assert_eq!(shown[0]["services"][1]["state"], state);
        assert_eq!(shown[0]["services"][0]["state"], "up", "a hold of one protocol is not one of the other");
        assert!(String::from_utf8_lossy(&http.heard()).starts_with("GET /healthcheck.htm HTTP/1.1\r\n"));
    }
}

/// A real HTTPS server, found by its pin.
#[test]
fn http_over_tls_is_pinned() {
    for right in [true, false] {
        let setup = quick();
        let (address, imap) = (setup.at(10443), setup.at(10143));
        let certificate = Certificate::for_names(&["ih.test"]);
        let (chain, key) = certificate.write(setup.dir.path(), "https");
        let mut server = Command::new("openssl")
            .args(["s_server", "-quiet", "-www", "-accept", &address.to_string()])
            .arg("-cert")
            .arg(chain)
            .arg("-key")
            .arg(key)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is installed");
        while std::net::TcpStream::connect(address).is_err() {
            assert!(server.try_wait().unwrap().is_none(), "openssl has ended");
            std::thread::sleep(Duration::from_millis(10));
        }
        let pin = if right { certificate.pin() } else { Certificate::for_names(&["ih.test"]).pin() };
        let keys =
            format!("http = {{ address = \"{address}\", tls = \"implicit\" }}\nfingerprints = [{pin:?}]");
        let health =
            "imap = { probe = \"none\" }, http = { probe = \"get\", path = \"/\", body = \"Ciphers\" }";
        let usher = watched(setup, imap, "tls = \"none\"", &keys, health);
        let shown = usher.wait_until("/v1/hosts/ih.test", |shown| {
            let service = &shown[0]["services"][1];
            service["fault"].is_null() && service["certificate_ends"].is_i64()
                || service["state"] == "unhealthy"
        });
        let service = &shown[0]["services"][1];
        match right {
            true => assert_eq!(service["state"], "up", "{service}"),
            false => {
                assert!(service["fault"].as_str().unwrap().contains("match any of the pins"), "{service}")
            }
        }
        let _ = server.kill();
        let _ = server.wait();
    }
}

/// A host that fails every other time stays in; one that comes back takes new sessions little by little.
#[test]
fn a_flapping_host_stays_in_service() {
    let setup = quick();
    let address = setup.at(10143);
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let _scripted = Scripted::start(address, move |mut conn| {
        if counted.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            conn.send(GREETING);
            conn.line();
        }
    });
    let usher = watched(setup, address, "tls = \"none\"", "", "imap = { probe = \"greeting\" }");
    usher.wait_until("/v1/status", |_| asked.load(Ordering::Relaxed) >= 12);
    assert!(!usher.log().contains("out of service"), "{}", usher.log());
}

/// What a session has found beyond the TCP connection, a probe that only connects cannot see mended.
#[test]
fn a_host_with_the_wrong_certificate_does_not_come_back_by_connecting() {
    let setup = quick();
    let (certificate, other) = (Certificate::for_names(&["ih.test"]), Certificate::for_names(&["ih.test"]));
    let address = setup.at(10143);
    let options = Options { tls: Tls::Implicit, certificate: Some(certificate), ..Options::named("ih.test") };
    let _held = archive(options, address);
    let keys = format!("fingerprints = [{:?}]", other.pin());
    let usher = watched(setup, address, "tls = \"implicit\"", &keys, "imap = { probe = \"tcp\" }");
    while usher.state("ih.test", 0) == "up" {
        assert_eq!(first_line(&usher, "anna", "secret"), LATER);
    }
    let failed = "usher_host_checks_total{host=\"ih.test\",service=\"imap\",result=\"failed\"} ";
    usher.wait_until("/metrics", |page| {
        let lines = page.as_str().unwrap().lines();
        lines.filter_map(|line| line.strip_prefix(failed)?.parse::<u32>().ok()).any(|count| count >= 4)
    });
    assert_eq!(usher.state("ih.test", 0), "unhealthy");
    assert!(!usher.log().contains("back in service"));
}

/// Failing sessions bring the next probe nearer, and never put it off.
#[test]
fn failing_sessions_do_not_starve_the_probes() {
    let setup = quick();
    let address = setup.at(10143);
    // Well enough for a probe, and for nobody else: a login is refused in the greeting.
    let _scripted = Scripted::start(address, move |mut conn| {
        conn.send("* BYE not you\r\n");
    });
    let usher = watched(setup, address, "tls = \"none\"", "", "imap = { probe = \"tcp\" }");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while usher.state("ih.test", 0) == "up" {
                    first_line(&usher, "anna", "secret");
                }
            });
        }
    });
    // What was said to a session is for a probe to confirm, and this one did, at the same depth.
    assert!(!usher.did(&["status"]).contains("a session failed"));
}

#[test]
fn an_agent_holds_and_releases() {
    let setup = quick();
    let (address, agent) = (setup.at(10143), setup.at(10777));
    archive(Options::named("ih.test"), address).add_user("anna@example.com", "secret");
    let word = Arc::new(std::sync::Mutex::new("up\n"));
    let said = word.clone();
    let _agent = Scripted::start(agent, move |mut conn| conn.send(*said.lock().unwrap()));
    let health = format!("imap = {{ probe = \"tcp\" }}, agent = \"{agent}\"");
    let usher = watched(setup, address, "tls = \"none\"", "login_as = \"canonical\"", &health);
    assert!(first_line(&usher, "anna", "secret").starts_with("a OK"));
    for (says, state) in [
        ("drain\n", "held"),
        ("up\n", "held"),
        ("ready\n", "up"),
        ("down\n", "held"),
        ("up 50%\n", "up"),
        ("maint\n", "held"),
    ] {
        *word.lock().unwrap() = says;
        usher.wait_for_state("ih.test", state);
        if state == "held" {
            assert_eq!(first_line(&usher, "anna", "secret"), LATER, "as an outage");
        }
    }
    // An operator's start does not overrule it, and its own word does not undo an operator's drain.
    assert!(usher.did(&["start", "ih.test"]).contains("still held by agent"));
    usher.did(&["drain", "ih.test"]);
    *word.lock().unwrap() = "ready\n";
    usher.wait_until("/v1/hosts/ih.test", |shown| shown[0]["holds"].as_array().unwrap().len() == 1);
    assert_eq!(usher.state("ih.test", 0), "drained");
}

/// Most hosts stop answering at once: the cable of this machine is a better guess than all of theirs.
#[test]
fn a_checker_that_sees_most_hosts_time_out_suspects_itself() {
    let mut setup = quick();
    let mute = Arc::new(AtomicBool::new(false));
    let mut scripts = Vec::new();
    for at in 0..6 {
        let address = setup.at(10143 + at);
        let mute = mute.clone();
        if at < 5 {
            scripts.push(Scripted::start(address, move |mut conn| {
                if mute.load(Ordering::Relaxed) {
                    // Until usher gives up.
                    conn.line();
                } else {
                    conn.send(GREETING);
                    conn.line();
                }
            }));
        }
        let health =
            "health = { interval = \"200ms\", timeout = \"300ms\", imap = { probe = \"greeting\" } }";
        setup = setup.host(&format!("ih{at}.test"), address, "tls = \"none\"", health);
    }
    let usher = setup.start();
    // A refused connection is always believed.
    usher.wait_for_state("ih5.test", "unhealthy");
    mute.store(true, Ordering::Relaxed);
    usher.wait_until("/v1/status", |status| status["checker_suspected"] == true);
    usher.wait_for_log("keeping the last good state");
    let failed = |name: &str, page: &str| {
        let line = format!("usher_host_checks_total{{host=\"{name}\",service=\"imap\",result=\"failed\"}} ");
        page.lines().find_map(|page| page.strip_prefix(&line)?.parse::<u32>().ok()).unwrap_or(0)
    };
    usher.wait_until("/metrics", |page| {
        (0..5).all(|at| failed(&format!("ih{at}.test"), page.as_str().unwrap()) >= 8)
    });
    for at in 0..5 {
        assert_eq!(usher.state(&format!("ih{at}.test"), 0), "up", "{at}");
    }
    assert_eq!(usher.state("ih5.test", 0), "unhealthy");
    mute.store(false, Ordering::Relaxed);
    usher.wait_until("/v1/status", |status| status["checker_suspected"] == false);
    for at in 0..5 {
        usher.wait_for_state(&format!("ih{at}.test"), "up");
        assert!(
            !usher.log().contains(&format!("out of service host=ih{at}.test")),
            "not on its return either"
        );
    }
}

/// Failures of sessions alone take out at most half of an array.
#[test]
fn sessions_eject_at_most_half_of_an_array() {
    let setup = quick();
    let listener = setup.at(12000);
    // Their queues are full, so that connections to them wait for ever; the first probes are far away.
    let full: Vec<_> = (0..4).map(|at| full_queue(setup.at(13000 + at))).collect();
    let members: Vec<_> = (0..4)
        .map(|at| format!("{{ name = \"m{at}.test\", tcp = {{ address = \"{}\" }} }}", setup.at(13000 + at)))
        .collect();
    let usher = setup
        .section(&format!(
            "[[listener]]\nprotocol = \"tcp\"\naddress = \"{listener}\"\narray = \"a\"\n\
             [[array]]\nname = \"a\"\nbalance = \"round-robin\"\nhealth = {{ interval = \"1h\", fall = 2 }}\n\
             members = [{}]",
            members.join(", ")
        ))
        .start();
    for _ in 0..20 {
        assert_eq!(Client::plain(listener).rest().0, "");
    }
    let states: Vec<_> = (0..4).map(|at| usher.state(&format!("m{at}.test"), 0)).collect();
    assert_eq!(states.iter().filter(|state| *state == "unhealthy").count(), 2, "{states:?}");
    drop(full);
}

/// A socket that listens, and those that fill its queue.
fn full_queue(address: SocketAddr) -> (Socket, Vec<Socket>) {
    let new = || Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let listener = new();
    listener.bind(&address.into()).unwrap();
    listener.listen(0).unwrap();
    let mut waiting = Vec::new();
    while waiting.len() < 8 {
        let client = new();
        let there = client.connect_timeout(&address.into(), Duration::from_millis(100)).is_ok();
        waiting.push(client);
        if !there {
            break;
        }
    }
    (listener, waiting)
}

/// A service that only accepts: the listen queue answers, nobody else.
#[test]
fn a_host_that_accepts_and_says_nothing_is_out_by_its_greeting() {
    let setup = quick();
    let address = setup.at(10143);
    let listener = TcpListener::bind(address).unwrap();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for mut tcp in listener.incoming().map_while(Result::ok) {
            let _ = tcp.flush();
            kept.push(tcp);
        }
    });
    let usher = watched(setup, address, "tls = \"none\"", "", "imap = { probe = \"greeting\" }");
    usher.wait_for_state("ih.test", "unhealthy");
    assert!(usher.did(&["status"]).contains("no answer in time"));
    assert_eq!(first_line(&usher, "anna", "secret"), LATER);
}

#[test]
fn what_may_be_meant_for_one_client_takes_no_host_out() {
    // 105: a host that closes for the clients' address, wherever it does so, and takes the probe's own
    let certificate = Certificate::for_names(&["ih.test"]);
    for tls in [false, true] {
        for how in ["close", "reset", "bye"] {
            let setup = quick();
            let address = setup.at(10143);
            let config = certificate.server_config();
            let refused = Arc::new(AtomicUsize::new(0));
            let count = refused.clone();
            let _host = Scripted::start(address, move |mut conn| {
                let header = conn.line().unwrap_or_default();
                // usher's own address is that of its probes.
                let is_probe = header.split(' ').nth(2) == Some("127.0.0.1") && header.ends_with(" 10143");
                if !is_probe && how != "bye" {
                    count.fetch_add(1, Ordering::Relaxed);
                    if how == "reset" {
                        socket2::SockRef::from(conn.tcp()).set_linger(Some(Duration::ZERO)).unwrap();
                    }
                    return;
                }
                let greeting = if is_probe { GREETING } else { "* BYE not you\r\n" };
                count.fetch_add(usize::from(!is_probe), Ordering::Relaxed);
                if !tls {
                    conn.send(greeting);
                    conn.rest();
                    return;
                }
                let mut connection = rustls::ServerConnection::new(config.clone()).unwrap();
                let mut stream = rustls::Stream::new(&mut connection, &mut conn);
                let _ = stream.write_all(greeting.as_bytes());
                let mut rest = Vec::new();
                let _ = Read::read_to_end(&mut stream, &mut rest);
            });
            let imap = if tls { "tls = \"implicit\"" } else { "tls = \"none\"" };
            let pins = if tls { format!("fingerprints = [{:?}]", certificate.pin()) } else { String::new() };
            let imap = format!("{imap}, client_address = \"proxy-v1\"");
            let usher = watched(setup, address, &imap, &pins, "fall = 2, rise = 1");
            for _ in 0..4 {
                assert_eq!(first_line(&usher, "anna", "x"), LATER);
            }
            assert!(refused.load(Ordering::Relaxed) >= 8, "tls {tls}, {how}");
            usher.wait_until("/v1/hosts/ih.test", |shown| shown[0]["services"][0]["fault"].is_null());
            assert!(!usher.log().contains("out of service"), "tls {tls}, {how}: {}", usher.log());
        }
    }
}

#[test]
fn those_who_wait_for_their_home_are_all_served_when_it_is_back() {
    // 170: as soon as it is back, as many as may wait, though it ramps
    const WAITING: u64 = 2000;
    let setup = Setup::new().server("login_wait = \"60s\"");
    let address = setup.at(10143);
    let start = || {
        let held = archive(Options::named("ih.test"), address);
        held.add_user("anna@example.com", "secret");
        held
    };
    let keys = "health = { interval = \"1s\", timeout = \"500ms\", fall = 1, rise = 1, ramp = \"5m\" }";
    let usher = setup
        .host("ih.test", address, "tls = \"none\"", keys)
        .users(&[("anna@example.com", "ih.test")])
        .start();
    usher.wait_for_state("ih.test", "unhealthy");
    let mut clients: Vec<Client> = (0..WAITING).map(|_| Client::tls(usher.imaps())).collect();
    for client in &mut clients {
        client.send("a LOGIN anna@example.com secret\r\n");
    }
    usher.wait_until("/v1/status", |status| status["held_logins"] == WAITING);
    let held = start();
    let begun = Instant::now();
    for client in &mut clients {
        assert!(client.answer("a")[0].starts_with("a OK"));
    }
    eprintln!("{WAITING} served in {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!(usher.state("ih.test", 0), "returning");
    drop(held);
}

#[test]
fn a_host_that_starts_anew_is_back_at_once() {
    // 171: long before the next probe of its interval would have seen it
    let setup = Setup::new().server("login_wait = \"20s\"");
    let address = setup.at(10143);
    let keys = "health = { interval = \"10m\", timeout = \"2s\" }";
    let usher = setup
        .host("ih.test", address, "tls = \"none\"", keys)
        .users(&[("anna@example.com", "ih.test")])
        .start();
    let mut client = Client::tls(usher.imaps());
    client.send("a LOGIN anna@example.com secret\r\n");
    usher.wait_for_state("ih.test", "unhealthy");
    let held = archive(Options::named("ih.test"), address);
    held.add_user("anna@example.com", "secret");
    assert!(client.answer("a")[0].starts_with("a OK"));
    drop(held);
}

#[test]
fn a_certificate_is_shown_to_who_would_take_it() {
    // 172: a server that names authorities, would do without, and breaks with others' certificates
    let certificate = Certificate::for_names(&["ih.test"]);
    let authority = Certificate::for_names(&["authority.test"]);
    for (key, works) in [("auto", true), ("never", true), ("always", false)] {
        let setup = Setup::new().server("login_wait = \"100ms\"");
        let config = certificate.server_config_with_authority(&authority);
        let _scripted = Scripted::start(setup.at(10143), move |mut conn| {
            let mut session = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut stream = rustls::Stream::new(&mut session, &mut conn);
            if stream.write_all(GREETING.as_bytes()).is_err() {
                return;
            }
            let mut line = String::new();
            let _ = BufReader::new(&mut stream).read_line(&mut line);
            if line.starts_with("L ") {
                let _ = stream.write_all(b"L OK in\r\n");
            }
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let address = setup.at(10143);
        let keys = format!(
            "fingerprints = [{:?}]\nclient_certificate = {key:?}\nhealth = {{ imap = {{ probe = \"none\" }} }}",
            certificate.pin()
        );
        let usher = setup
            .host("ih.test", address, "tls = \"implicit\"", &keys)
            .users(&[("anna@example.com", "ih.test")])
            .start();
        let said = first_line(&usher, "anna", "secret");
        assert_eq!(said.starts_with("a OK"), works, "{key}: {said}");
    }
}
