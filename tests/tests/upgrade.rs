//! A new process takes over: nobody is refused, nothing is lost, and what cannot serve changes nothing.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustix::process::Signal;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio_rustls::TlsConnector;
use usher_tests::archive::{Archive, Options};
use usher_tests::client::{Client, config, config_with_alpn};
use usher_tests::http::{basic, get};
use usher_tests::runtime::archive;
use usher_tests::swarm::Swimmer;
use usher_tests::usher::{DEADLINE, Setup, Usher};
use usher_tests::web::Web;

const GONE: &str = "* BYE [UNAVAILABLE] Connection is closing, please reconnect.";
/// Descriptors that a process has for a moment, such as those of a reader of the directory.
const BRIEFLY: usize = 2;
const USER: &str = "anna@example.com";

/// usher in front of an archive, where Anna is, by IMAP and HTTPS.
fn house(change: impl FnOnce(Setup) -> Setup) -> (Usher, Arc<Archive>, Arc<Web>) {
    let setup = Setup::new()
        .server("login_wait = \"5s\"\ndrain_deadline = \"20s\"")
        .imap("plaintext_from = [\"127.0.0.0/8\"]")
        .https("")
        .limits("goodbye_window = \"1s\"\nquiet = \"1s\"");
    let (imap, http) = (setup.at(10143), setup.at(10080));
    let home = archive(Options::named("ih.test"), imap);
    home.add_user(USER, "secret");
    let web = Web::start("ih.test", http, None);
    let keys = format!("http = {{ address = \"{http}\", tls = \"none\" }}");
    let setup = change(setup.host("ih.test", imap, "tls = \"none\"", &keys)).users(&[(USER, "ih.test")]);
    (setup.start(), home, web)
}

/// What clients see who come all the time.
#[derive(Default)]
struct Seen {
    served: AtomicUsize,
    is_over: AtomicBool,
}

impl Seen {
    /// Serves one after the other until it is over.
    async fn all_the_time<F: Future<Output = io::Result<()>>>(&self, what: &str, client: impl Fn() -> F) {
        while !self.is_over.load(Ordering::Relaxed) {
            client().await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
            self.served.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn session(mut client: Swimmer) -> io::Result<()> {
    let said = client.command(&format!("a LOGIN {USER} secret")).await?;
    if !said.starts_with("a OK") {
        return Err(io::Error::other(said));
    }
    // It may be told goodbye at any moment, but in a whole line.
    client.send("b LOGOUT").await?;
    let rest = client.rest().await;
    let text = String::from_utf8_lossy(&rest);
    match text.contains("b OK") || text.contains(GONE) {
        true => Ok(()),
        false => Err(io::Error::other(format!("no goodbye: {text:?}"))),
    }
}

async fn tls(
    address: SocketAddr,
    protocol: &str,
) -> io::Result<tokio_rustls::client::TlsStream<tokio::net::TcpStream>> {
    let tcp = tokio::net::TcpStream::connect(address).await?;
    let connector = TlsConnector::from(config_with_alpn(&[protocol]));
    connector.connect(ServerName::try_from("mail.test").expect("a name"), tcp).await
}

/// Requests on one connection until it is said that it closes.
async fn by_http1(address: SocketAddr) -> io::Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tls(address, "http/1.1").await?;
    for _ in 0..20 {
        stream.write_all(get("/here", &basic(USER)).as_bytes()).await?;
        let mut answer = Vec::new();
        while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
            let mut octets = [0; 4096];
            let count = stream.read(&mut octets).await?;
            if count == 0 {
                return Err(io::Error::other(format!(
                    "empty answer: {:?}",
                    String::from_utf8_lossy(&answer)
                )));
            }
            answer.extend_from_slice(&octets[..count]);
        }
        let text = String::from_utf8_lossy(&answer).to_ascii_lowercase();
        if !text.starts_with("http/1.1 200") {
            return Err(io::Error::other(text));
        }
        if text.contains("connection: close") {
            return Ok(());
        }
    }
    Ok(())
}

/// Requests on one connection, until it takes no more.
async fn by_http2(address: SocketAddr) -> io::Result<()> {
    let stream = tls(address, "h2").await?;
    let (mut sender, connection): (SendRequest<Empty<Bytes>>, _) =
        Box::pin(handshake(TokioExecutor::new(), TokioIo::new(stream))).await.map_err(io::Error::other)?;
    let connection = tokio::spawn(connection);
    for _ in 0..20 {
        if sender.ready().await.is_err() {
            break;
        }
        let credentials = basic(USER);
        let value = credentials.trim().split_once(": ").expect("a field").1.to_owned();
        let request = Request::get("https://mail.test/here").header("authorization", value);
        let answered = sender.send_request(request.body(Empty::new()).expect("a request")).await;
        let response = match answered {
            // The connection has been told to end, and this was not sent on it.
            Err(error) if error.is_canceled() || is_refused(&error) => break,
            answered => answered.map_err(io::Error::other)?,
        };
        if response.status() != StatusCode::OK {
            return Err(io::Error::other(response.status().to_string()));
        }
        response.into_body().collect().await.map_err(io::Error::other)?;
    }
    connection.abort();
    Ok(())
}

/// Whether a stream was beyond the last one that is served: the client knows that nothing has come of it.
fn is_refused(error: &hyper::Error) -> bool {
    let text = format!("{error:?}");
    text.contains("GoAway") && text.contains("NO_ERROR")
}

/// `count` upgrades while a crowd of clients comes all the time, `each` between two upgrades; returns how many were served.
fn upgrades_under_load(usher: &mut Usher, count: usize, crowd: usize, each: usize) -> usize {
    let (imap, imaps, https) = (usher.imap(), usher.imaps(), usher.https());
    let seen = Arc::new(Seen::default());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut clients = tokio::task::JoinSet::new();
    for at in 0..crowd {
        let seen = seen.clone();
        let coming = async move {
            match at % 4 {
                0 => {
                    seen.all_the_time("imap", || async { session(Swimmer::connect_plain(imap).await?).await })
                        .await
                }
                1 => {
                    seen.all_the_time("imaps", || async { session(Swimmer::connect(imaps).await?).await })
                        .await
                }
                2 => Box::pin(seen.all_the_time("h1", || by_http1(https))).await,
                _ => Box::pin(seen.all_the_time("h2", || by_http2(https))).await,
            }
        };
        clients.spawn_on(coming, runtime.handle());
    }
    for upgrade in 0..count {
        let before = seen.served.load(Ordering::Relaxed);
        usher.upgraded();
        // The next one comes when some have been served by this one.
        while seen.served.load(Ordering::Relaxed) < before + each {
            assert!(!clients.is_empty(), "upgrade {upgrade}");
            runtime.block_on(async {
                let ended = tokio::time::timeout(Duration::from_millis(10), clients.join_next()).await;
                if let Ok(Some(ended)) = ended {
                    ended.expect("no client is refused");
                }
            });
        }
    }
    seen.is_over.store(true, Ordering::Relaxed);
    runtime.block_on(async {
        while let Some(ended) = clients.join_next().await {
            ended.expect("no client is refused");
        }
    });
    seen.served.load(Ordering::Relaxed)
}

fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// Upgrades while clients come and others are idle: each of those is told goodbye.
fn nobody_is_refused_in(usher: &mut Usher, count: usize, crowd: usize, each: usize, idle: usize) {
    usher.upgraded();
    usher.wait_until("/v1/status", |status| status["former"] == json!([]));
    let (at_first, memory) = (descriptors(usher.pid()), usher.resident());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let waiting: Vec<_> = (0..idle)
        .map(|_| {
            let address = usher.imaps();
            runtime.spawn(async move {
                let mut client = Swimmer::connect(address).await.expect("a greeting");
                let said = client.command(&format!("a LOGIN {USER} secret")).await.expect("an answer");
                assert!(said.starts_with("a OK"), "{said}");
                String::from_utf8(client.rest().await).expect("a text")
            })
        })
        .collect();
    usher.wait_until("/v1/status", |status| status["sessions"] == idle);
    let served = upgrades_under_load(usher, count, crowd, each);
    assert!(served >= count * each, "{served}");
    for client in waiting {
        assert_eq!(runtime.block_on(client).unwrap().trim_end(), GONE);
    }
    usher.wait_until("/v1/status", |status| status["former"] == json!([]));
    // The latest has served; one more has served nobody, like the first.
    usher.upgraded();
    let until = Instant::now() + DEADLINE;
    while descriptors(usher.pid()) > at_first + BRIEFLY && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(10));
    }
    let (now, resident) = (descriptors(usher.pid()), usher.resident());
    println!("{served} served; descriptors {at_first} and {now}, memory {memory} and {resident}");
    assert!(now <= at_first + BRIEFLY, "{at_first} descriptors at first, {now} now");
    assert!(resident < memory + (8 << 20), "{memory} octets at first, {resident} now");
}

#[test]
fn nobody_is_refused() {
    let (mut usher, _home, _web) = house(|setup| setup);
    nobody_is_refused_in(&mut usher, 3, 16, 64, 20);
}

/// Of `make proof`.
#[test]
#[ignore = "takes minutes"]
fn nobody_is_refused_in_twenty_upgrades() {
    let (mut usher, _home, _web) =
        house(|setup| setup.environment("RUST_LOG", "warn,usher::app=info,usher::reload=info"));
    nobody_is_refused_in(&mut usher, 20, 64, 10_000, 4_000);
}

/// Of `make proof`.
#[test]
#[ignore = "takes minutes"]
fn twenty_of_each_that_cannot_serve() {
    let (mut usher, _home, _web) = house(|setup| setup);
    let mut client = Client::tls(usher.imaps());
    client.login(USER, "secret");
    for _ in 0..20 {
        usher.replace_program("#!/bin/sh\nkill -9 $$\n");
        assert!(!usher.upgrade().status.success());
        usher.replace_program("#!/bin/sh\nexec sleep 1000\n");
        assert!(!usher.cli(&["upgrade", "--wait", "1"]).status.success());
        usher.restore_program();
        let good = std::fs::read_to_string(usher.config()).unwrap();
        usher.rewrite(|text| format!("{text}\nnonsense = 1\n"));
        assert!(!usher.upgrade().status.success());
        usher.rewrite(|_| good);
        assert!(client.command("a NOOP").last().unwrap().starts_with("a OK"));
        let mut other = Client::tls(usher.imaps());
        other.login(USER, "secret");
    }
}

#[test]
fn what_cannot_serve_changes_nothing() {
    let (mut usher, _home, _web) = house(|setup| setup);
    let mut client = Client::tls(usher.imaps());
    client.login(USER, "secret");
    let first = usher.pid();
    let failed = |usher: &mut Usher, words: &[&str], why: &str| {
        let output = usher.cli(&[&["upgrade"], words].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(why) && said.contains("the former process goes on serving"), "{said}");
    };
    usher.replace_program("#!/bin/sh\nexit 7\n");
    failed(&mut usher, &[], "the new process ended before it was ready: exit status: 7");
    usher.replace_program("#!/bin/sh\nkill -9 $$\n");
    failed(&mut usher, &[], "signal: 9");
    usher.replace_program("#!/bin/sh\nexec sleep 1000\n");
    failed(&mut usher, &["--wait", "1"], "the new process was not ready within 1 s, and has been killed");
    usher.replace_program("no program at all");
    failed(&mut usher, &[], "Exec format error");
    std::fs::remove_file(usher.setup.program()).unwrap();
    failed(&mut usher, &[], "No such file or directory");
    usher.setup.program();
    let good = std::fs::read_to_string(usher.config()).unwrap();
    usher.rewrite(|text| format!("{text}\nnonsense = 1\n"));
    failed(&mut usher, &[], "nonsense");
    usher.rewrite(|_| good.clone());
    // A file of a later version is left alone.
    let state = usher.setup.dir.path().join("state/state.db");
    let set = |version: u32| {
        let file = rusqlite::Connection::open(&state).unwrap();
        file.execute("UPDATE meta SET value = ?1 WHERE name = 'schema'", [version]).unwrap();
    };
    set(99);
    failed(&mut usher, &[], "its schema has version 99");
    set(4);
    assert_eq!(usher.shows("/v1/status")["process"], first);
    assert!(client.command("a NOOP").last().unwrap().starts_with("a OK"));
    assert_eq!(usher.shows("/v1/status")["former"], json!([]));
    usher.upgraded();
    assert_ne!(usher.shows("/v1/status")["process"], first);
}

#[test]
fn tickets_and_guesses_go_on() {
    let guessing = "[guessing]\nban_after = 6\ndelay = \"10ms\"\nmax_delay = \"10ms\"\n";
    let (mut usher, _home, _web) = house(|setup| setup.section(guessing));
    let config = config();
    let resumes = |usher: &Usher| {
        let mut client = Client::plain(usher.imaps());
        client.start_tls(config.clone());
        client.line();
        client.command("a NOOP");
        let kind = client.connection().handshake_kind();
        client.send("b LOGOUT\r\n");
        let _ = client.rest();
        kind == Some(rustls::HandshakeKind::Resumed)
    };
    assert!(!resumes(&usher));
    assert!(resumes(&usher));
    usher.upgraded();
    assert!(resumes(&usher), "a ticket of the former process");
    let fails = |usher: &Usher| {
        let mut client = Client::plain(usher.imap());
        client.line();
        client.command("a LOGIN anna@example.com wrong").pop().unwrap()
    };
    for _ in 0..3 {
        assert!(fails(&usher).contains("AUTHENTICATIONFAILED"));
    }
    usher.upgraded();
    for _ in 0..3 {
        assert!(fails(&usher).contains("AUTHENTICATIONFAILED"));
    }
    let last = fails(&usher);
    assert!(last.contains("[LIMIT]") || usher.did(&["bans"]).contains("127."), "{last}");
    usher.upgraded();
    assert!(usher.did(&["bans"]).contains("127."));
}

#[test]
fn both_processes_are_seen() {
    let (mut usher, _home, _web) =
        house(|setup| setup.server("login_wait = \"5s\"\ndrain_deadline = \"60s\"\nold_sessions = \"keep\""));
    let log_in = |usher: &Usher| {
        let mut client = Client::tls(usher.imaps());
        client.login(USER, "secret");
        client
    };
    let mut clients = vec![log_in(&usher)];
    usher.upgraded();
    clients.push(log_in(&usher));
    usher.upgraded();
    clients.push(log_in(&usher));
    let status = usher.shows("/v1/status");
    assert_eq!(status["former"].as_array().unwrap().len(), 2);
    assert_eq!(status["sessions"], 3, "{status}");
    assert_eq!(status["backends"][0]["sessions"], 3, "{status}");
    assert!(usher.did(&["status"]).contains("1 sessions are with the former process"));
    let sessions = usher.shows("/v1/sessions");
    assert_eq!((sessions["matching"].clone(), sessions["sessions"].as_array().unwrap().len()), (json!(3), 3));
    for client in &mut clients {
        assert!(client.command("a NOOP").last().unwrap().starts_with("a OK"));
    }
    // One of the first process, by its id; then all that are left, by their host.
    let of = clients[0].tcp().local_addr().unwrap().to_string();
    let all = sessions["sessions"].as_array().unwrap();
    let id = all.iter().find(|session| session["client"] == *of).unwrap()["id"].as_str().unwrap().to_owned();
    usher.did(&["kick", "--id", &id]);
    assert_eq!(clients.remove(0).rest().0.trim_end(), GONE);
    for client in &mut clients {
        assert!(client.command("b NOOP").last().unwrap().starts_with("b OK"));
    }
    usher.did(&["drain", "ih.test", "--why", "disks", "--deadline", "1s", "--wait"]);
    for client in &mut clients {
        assert_eq!(client.rest().0.trim_end(), GONE);
    }
    usher.wait_until("/v1/status", |status| status["former"] == json!([]));
    assert_eq!(usher.state("ih.test", 0), "drained");
}

#[test]
fn moves_go_on() {
    let (mut usher, _home, _web) = house(|setup| {
        let at = setup.at(10144);
        let two = archive(Options::named("two.test"), at);
        two.add_user(USER, "secret");
        std::mem::forget(two);
        setup.server("login_wait = \"20s\"\ndrain_deadline = \"60s\"\nold_sessions = \"keep\"").host(
            "two.test",
            at,
            "tls = \"none\"",
            "",
        )
    });
    let mut old = Client::tls(usher.imaps());
    old.login(USER, "secret");
    usher.upgraded();
    // What the former process has ends too, before the move is prepared.
    let order = json!({ "to": "two.test", "prepare": true });
    let (status, said) = usher.ask("POST", "/v1/moves/anna@example.com", Some(&order)).unwrap();
    assert_eq!((status, &said["ended_sessions"]), (200, &json!(1)), "{said}");
    assert_eq!(old.rest().0.trim_end(), GONE);
    usher.upgraded();
    assert_eq!(usher.shows("/v1/moves/anna@example.com")["phase"], "held");
    let (status, _) = usher.ask("POST", "/v1/moves/anna@example.com/renew", None).unwrap();
    assert_eq!(status, 204);
    let (status, said) = usher
        .ask("POST", "/v1/moves/anna@example.com/finish", Some(&json!({ "user": "", "password": "" })))
        .unwrap();
    assert_eq!(status, 200, "{said}");
    let mut client = Client::tls(usher.imaps());
    client.login(USER, "secret");
    let here = usher.shows("/v1/sessions");
    let hosts: Vec<&Value> = here["sessions"].as_array().unwrap().iter().map(|one| &one["host"]).collect();
    assert_eq!(hosts, ["two.test"]);
}

/// A login that waits for its host goes on waiting where it is, and is served when the host comes back.
#[test]
fn held_logins_go_on() {
    let setup = Setup::new().server("login_wait = \"20s\"\ndrain_deadline = \"20s\"");
    let at = setup.at(10143);
    let mut usher = setup.host("ih.test", at, "tls = \"none\"", "").users(&[(USER, "ih.test")]).start();
    let mut client = Client::tls(usher.imaps());
    client.send(format!("a LOGIN {USER} secret\r\n"));
    usher.wait_until("/v1/status", |status| status["held_logins"] == 1);
    usher.upgraded();
    assert_eq!(usher.shows("/v1/status")["former"][0]["connections"], 1);
    let home = archive(Options::named("ih.test"), at);
    home.add_user(USER, "secret");
    assert!(client.answer("a").last().unwrap().starts_with("a OK"));
    assert!(client.command("b NOOP").last().unwrap().starts_with("b OK"));
}

#[test]
fn signals_in_the_middle() {
    let (mut usher, _home, _web) = house(|setup| setup);
    let real = usher_tests::usher::binary().display().to_string();
    // SIGUSR2 does it too.
    usher.signal(Signal::USR2);
    let line = usher.wait_for_log("another process has taken over process=");
    let process: u32 = line.rsplit_once("process=").unwrap().1.parse().unwrap();
    usher.note_successor(process);
    // A new configuration comes while the new process starts, and is in force there.
    let gate = usher.setup.dir.path().join("gate");
    usher.replace_program(&format!(
        "#!/bin/bash\nuntil [ -e '{}' ]; do sleep 0.05; done\nexec -a \"$0\" '{real}' \"$@\"\n",
        gate.display()
    ));
    let config = usher.config().display().to_string();
    let upgrading = std::process::Command::new(&real)
        .args(["upgrade", "--wait", "30", "--config", &config])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    usher.wait_for_logs("a successor is started", 2);
    let mut client = Client::tls(usher.imaps());
    client.login(USER, "secret");
    usher.rewrite(|text| text.replace("name = \"mail.test\"", "name = \"post.test\""));
    usher.signal(Signal::HUP);
    std::fs::write(&gate, "").unwrap();
    let output = upgrading.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let process = said.split(' ').nth(1).and_then(|number| number.parse().ok()).expect("a number");
    usher.note_successor(process);
    let mut other = Client::plain(usher.imap());
    assert!(other.line().contains("post.test"));
    // A stop in the middle of one stops both.
    std::fs::remove_file(&gate).unwrap();
    let upgrading = std::process::Command::new(&real)
        .args(["upgrade", "--wait", "30", "--config", &config])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    usher.wait_for_logs("a successor is started", 3);
    usher.signal(Signal::TERM);
    usher.wait_for_log("usher is stopping");
    assert!(!upgrading.wait_with_output().unwrap().status.success());
    usher.wait_for_log("stopped");
}
