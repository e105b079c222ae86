//! Certificates that usher orders itself, from pebble.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests fail by panicking

use bytes::Bytes;
use http_body_util::Full;
use hyper::StatusCode;
use hyper::header::HeaderValue;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use usher_tests::archive::Options;
use usher_tests::authority::{Authority, Breaker, Broken, KEY, Reply, Rules, refusal, with_body};
use usher_tests::certificate::Certificate;
use usher_tests::client::{self, Client};
use usher_tests::http;
use usher_tests::runtime::archive;
use usher_tests::usher::{DEADLINE, HTTPS, Setup, Usher};

/// Where requests without TLS come.
const HTTP: u16 = 1080;

/// The certificate that is shown to those who ask for `name` at `address`, in DER.
fn shown(address: SocketAddr, name: &str) -> Vec<u8> {
    let mut client = Client::plain(address);
    client.try_start_tls(client::config(), name).unwrap();
    client.connection().peer_certificates().unwrap()[0].to_vec()
}

/// Waits until there is a certificate by the authority for `name`, and returns how long that took.
fn wait_for_certificate(usher: &Usher, name: &str) -> Duration {
    let begun = Instant::now();
    usher.wait_until("/v1/certificates", |shown| {
        let all = shown["certificates"].as_array().unwrap();
        all.iter().any(|it| it["name"] == name && it["chain"].is_string() && it["failures"] == 0)
    });
    begun.elapsed()
}

fn setup() -> Setup {
    Setup::new().without_certificate()
}

#[test]
fn the_first_certificate_comes_at_once_by_http_for_all_names() {
    let setup = setup();
    let authority = Authority::start(setup.ip, (HTTP, HTTPS), Rules::default());
    let redirect = format!("redirect_from = \"{}\"", setup.at(HTTP));
    let usher = setup
        .https(&redirect)
        .section("[client_setup]\n")
        .section(&authority.section("contact = [\"mailto:postmaster@example.com\"]"))
        .start();
    for name in ["mail.test", "example.com", "autoconfig.example.com", "autodiscover.example.com"] {
        let took = wait_for_certificate(&usher, name);
        assert!(took < Duration::from_secs(10), "{name} took {took:?}");
        let of_imap = shown(usher.imaps(), name);
        assert_eq!(of_imap, shown(usher.https(), name), "the same for IMAP");
        if name != "mail.test" {
            assert_ne!(of_imap, shown(usher.https(), "mail.test"), "{name} has its own");
        }
    }
    // Who asks for another name gets the server's.
    assert_eq!(shown(usher.https(), "other.test"), shown(usher.https(), "mail.test"));
    let asked = authority.asked();
    assert!(asked.iter().any(|line| line.starts_with("POST /sign-me-up 201")), "{asked:?}");
    // One account, whatever the number of names.
    assert_eq!(asked.iter().filter(|line| line.contains("/sign-me-up")).count(), 1, "{asked:?}");
}

#[test]
fn a_certificate_comes_by_tls_where_nothing_else_is_open() {
    let setup = setup();
    let authority = Authority::start(setup.ip, (HTTP, HTTPS), Rules { bound: true, ..Rules::default() });
    let key = setup.dir.path().join("acme.key");
    std::fs::write(&key, KEY).unwrap();
    let bound =
        format!("names = [\"mail.test\"]\nexternal_account = {{ id = \"kid-1\", key_file = {key:?} }}");
    let usher = setup.https("").section(&authority.section(&bound)).start();
    wait_for_certificate(&usher, "mail.test");
    let certificate = shown(usher.imaps(), "mail.test");
    // The proof is over, and those who ask for another are given none.
    let mut client = Client::plain(usher.https());
    client.try_start_tls(client::config_with_alpn(&["acme-tls/1"]), "mail.test").unwrap_err();
    // After a restart, the same one is served from the beginning.
    let mut usher = usher;
    usher.restart_after_kill();
    assert_eq!(shown(usher.imaps(), "mail.test"), certificate);
    let listed = usher.did(&["certificates"]);
    assert!(listed.contains("mail.test") && listed.contains(".pem"), "{listed}");
}

#[test]
fn renewal_disturbs_nobody() {
    let setup = setup();
    let (ip, at) = (setup.ip, setup.at(10143));
    let authority =
        Authority::start(ip, (HTTP, HTTPS), Rules { validity: 15, bad_nonces: 20, ..Rules::default() });
    let archive = archive(Options::named("ih.test"), at);
    archive.add_user("anna@example.com", "secret");
    let usher = setup
        .https("")
        .host("ih.test", at, "tls = \"none\"", "")
        .users(&[("anna@example.com", "ih.test")])
        .section(&authority.section("names = [\"mail.test\"]\nretry = \"1s\""))
        .start();
    wait_for_certificate(&usher, "mail.test");
    let first = shown(usher.imaps(), "mail.test");
    let mut session = Client::tls(usher.imaps());
    session.login("anna@example.com", "secret");
    let mut web = http::connect(usher.https());
    // By two thirds of its life there is another one.
    let until = Instant::now() + DEADLINE;
    let mut followed = 0;
    let mut last = first;
    while followed < 2 {
        assert!(Instant::now() < until, "no other certificate comes:\n{}", usher.log());
        let now = shown(usher.imaps(), "mail.test");
        if now != last {
            assert_eq!(shown(usher.https(), "mail.test"), now);
            (last, followed) = (now, followed + 1);
        }
        assert!(session.command("n NOOP").last().unwrap().contains("OK"));
        web.send(http::get("/", ""));
        assert_eq!(web.http_answer().status, 401);
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_certificate_is_replaced_after_two_thirds_of_its_life_and_not_before() {
    const DAY: u64 = 24 * 60 * 60;
    let setup = setup();
    let authority = Authority::start(setup.ip, (HTTP, HTTPS), Rules::default());
    let mut usher = setup.https("").section(&authority.section("names = [\"mail.test\"]")).start();
    wait_for_certificate(&usher, "mail.test");
    let listed = usher.shows("/v1/certificates");
    let file = PathBuf::from(listed["certificates"][1]["chain"].as_str().unwrap());
    // Time passes, as the certificate sees it.
    let mut age = |days: u64| {
        usher.kill();
        let [age, left] = [days, 90 - days].map(|days| Duration::from_secs(days * DAY));
        let aged = Certificate::aged(&["mail.test"], age, left);
        std::fs::write(&file, aged.key_pem() + aged.pem()).unwrap();
        usher.restart();
        (shown(usher.imaps(), "mail.test"), aged.der().to_vec())
    };
    let (before, aged) = age(59);
    assert_eq!(before, aged);
    // It has looked, and left it there.
    let asked = authority.asked().len();
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(!authority.asked()[asked..].iter().any(|line| line.contains("order")), "{:?}", authority.asked());
    let (_, aged) = age(61);
    let until = Instant::now() + DEADLINE;
    while shown(usher.imaps(), "mail.test") == aged {
        assert!(Instant::now() < until, "{}", usher.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn an_authority_that_has_forgotten_everybody_gets_another_account() {
    let setup = setup();
    let mut authority = Authority::start(setup.ip, (HTTP, HTTPS), Rules { validity: 9, ..Rules::default() });
    let acme = authority.section("names = [\"mail.test\"]\nretry = \"1s\"");
    let usher = setup.https("").section(&acme).start();
    wait_for_certificate(&usher, "mail.test");
    authority.begin_anew();
    usher.wait_for_log("accountDoesNotExist");
    usher.wait_for_logs("there is a new certificate", 2);
}

const SUCCESS: &str = "there is a new certificate";

/// An authority that says when certificates are to be replaced: at these times, in seconds since 1970 (RFC 9773).
fn saying_when(from: i64, to: i64) -> Breaker {
    let asked_for = Mutex::new(String::new());
    Box::new(move |path, reply| {
        let written = |seconds| {
            let mut date = Command::new("date");
            date.args(["-u", "+%Y-%m-%dT%H:%M:%SZ", "-d", &format!("@{seconds}")]);
            String::from_utf8(date.output().unwrap().stdout).unwrap().trim().to_owned()
        };
        if path == "/dir" {
            return Broken::Answer(with_body(reply, |body| {
                let mut directory: Value = serde_json::from_str(body).unwrap();
                let order = directory["newOrder"].as_str().unwrap();
                directory["renewalInfo"] = order.replace("order-plz", "renew").into();
                directory.to_string()
            }));
        }
        if let Some(certificate) = path.strip_prefix("/renew/") {
            certificate.clone_into(&mut asked_for.lock().unwrap());
            let window = json!({ "suggestedWindow": { "start": written(from), "end": written(to) } });
            let mut reply = Reply::new(Full::new(Bytes::from(window.to_string())));
            reply.headers_mut().insert("retry-after", HeaderValue::from_static("21600"));
            return Broken::Answer(reply);
        }
        let replaced = asked_for.lock().unwrap().clone();
        match path {
            "/order-plz" if !replaced.is_empty() => Broken::Answer(with_body(reply, |body| {
                let mut order: Value = serde_json::from_str(body).unwrap();
                order["replaces"] = replaced.into();
                order.to_string()
            })),
            _ => Broken::Answer(reply),
        }
    })
}

#[test]
fn the_authority_says_when_a_certificate_is_to_be_replaced() {
    let setup = setup();
    let authority = Authority::start(setup.ip, (HTTP, HTTPS), Rules::default());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let (from, to) = (now + 3600, now + 7200);
    authority.break_by(Some(saying_when(from, to)));
    let mut usher = setup.https("").section(&authority.section("names = [\"mail.test\"]")).start();
    usher.wait_for_log(SUCCESS);
    usher.wait_until("/v1/certificates", |shown| {
        let at = shown["certificates"][1]["replaced_at"].as_i64();
        at.is_some_and(|at| (from..=to).contains(&at))
    });
    let first = shown(usher.imaps(), "mail.test");
    // It has to be replaced all of a sudden, long before its end; the order says which one it replaces.
    authority.break_by(Some(saying_when(now - 7200, now - 3600)));
    usher.restart_after_kill();
    usher.wait_for_logs(SUCCESS, 2);
    assert_ne!(shown(usher.imaps(), "mail.test"), first);
    // An authority that does not know what it replaces gets an order nevertheless.
    let breaker = saying_when(now - 7200, now - 3600);
    authority.break_by(Some(Box::new(move |path, reply| match path {
        "/order-plz" => Broken::Answer(reply),
        _ => breaker(path, reply),
    })));
    let ordered = usher.log().matches(SUCCESS).count();
    usher.restart_after_kill();
    usher.wait_for_logs(SUCCESS, ordered + 1);
}

/// A kind of failure: what it is called, at which stage it is noticed, and how the authority's answers are broken.
type Kind = (&'static str, &'static str, fn(&str, Reply) -> Broken);

fn refused(reply: &Reply, status: u16, kind: &str) -> Broken {
    Broken::Answer(refusal(reply, status, kind))
}

fn said(status: u16, body: &'static str) -> Broken {
    let mut reply = Reply::new(Full::new(Bytes::from_static(body.as_bytes())));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap();
    Broken::Answer(reply)
}

/// A chain that anybody could have made.
fn made_up(certificate: &Certificate) -> Broken {
    let mut reply = Reply::new(Full::new(Bytes::from(certificate.pem().to_owned())));
    reply.headers_mut().insert("content-type", HeaderValue::from_static("application/pem-certificate-chain"));
    Broken::Answer(reply)
}

/// Breaks answers to what begins with a path, and nothing else.
macro_rules! at {
    ($path:literal, $reply:ident => $broken:expr) => {
        |path, $reply| if path.starts_with($path) { $broken } else { Broken::Answer($reply) }
    };
}

const KINDS: &[Kind] = &[
    ("the order is refused", "order", at!("/order-plz", reply => refused(&reply, 403, "rejectedIdentifier"))),
    ("too many orders", "order", at!("/order-plz", reply => refused(&reply, 429, "rateLimited"))),
    ("the authority fails", "order", at!("/order-plz", _reply => said(500, "<html>oops</html>"))),
    ("the authority is empty", "order", at!("/order-plz", _reply => said(201, ""))),
    (
        "an order of another kind",
        "order",
        at!("/order-plz", reply => Broken::Answer(with_body(reply, |_| "[]".to_owned()))),
    ),
    ("no nonces", "order", at!("/nonce-plz", _reply => said(500, "none"))),
    ("every nonce is bad", "order", |path, reply| {
        if path == "/dir" || path == "/nonce-plz" {
            Broken::Answer(reply)
        } else {
            refused(&reply, 400, "badNonce")
        }
    }),
    ("the connection ends in an order", "order", at!("/order-plz", _reply => Broken::Closed)),
    ("an authorization is missing", "order", at!("/authZ", reply => refused(&reply, 404, "malformed"))),
    (
        "an authorization is over",
        "order",
        at!("/authZ", reply => Broken::Answer(with_body(reply, |body| body.replace("pending", "deactivated")))),
    ),
    (
        "no way that is known",
        "order",
        at!("/authZ", reply => Broken::Answer(with_body(reply, |body| body.replace("http-01", "post-02").replace("tls-alpn-01", "fax-01")))),
    ),
    ("the proof is refused", "proof", at!("/chalZ", reply => refused(&reply, 403, "unauthorized"))),
    (
        "the proof is taken for another",
        "proof",
        at!("/authZ", reply => Broken::Answer(with_body(reply, |body| {
            body.replace("\"token\": \"", "\"token\": \"x")
        }))),
    ),
    (
        "the order turns bad",
        "proof",
        at!("/my-order", reply => Broken::Answer(with_body(reply, |body| {
            body.replace("\"pending\"", "\"invalid\"").replace("\"ready\"", "\"invalid\"")
        }))),
    ),
    ("the key is refused", "finalize", at!("/finalize-order", reply => refused(&reply, 400, "badCSR"))),
    ("no certificate comes", "finalize", at!("/certZ", reply => refused(&reply, 404, "malformed"))),
    (
        "the certificate is no certificate",
        "certificate",
        at!("/certZ", reply => Broken::Answer(with_body(reply, |_| "soon".to_owned()))),
    ),
    (
        "a certificate that is cut off",
        "certificate",
        at!("/certZ", reply => Broken::Answer(with_body(reply, |body| body[..300].to_owned()))),
    ),
    (
        "somebody else's certificate",
        "certificate",
        at!("/certZ", _reply => made_up(&Certificate::for_names(&["mail.test"]))),
    ),
    (
        "a certificate of megabytes",
        "finalize",
        at!("/certZ", reply => Broken::Answer(with_body(reply, |body| body.repeat(1000)))),
    ),
    (
        "a certificate that is not text",
        "certificate",
        at!("/certZ", reply => Broken::Answer(with_body(reply, |body| body.replace("MII", "\0\u{1}\u{7f}")))),
    ),
];

#[test]
fn whatever_fails_the_certificate_stays_and_the_next_one_comes() {
    let setup = setup();
    let mut authority =
        Authority::start(setup.ip, (HTTP, HTTPS), Rules { validity: 3600, ..Rules::default() });
    let mut usher =
        setup.https("").section(&authority.section("names = [\"mail.test\"]\nretry = \"1s\"")).start();
    wait_for_certificate(&usher, "mail.test");
    let listed = usher.shows("/v1/certificates");
    let file = PathBuf::from(listed["certificates"][1]["chain"].as_str().unwrap());
    let socket = usher.socket();
    let fail = |usher: &mut Usher, what: &str, stage: &str, ends: &mut dyn FnMut()| {
        // A certificate that is due.
        usher.kill();
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        let due = Certificate::aged(&["mail.test"], hours(90), hours(10));
        std::fs::write(&file, due.key_pem() + due.pem()).unwrap();
        let failed = usher.log().matches("no certificate could be ordered").count();
        usher.restart();
        let line = usher.wait_for_logs("no certificate could be ordered", failed + 1);
        assert!(line.contains(&format!("stage=\"{stage}\"")), "{what}: {line}");
        assert_eq!(shown(usher.imaps(), "mail.test"), due.der().to_vec(), "{what}: it stays");
        let metrics = usher.shows("/metrics").as_str().unwrap().to_owned();
        assert!(metrics.contains("usher_acme_failing_names 1"), "{what}");
        assert!(
            metrics.contains(&format!("usher_acme_orders_total{{result=\"{stage}\"}}")),
            "{what}: {metrics}"
        );
        let succeeded = usher.log().matches(SUCCESS).count();
        ends();
        usher.wait_for_logs(SUCCESS, succeeded + 1);
        assert_ne!(shown(usher.imaps(), "mail.test"), due.der().to_vec(), "{what}: another one comes");
    };
    for (what, stage, breaker) in KINDS {
        authority.break_by(Some(Box::new(breaker)));
        fail(&mut usher, what, stage, &mut || authority.break_by(None));
    }
    // After a reload it is tried at once, however long it would have waited.
    usher.rewrite(|text| text.replace("retry = \"1s\"", "retry = \"1h\""));
    usher.did(&["reload"]);
    authority.break_by(Some(Box::new(KINDS[0].2)));
    fail(&mut usher, "until a reload", "order", &mut || {
        authority.break_by(None);
        let told =
            Command::new(usher_tests::usher::binary()).args(["reload", "--socket"]).arg(&socket).output();
        assert!(told.unwrap().status.success());
    });
    usher.rewrite(|text| text.replace("retry = \"1h\"", "retry = \"1s\""));
    authority.kill();
    fail(&mut usher, "there is no authority", "directory", &mut || authority.begin_anew());
    let dir = file.parent().unwrap().to_owned();
    let account = dir.join("account.json");
    // What is kept is of no use: another account is made.
    std::fs::write(&account, "{\"id\": 5").unwrap();
    usher.kill();
    std::fs::write(&file, "not PEM").unwrap();
    let succeeded = usher.log().matches(SUCCESS).count();
    usher.restart();
    usher.wait_for_logs(SUCCESS, succeeded + 1);
}

#[test]
fn what_was_ordered_is_found_again_and_another_authority_is_another_certificate() {
    let setup = setup();
    let authority = Authority::start(setup.ip, (HTTP, HTTPS), Rules::default());
    let usher = setup.https("").section(&authority.section("names = [\"mail.test\"]")).start();
    wait_for_certificate(&usher, "mail.test");
    let first = shown(usher.imaps(), "mail.test");
    let is_shown = |certificate: &[u8]| {
        let until = Instant::now() + DEADLINE;
        while shown(usher.imaps(), "mail.test") != certificate {
            assert!(Instant::now() < until, "{}", usher.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    // Another name for a while, and the first one again: nothing is ordered for it.
    let rename = |from: &str, to: &str| {
        usher.rewrite(|text| text.replace(&format!("names = [\"{from}\"]"), &format!("names = [\"{to}\"]")));
        usher.did(&["reload"]);
    };
    rename("mail.test", "other.test");
    wait_for_certificate(&usher, "other.test");
    usher.wait_until("/v1/certificates", |all| !all.to_string().contains("\"mail.test\""));
    let orders = || authority.asked().iter().filter(|line| line.contains("/order-plz")).count();
    let before = orders();
    rename("other.test", "mail.test");
    is_shown(&first);
    assert_eq!(orders(), before);
    // The same names of another authority; the first certificate is shown until then.
    usher.rewrite(|text| text.replace(&authority.directory(), &authority.directory_behind()));
    usher.did(&["reload"]);
    usher.wait_for_logs(SUCCESS, 3);
    let second = shown(usher.imaps(), "mail.test");
    assert_ne!(second, first);
    assert_eq!(orders(), before, "by nobody in between");
}
