//! A real Chromium, driven as a person would, by W3C WebDriver.

use crate::deadline::DEADLINE;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The name under which WebDriver hands elements over.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A running browser, closed when it is dropped.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: TempDir,
}

impl Browser {
    /// Opens one for which `name` is at `address`, and which takes any certificate.
    pub fn open(name: &str, address: SocketAddr) -> Self {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let profile = tempfile::tempdir().unwrap();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is installed; tests/install-peers does it");
        let until = Instant::now() + DEADLINE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(Instant::now() < until, "chromedriver does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut browser = Self { driver, port, session: String::new(), _profile: profile };
        let arguments = json!([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--ignore-certificate-errors",
            format!("--user-data-dir={}", browser._profile.path().display()),
            format!("--host-resolver-rules=MAP {name} {}", address.ip()),
        ]);
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "acceptInsecureCerts": true,
            "goog:chromeOptions": { "args": arguments },
        } } });
        let opened = browser.call("POST", "/session", Some(wanted));
        browser.session = opened["sessionId"].as_str().unwrap_or_else(|| panic!("{opened}")).to_owned();
        browser
    }

    /// Goes to an address.
    pub fn go(&self, url: &str) {
        self.ask("POST", "/url", Some(json!({ "url": url })));
    }

    /// Waits until the element with this id has this text. A click returns before the page that it leads to is
    /// there, and elements of the former page may vanish between any two questions.
    pub fn expect(&self, id: &str, text: &str) {
        let until = Instant::now() + DEADLINE;
        loop {
            let shown = self.text(&format!("#{id}"));
            if shown.as_ref().is_ok_and(|shown| shown == text) {
                return;
            }
            assert!(Instant::now() < until, "#{id} is to say {text:?}: {shown:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the first element that `selector` finds is shown and has `text` in it.
    pub fn see(&self, selector: &str, text: &str) {
        let until = Instant::now() + DEADLINE;
        loop {
            let shown = self.text(selector);
            if shown.as_ref().is_ok_and(|shown| shown.as_str().is_some_and(|shown| shown.contains(text))) {
                return;
            }
            assert!(Instant::now() < until, "{selector} is to say {text:?}: {shown:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until `selector` finds nothing.
    pub fn miss(&self, selector: &str) {
        let until = Instant::now() + DEADLINE;
        while self.look_for(selector).is_ok() {
            assert!(Instant::now() < until, "{selector} is still there");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What the element says, or what the driver says instead.
    fn text(&self, selector: &str) -> Result<Value, Value> {
        self.look_for(selector).map(|element| self.ask("GET", &format!("/element/{element}/text"), None))
    }

    /// Types into the element with this id.
    pub fn write(&self, id: &str, text: &str) {
        self.ask("POST", &format!("/element/{}/value", self.find(id)), Some(json!({ "text": text })));
    }

    /// Clicks the element with this id.
    pub fn click(&self, id: &str) {
        self.ask("POST", &format!("/element/{}/click", self.find(id)), Some(json!({})));
    }

    /// Clicks the first element that `selector` finds. Pages that are drawn anew may take it away in between.
    pub fn press(&self, selector: &str) {
        self.insist(selector, |element| {
            self.ask("POST", &format!("/element/{element}/click"), Some(json!({})))
        });
    }

    /// Types into the first element that `selector` finds.
    pub fn type_into(&self, selector: &str, text: &str) {
        self.insist(selector, |element| {
            self.ask("POST", &format!("/element/{element}/value"), Some(json!({ "text": text })))
        });
    }

    /// Does something with an element until the driver has nothing against it.
    fn insist(&self, selector: &str, act: impl Fn(&str) -> Value) {
        let until = Instant::now() + DEADLINE;
        loop {
            let did = self.look_for(selector).map(|element| act(&element));
            if did.as_ref().is_ok_and(Value::is_null) {
                return;
            }
            assert!(Instant::now() < until, "{selector}: {did:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Makes the screen `width` by `height` pixels, as a telephone's or another one's.
    pub fn resize(&self, width: u32, height: u32) {
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.command("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Says which of the two schemes the person likes: `light` or `dark`.
    pub fn prefer(&self, scheme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.command("Emulation.setEmulatedMedia", &json!({ "features": [feature] }));
    }

    /// The whole page as a picture, in PNG.
    pub fn screenshot(&self) -> Vec<u8> {
        let taken = self.command("Page.captureScreenshot", &json!({ "captureBeyondViewport": true }));
        BASE64.decode(taken["data"].as_str().unwrap()).unwrap()
    }

    /// A command of Chromium's own protocol.
    fn command(&self, name: &str, parameters: &Value) -> Value {
        self.ask("POST", "/goog/cdp/execute", Some(json!({ "cmd": name, "params": parameters })))
    }

    /// The cookies that it has for this place.
    pub fn cookies(&self) -> Value {
        self.ask("GET", "/cookie", None)
    }

    /// What a script returns.
    pub fn run(&self, script: &str) -> Value {
        self.ask("POST", "/execute/sync", Some(json!({ "script": script, "args": [] })))
    }

    /// What a script hands to its last argument, later.
    pub fn run_async(&self, script: &str) -> Value {
        self.ask("POST", "/execute/async", Some(json!({ "script": script, "args": [] })))
    }

    fn find(&self, id: &str) -> String {
        self.look_for(&format!("#{id}")).unwrap_or_else(|answer| panic!("no #{id}: {answer}"))
    }

    /// The first element that `selector` finds, or what the driver says instead.
    fn look_for(&self, selector: &str) -> Result<String, Value> {
        let wanted = json!({ "using": "css selector", "value": selector });
        let found = self.ask("POST", "/element", Some(wanted));
        found[ELEMENT].as_str().map(str::to_owned).ok_or_else(|| found.clone())
    }

    fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        self.call(method, &format!("/session/{}{path}", self.session), body)
    }

    fn call(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("chromedriver answers");
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        // The driver keeps connections open whatever it is asked.
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            match line.trim_end().to_ascii_lowercase().strip_prefix("content-length:") {
                Some(value) => length = value.trim().parse().unwrap(),
                None if line.trim_end().is_empty() => break,
                None => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let mut answer: Value = serde_json::from_slice(&body).unwrap();
        answer["value"].take()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.ask("DELETE", "", None);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
