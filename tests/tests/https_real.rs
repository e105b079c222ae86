//! HTTPS between real peers: nginx, a WSGI application and a WebSocket server behind; curl, h2load, a
//! WebSocket client and Chromium in front.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use serde_json::Value;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use usher_tests::browser::Browser;
use usher_tests::certificate::Certificate;
use usher_tests::nginx::Nginx;
use usher_tests::usher::{DEADLINE, HTTPS, Setup, Usher};

/// A server in Python, killed when it is dropped.
struct Python {
    child: Child,
    _dir: TempDir,
}

impl Python {
    fn start(script: &str, before: &[&str], address: SocketAddr, certificate: &Certificate) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (chain, key) = certificate.write(dir.path(), "peer");
        let child = python(script)
            .args(before)
            .arg(address.ip().to_string())
            .arg(address.port().to_string())
            .arg(chain)
            .arg(key)
            .stdin(Stdio::null())
            .spawn()
            .expect("Python runs");
        let until = Instant::now() + DEADLINE;
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < until, "{script} does not listen on {address}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, _dir: dir }
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The system's Python, whose packages `install-peers` installs.
fn python(script: &str) -> Command {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(script);
    let mut command = Command::new("/usr/bin/python3");
    command.arg(path);
    command
}

struct House {
    usher: Usher,
    _servers: Vec<Nginx>,
    _python: Vec<Python>,
}

/// Three nginx, a WSGI application that is also the array, and a WebSocket server, all over TLS with pins.
fn house() -> House {
    let certificate: Arc<Certificate> = Certificate::for_names(&["peer.test"]);
    let pin = format!("fingerprints = [{:?}]", certificate.pin());
    let mut setup = Setup::new().https("");
    let mut servers = Vec::new();
    for at in 0..3 {
        let (name, address) = (format!("nginx{at}.test"), setup.at(8440 + at));
        servers.push(Nginx::start(&name, address, Some(&certificate), ""));
        let version = if at == 1 { "tls = \"implicit\", version = \"2\"" } else { "tls = \"implicit\"" };
        setup = setup.web_host(&name, address, version, &pin);
    }
    let mut scripts = Vec::new();
    for (at, name) in ["wsgi0.test", "wsgi1.test", "door.test"].into_iter().enumerate() {
        let address = setup.at(8450 + at as u16);
        scripts.push(Python::start("archive.py", &[name], address, &certificate));
        if at < 2 {
            setup = setup.web_host(name, address, "tls = \"implicit\"", &pin);
        }
    }
    let address = setup.at(8460);
    scripts.push(Python::start("chat.py", &["serve"], address, &certificate));
    setup = setup.web_host("chat.test", address, "tls = \"implicit\"", &pin);
    let door = setup.at(8452);
    let section = format!(
        "[https]\narray = \"door\"\n[[https.identity]]\nfrom = \"basic\"\n[[https.identity]]\nfrom = \"form\"\n\
         path = \"/login\"\nfield = \"username\"\n[[https.identity]]\nfrom = \"cookie\"\n\
         [[array]]\nname = \"door\"\nmembers = [{{ name = \"door.test\", \
         http = {{ address = \"{door}\", tls = \"implicit\" }}, {pin} }}]"
    );
    let users = [
        ("user0@example.com", "nginx0.test"),
        ("user1@example.com", "nginx1.test"),
        ("user2@example.com", "nginx2.test"),
        ("anna@example.com", "wsgi0.test"),
        ("ben@example.com", "wsgi1.test"),
        ("chat@example.com", "chat.test"),
    ];
    let usher = setup.section(&section).users(&users).start();
    House { usher, _servers: servers, _python: scripts }
}

/// `--connect-to`, as curl and h2load have it.
fn connect_to(address: SocketAddr) -> String {
    format!("{}:{}", address.ip(), address.port())
}

fn curl(house: &House, words: &[&str], url: &str) -> String {
    let output = Command::new("curl")
        .args(["-sSk", "--connect-to", &format!("mail.test:443:{}", connect_to(house.usher.https()))])
        .args(words)
        .arg(format!("https://mail.test{url}"))
        .output()
        .expect("curl is installed; tests/install-peers does it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn curl_reaches_the_users_host_by_either_version() {
    let house = house();
    for version in ["--http1.1", "--http2"] {
        for user in 0..3 {
            let login = format!("user{user}@example.com:secret");
            let seen: Value =
                serde_json::from_str(&curl(&house, &[version, "-u", &login], "/a%20b?c")).unwrap();
            assert_eq!(seen["host"], format!("nginx{user}.test"), "{version}");
            assert_eq!(
                (seen["user"].as_str(), seen["target"].as_str()),
                (Some(&login[..17]), Some("/a%20b?c"))
            );
            assert!(seen["forwarded"].as_str().unwrap().starts_with("127."), "{seen}");
        }
        // Somebody whom nobody knows, and a request that names nobody.
        let unknown =
            curl(&house, &[version, "-u", "nobody:x", "-o", "/dev/null", "-w", "%{http_code}"], "/");
        assert_eq!(unknown, "401");
        assert!(curl(&house, &[version], "/").contains("door.test"));
        // A form is posted with its whole body, and the cookie jar leads to the user's host from then on.
        let jar = tempfile::NamedTempFile::new().unwrap();
        let jar = jar.path().to_str().unwrap();
        let words = [version, "-L", "-c", jar, "-b", jar, "-d", "username=ben%40example.com&password=secret"];
        let page = curl(&house, &words, "/login");
        assert!(page.contains("wsgi1.test") && page.contains("ben@example.com"), "{page}");
        assert!(curl(&house, &[version, "-b", jar], "/pages/7").contains("wsgi1.test"));
    }
}

#[test]
fn h2load_sees_no_failure() {
    let house = house();
    for words in [["--h1", "-m1"], ["-m10", "-w16"]] {
        let output = Command::new("h2load")
            .args(["-n3000", "-c10", "-t1"])
            .args(words)
            .arg(format!("--connect-to={}", connect_to(house.usher.https())))
            .args(["-H", "authorization: Basic dXNlcjJAZXhhbXBsZS5jb206c2VjcmV0", "https://mail.test/"])
            .output()
            .expect("h2load is installed; tests/install-peers does it");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("3000 succeeded, 0 failed, 0 errored, 0 timeout"), "{said}");
        assert!(said.contains("status codes: 3000 2xx"), "{said}");
    }
}

#[test]
fn a_websocket_client_talks_to_its_server() {
    let house = house();
    let address = house.usher.https();
    let output = python("chat.py")
        .args(["ask", &address.ip().to_string(), &address.port().to_string(), "chat@example.com"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let line = house.usher.wait_for_log("status=101");
    assert!(line.contains("host=\"chat.test\""), "{line}");
}

#[test]
fn a_browser_logs_in_by_the_form_and_stays_at_its_host() {
    let house = house();
    let browser = Browser::open("mail.test", house.usher.https());
    let place = format!("https://mail.test:{HTTPS}");
    browser.go(&format!("{place}/login"));
    // The form names nobody yet.
    browser.expect("host", "door.test");
    browser.write("username", "anna@example.com");
    browser.write("password", "secret");
    browser.click("go");
    browser.expect("host", "wsgi0.test");
    browser.expect("user", "anna@example.com");
    let cookies = browser.cookies();
    let own =
        cookies.as_array().unwrap().iter().find(|cookie| cookie["name"] == "__Host-usher-user").unwrap();
    assert_eq!((own["httpOnly"].as_bool(), own["secure"].as_bool()), (Some(true), Some(true)));
    assert_eq!(own["sameSite"], "Lax");
    assert!(
        !browser.run("return document.cookie").to_string().contains("usher"),
        "scripts see nothing of it"
    );
    for page in 1..=50 {
        if page == 25 {
            house.usher.rewrite(|text| text.replace("login_wait = \"2s\"", "login_wait = \"3s\""));
            house.usher.did(&["reload"]);
        }
        browser.go(&format!("{place}/pages/{page}"));
        browser.expect("page", &format!("/pages/{page}"));
        browser.expect("host", "wsgi0.test");
    }
    // HTTP/2, as browsers speak it.
    house.usher.wait_for_log("path=\"/pages/50\" version=HTTP/2.0");
    // Moved meanwhile: the browser follows with its next request.
    assert!(house.usher.user(&["set", "anna@example.com", "wsgi1.test"]).status.success());
    browser.go(&format!("{place}/pages/51"));
    browser.expect("page", "/pages/51");
    browser.expect("host", "wsgi1.test");
}
