//! The admin API: who may ask for what, and what survives.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use usher_tests::client::Client;
use usher_tests::usher::{DEADLINE, Setup, Usher, ask};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Two hosts that nobody serves, and the API on `ip` with a token.
fn with_api(setup: Setup, ip: &str) -> (Usher, SocketAddr) {
    let path = setup.dir.path().join("token");
    std::fs::write(&path, format!("{TOKEN}\n")).unwrap();
    let address =
        SocketAddr::new(ip.parse().unwrap_or(setup.ip), if ip.is_empty() { 9143 } else { free_port(ip) });
    let (one, two) = (setup.at(1), setup.at(2));
    let usher = setup
        .section(&format!("[admin]\nlisten = \"{address}\"\ntoken_file = {path:?}"))
        .host("ih0.test", one, "tls = \"none\"", "")
        .host("ih1.test", two, "tls = \"none\"", "")
        .users(&[("anna@example.com", "ih0.test")])
        .start();
    (usher, address)
}

/// A port of an address that the tests do not have to themselves.
fn free_port(ip: &str) -> u16 {
    std::net::TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap().port()
}

/// An address of this machine that is not loopback.
fn outside() -> Option<String> {
    let said = Command::new("hostname").arg("-I").output().ok()?.stdout;
    let said = String::from_utf8_lossy(&said).into_owned();
    said.split_whitespace().find(|ip| ip.contains('.') && !ip.starts_with("127.")).map(str::to_owned)
}

/// The status that a request over TCP gets.
fn tcp(address: SocketAddr, line: &str, headers: &[&str], body: &[u8]) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let host = if headers.contains("Host:") { String::new() } else { format!("Host: {address}\r\n") };
    let head = format!(
        "{line} HTTP/1.1\r\n{host}Connection: close\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // An answer may come before all of the body is read.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer);
    assert!(!text.contains(TOKEN), "{text}");
    text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{text:?}"))
}

/// Both outputs of a command.
fn told(output: &std::process::Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn over_tcp_changes_demand_the_token() {
    let (usher, address) = with_api(Setup::new(), "");
    let bearer = format!("Authorization: Bearer {TOKEN}");
    let drain = "POST /v1/hosts/ih0.test/drain";
    for (line, headers, status) in [
        ("GET /v1/status", vec![], 200),
        ("GET /metrics", vec![], 200),
        ("GET /v1/config", vec![], 200),
        // Comments may say more than settings.
        ("GET /v1/config/text", vec![], 401),
        (drain, vec![], 401),
        (drain, vec!["Authorization: Bearer 0123456789abcdef0123456789abcdeX"], 401),
        (drain, vec!["Authorization: Basic eDp5"], 401),
        (drain, vec!["X-Usher-Operator: root"], 401),
        ("DELETE /v1/sessions?user=x", vec![], 401),
        // A page of another origin, also one that has made its name mean this machine.
        ("GET /v1/status", vec!["Origin: https://evil.example"], 403),
        (drain, vec!["Origin: https://evil.example", &bearer], 403),
        ("GET /v1/status", vec!["Sec-Fetch-Site: cross-site"], 403),
        ("GET /v1/status", vec!["Host: evil.example:9143"], 401),
        ("GET /v1/status", vec!["Host: localhost:9143"], 200),
        ("GET /v1/nothing", vec![], 404),
        (drain, vec![&bearer], 202),
    ] {
        assert_eq!(tcp(address, line, &headers, b""), status, "{line} {headers:?}");
    }
    assert_eq!(usher.state("ih0.test", 0), "drained");
    let line = usher.wait_for_log("what=\"drain\"");
    assert!(line.contains("by=\"token\"") && line.contains("from=\"127."), "{line}");
    assert!(!usher.log().contains(TOKEN));
}

#[test]
fn bodies_are_capped() {
    let (usher, address) = with_api(Setup::new(), "");
    let bearer = format!("Authorization: Bearer {TOKEN}");
    let headers = [bearer.as_str(), "Content-Type: application/json"];
    let body = vec![b' '; 10 << 20];
    assert_eq!(tcp(address, "POST /v1/hosts", &headers, &body), 413);
    // Without a length it is known only on the way.
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(
        stream,
        "POST /v1/hosts HTTP/1.1\r\nHost: {address}\r\n{bearer}\r\n{}\r\nTransfer-Encoding: chunked\r\n\r\n",
        headers[1]
    )
    .unwrap();
    for _ in 0..20 {
        let _ = write!(stream, "2000\r\n{}\r\n", " ".repeat(0x2000));
    }
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    assert_eq!(tcp(address, "POST /v1/hosts", &headers, b"{"), 400);
    drop(usher);
}

#[test]
fn beyond_loopback_reading_demands_the_token_as_well() {
    let Some(ip) = outside() else {
        eprintln!("this machine has no address beyond loopback");
        return;
    };
    let (_usher, address) = with_api(Setup::new(), &ip);
    let bearer = format!("Authorization: Bearer {TOKEN}");
    assert_eq!(tcp(address, "GET /v1/status", &[], b""), 401);
    assert_eq!(tcp(address, "GET /metrics", &[], b""), 401);
    assert_eq!(tcp(address, "GET /v1/status", &[&bearer], b""), 200);
    assert_eq!(tcp(address, "GET /livez", &[], b""), 200, "for load balancers");
}

/// However little else is logged.
#[test]
fn changes_are_always_written_down() {
    let (usher, _) = with_api(Setup::new().environment("RUST_LOG", "error,usher::app=info"), "");
    usher.did(&["drain", "ih0.test", "--why", "disks"]);
    let line = usher.wait_for_log("what=\"drain\"");
    assert!(line.contains("why=\"disks (within ") && line.contains("(uid "), "{line}");
    assert!(!usher.log().contains("listening"));
}

#[test]
fn without_a_token_nothing_is_changed_over_tcp() {
    let setup = Setup::new();
    let address = setup.at(9143);
    let _usher = setup.section(&format!("[admin]\nlisten = \"{address}\"")).start();
    assert_eq!(tcp(address, "POST /v1/reload", &[], b""), 401);
    assert_eq!(tcp(address, "POST /v1/reload", &["Authorization: Bearer "], b""), 401);
    assert_eq!(tcp(address, "GET /readyz", &[], b""), 200);
}

#[test]
fn the_socket_is_its_owners_and_groups() {
    use std::os::unix::fs::PermissionsExt;
    let mut usher = Setup::new().start();
    let mode = std::fs::metadata(usher.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    // A second usher does not take the place of the first.
    let text = std::fs::read_to_string(usher.config()).unwrap();
    let other = usher.setup.dir.path().join("other.toml");
    let moved = text.replace(":1143", ":2143").replace(":1993", ":2993");
    std::fs::write(&other, &moved).unwrap();
    let second = usher_tests::usher::command(&["serve", "--config", other.to_str().unwrap()]);
    assert_eq!(second.status.code(), Some(69));
    // 113: nor its state, whatever socket it asks for.
    let whose = format!("another usher (process {}) is using this state_dir", usher.pid());
    assert!(told(&second).contains(&whose), "{}", told(&second));
    std::fs::write(&other, moved + "\n[admin]\nsocket = \"/tmp/none/of/it.sock\"\n").unwrap();
    let second = usher_tests::usher::command(&["serve", "--config", other.to_str().unwrap()]);
    assert_eq!((second.status.code(), told(&second).contains(&whose)), (Some(69), true), "{}", told(&second));
    usher.shows("/v1/status");
    // What a crash leaves behind is no hindrance.
    usher.restart_after_kill();
    usher.shows("/v1/status");
    let socket = usher.socket();
    usher.signal(Signal::TERM);
    usher.wait();
    assert!(!socket.exists());
    assert_eq!(usher.cli(&["status"]).status.code(), Some(69));
}

#[test]
fn readiness_fails_while_usher_drains() {
    let setup = Setup::new().server("drain_deadline = \"50s\"");
    let archive =
        usher_tests::runtime::archive(usher_tests::archive::Options::named("ih.test"), setup.at(10143));
    archive.add_user("anna@example.com", "secret");
    let (api, address) = (setup.at(9143), setup.at(10143));
    let mut usher = setup
        .section(&format!("[admin]\nlisten = \"{api}\""))
        .host("ih.test", address, "tls = \"none\"", "login_as = \"canonical\"")
        .users(&[("anna@example.com", "ih.test")])
        .start();
    let mut busy = Client::tls(usher.imaps());
    busy.login("anna", "secret");
    busy.send("a APPEND INBOX {5}\r\n");
    busy.line();
    assert_eq!(tcp(api, "GET /readyz", &[], b""), 200);
    usher.signal(Signal::TERM);
    usher.wait_for_log("waiting for sessions");
    assert_eq!((tcp(api, "GET /readyz", &[], b""), tcp(api, "GET /livez", &[], b"")), (503, 200));
    assert!(usher.did(&["status"]).contains("stopping"));
    busy.send("hello\r\n");
    busy.answer("a");
    let _ = busy.rest();
    assert!(usher.wait().success());
}

#[test]
fn the_effective_configuration_holds_no_secrets() {
    let setup = Setup::new();
    let secret = setup.dir.path().join("probe.secret");
    std::fs::write(&secret, "hunter2-hunter2\n").unwrap();
    let address = setup.at(1);
    let keys = format!(
        "health = {{ imap = {{ probe = \"login\", user = \"probe\", password_file = {secret:?} }} }}"
    );
    let usher = setup.host("ih.test", address, "tls = \"none\"", &keys).start();
    let shown = usher.shows("/v1/config");
    assert_eq!(shown["limits"]["held_logins"], 2000);
    assert_eq!(shown["hosts"][0]["health"]["interval"], "5s");
    assert!(!shown.to_string().contains("hunter2"));
    let described = usher.shows("/openapi.json");
    for path in ["/v1/hosts/{name}/drain", "/v1/sessions", "/v1/explain", "/v1/directory/{key}", "/metrics"] {
        assert!(described["paths"].get(path).is_some(), "{path}");
    }
    assert_eq!(described["paths"].as_object().unwrap().len(), 33);
}

#[test]
fn the_directory_is_read_and_changed() {
    let (usher, _) = with_api(Setup::new(), "");
    for number in 0..25 {
        let path = format!("/v1/directory/user{number:02}%40example.com");
        assert_eq!(usher.ask("PUT", &path, Some(&json!({ "host": "ih1.test" }))).unwrap().0, 200);
    }
    let (mut keys, mut after) = (Vec::new(), String::new());
    loop {
        let page = usher.shows(&format!("/v1/directory?host=ih1.test&limit=10{after}"));
        let entries = page["entries"].as_array().unwrap();
        keys.extend(entries.iter().map(|entry| entry["key"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={}", next.replace('@', "%40")),
            None => break,
        }
    }
    assert_eq!(keys.len(), 25);
    assert!(keys.is_sorted());
    let (status, former) = usher.ask("DELETE", "/v1/directory/user03%40example.com", None).unwrap();
    assert_eq!((status, &former["host"]), (200, &json!("ih1.test")));
    assert_eq!(usher.ask("GET", "/v1/directory/user03%40example.com", None).unwrap().0, 404);
    let nowhere = usher.ask("PUT", "/v1/directory/x", Some(&json!({ "host": "nobody" }))).unwrap();
    assert_eq!(nowhere.0, 404);
}

/// Every change that was acknowledged is there after a crash at any moment.
#[test]
fn two_hundred_crashes_lose_no_acknowledged_change() {
    const CRASHES: usize = 200;
    let (mut usher, _) = with_api(Setup::new(), "");
    // What was acknowledged, and what was asked for when it crashed, which may be there or not.
    let mut held: BTreeMap<String, bool> = BTreeMap::new();
    let mut added: BTreeMap<String, u64> = BTreeMap::new();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for crash in 0..CRASHES {
        let crashed = AtomicBool::new(false);
        let socket = usher.socket();
        let wait = Duration::from_micros(next() % 12_000);
        let seed = next();
        let doubt = std::thread::scope(|scope| {
            let changes = scope.spawn(|| {
                let mut step = seed;
                loop {
                    step =
                        step.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let name = format!("ih{}.test", (step >> 33) % 2);
                    let extra = format!("extra{}.test", (step >> 40) % 3);
                    let sessions = (step >> 20) % 1000 + 1;
                    let definition = json!({
                        "name": extra, "max_sessions": sessions,
                        "imap": { "address": "127.0.0.1:1", "tls": "none" },
                        "health": { "imap": { "probe": "none" } },
                    });
                    let change = (step >> 50) % 4;
                    let answer = match change {
                        0 => ask(&socket, "POST", &format!("/v1/hosts/{name}/drain"), None),
                        1 => ask(&socket, "POST", &format!("/v1/hosts/{name}/start"), None),
                        2 if added.contains_key(&extra) => {
                            ask(&socket, "DELETE", &format!("/v1/hosts/{extra}"), None)
                        }
                        2 | 3 if !added.contains_key(&extra) => {
                            ask(&socket, "POST", "/v1/hosts", Some(&definition))
                        }
                        _ => ask(
                            &socket,
                            "PATCH",
                            &format!("/v1/hosts/{extra}"),
                            Some(&json!({ "max_sessions": sessions })),
                        ),
                    };
                    let subject = if change < 2 { name.clone() } else { extra.clone() };
                    match answer {
                        Ok((200..=299, _)) => match change {
                            0 | 1 => {
                                held.insert(name, change == 0);
                            }
                            2 if added.contains_key(&extra) => {
                                added.remove(&extra);
                            }
                            _ => {
                                added.insert(extra, sessions);
                            }
                        },
                        Ok((status, problem)) => panic!("{status}: {problem}"),
                        // Not acknowledged.
                        Err(_) => return subject,
                    }
                    assert!(!crashed.load(Ordering::Relaxed) || step != seed, "usher answers after its end");
                }
            });
            std::thread::sleep(wait);
            usher.kill();
            crashed.store(true, Ordering::Relaxed);
            changes.join().unwrap()
        });
        usher.restart();
        let shown = usher.shows("/v1/hosts");
        let find = |name: &str| shown.as_array().unwrap().iter().find(|host| host["name"] == name).cloned();
        for (name, is_held) in held.iter().filter(|(name, _)| **name != doubt) {
            let holds = find(name).unwrap()["holds"].clone();
            assert_eq!(holds != json!([]), *is_held, "crash {crash}: {name}: {holds}");
        }
        for extra in ["extra0.test", "extra1.test", "extra2.test"] {
            let there = find(extra).map(|host| host["max_sessions"].as_u64().unwrap());
            if extra != doubt {
                assert_eq!(there, added.get(extra).copied(), "crash {crash}: {extra}");
            }
        }
        // What was in doubt is settled now.
        if let Some(is_held) = held.get_mut(&doubt) {
            *is_held = find(&doubt).unwrap()["holds"] != json!([]);
        }
        match find(&doubt).map(|host| host["max_sessions"].clone()) {
            Some(Value::Number(sessions)) => {
                added.insert(doubt, sessions.as_u64().unwrap());
            }
            Some(_) | None => {
                added.remove(&doubt);
            }
        }
    }
}

#[test]
fn a_host_that_is_added_names_no_file_that_is_not_meant_for_it() {
    // 106: the file's text would go to an address of the caller's
    let setup = Setup::new();
    let dir = setup.dir.path().join("secrets");
    std::fs::create_dir(&dir).unwrap();
    let address = setup.at(10143);
    let held = usher_tests::runtime::archive(usher_tests::archive::Options::named("late.test"), address);
    held.add_user("probe", "of the probe");
    let usher = setup.section(&format!("[admin]\nsecrets_dir = {dir:?}")).start();
    std::fs::write(dir.join("probe"), "of the probe\n").unwrap();
    std::fs::write(dir.join("long"), "x".repeat(4097)).unwrap();
    std::fs::write(usher.setup.dir.path().join("elsewhere"), "somebody's").unwrap();
    std::os::unix::fs::symlink(usher.setup.dir.path().join("usher.key"), dir.join("link")).unwrap();
    assert!(Command::new("mkfifo").arg(dir.join("pipe")).status().unwrap().success());
    let shown = dir.display().to_string();
    let add = |file: &str| {
        let host = json!({
            "name": "late.test",
            "imap": { "address": address.to_string(), "tls": "none" },
            "health": { "interval": "50ms", "imap": { "probe": "login", "user": "probe", "password_file": file } },
        });
        usher.ask("POST", "/v1/hosts", Some(&host)).unwrap()
    };
    let own_key = usher.setup.dir.path().join("usher.key").display().to_string();
    for file in [
        own_key.as_str(),
        "/etc/passwd",
        "/dev/zero",
        "relative",
        "",
        &format!("{shown}/../usher.key"),
        &format!("{shown}/../elsewhere"),
        &format!("{shown}/../nothing"),
        &format!("{shown}/link"),
        &format!("{shown}/pipe"),
        &format!("{shown}/long"),
        &format!("{shown}/nothing"),
        &shown,
    ] {
        let (status, answer) = add(file);
        assert_eq!(status, 400, "{file}: {answer}");
    }
    assert_eq!(held.lines(), Vec::<String>::new());
    assert_eq!(add(&format!("{shown}/probe")).0, 201);
    usher.wait_until("/v1/hosts/late.test", |shown| shown[0]["services"][0]["checked_at"].is_number());
    assert!(held.lines().iter().any(|line| line.contains("LOGIN") || line.contains("AUTHENTICATE")));
    // And what is changed is judged alike.
    let changed =
        json!({ "health": { "imap": { "probe": "login", "user": "probe", "password_file": own_key } } });
    assert_eq!(usher.ask("PATCH", "/v1/hosts/late.test", Some(&changed)).unwrap().0, 400);
    // Without a directory for them there are none.
    let usher = Setup::new().start();
    let host = json!({
        "name": "late.test",
        "imap": { "address": address.to_string(), "tls": "none" },
        "health": { "imap": { "probe": "login", "user": "probe", "password_file": format!("{shown}/probe") } },
    });
    let (status, answer) = usher.ask("POST", "/v1/hosts", Some(&host)).unwrap();
    assert_eq!((status, answer["error"].as_str().unwrap().contains("secrets_dir")), (400, true), "{answer}");
}

#[test]
fn the_description_is_valid_and_bodies_are_what_it_says() {
    // 156: judged by openapi-spec-validator, which tests/install-peers puts beside the build
    let usher = Setup::new().host("ih.test", "127.0.0.1:1".parse().unwrap(), "tls = \"none\"", "").start();
    let path = usher.setup.dir.path().join("openapi.json");
    let described = usher.shows("/openapi.json");
    std::fs::write(&path, described.to_string()).unwrap();
    let validator =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/validator/bin/openapi-spec-validator");
    let output =
        Command::new(&validator).arg(&path).output().expect("tests/install-peers installs the validator");
    let told =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let mut ids = Vec::new();
    for item in described["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values().filter(|it| it.get("responses").is_some()) {
            ids.push(operation["operationId"].as_str().unwrap().to_owned());
            for response in operation["responses"].as_object().unwrap().values() {
                assert!(response["description"].as_str().is_some_and(|text| !text.is_empty()), "{operation}");
            }
            assert!(operation["responses"].get("default").is_some());
        }
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "{ids:?}");
    assert!(described["components"]["securitySchemes"].get("token").is_some());
    for body in [json!([]), json!(["x"]), json!("drain"), json!(7), json!(null)] {
        let answer = usher.ask("POST", "/v1/hosts/ih.test/drain", Some(&body)).unwrap();
        assert_eq!(answer.0, 400, "{body}: {}", answer.1);
    }
    assert_eq!(usher.shows("/v1/holds")["backends"], json!({}));
}
