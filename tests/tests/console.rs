//! The console in a real browser: what people see of usher, and what they may do there.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use usher_tests::archive::Options;
use usher_tests::browser::Browser;
use usher_tests::client::Client;
use usher_tests::runtime::archive;
use usher_tests::usher::{DEADLINE, Setup, Usher};

const OPERATOR: &str = "0123456789abcdef0123456789abcdef";
const READER: &str = "fedcba9876543210fedcba9876543210";
const PAGES: [&str; 7] =
    ["hosts", "users", "sessions", "directory", "certificates", "changes", "configuration"];

/// An usher in front of two hosts, with its console.
struct House {
    usher: Usher,
    console: SocketAddr,
}

fn house(proxy: &str) -> House {
    let setup = Setup::new().server("login_wait = \"5s\"\ndrain_deadline = \"60s\"").limits("quiet = \"1s\"");
    let token = |name: &str, token: &str| {
        let path = setup.dir.path().join(name);
        std::fs::write(&path, token).unwrap();
        path
    };
    let (operator, reader) = (token("operator", OPERATOR), token("reader", READER));
    let (console, one, two) = (setup.at(9143), setup.at(10143), setup.at(10144));
    for (name, at) in [("ih1.test", one), ("ih2.test", two)] {
        let held = archive(Options::named(name), at);
        for user in ["anna", "bert", "cleo"] {
            held.add_user(&format!("{user}@example.com"), "secret");
        }
    }
    let usher = setup
        .section(&format!(
            "[admin]\nlisten = \"{console}\"\ntoken_file = {operator:?}\nreader_token_file = {reader:?}\n{proxy}"
        ))
        .host("ih1.test", one, "tls = \"none\"", "")
        .host("ih2.test", two, "tls = \"none\"", "")
        .users(&[
            ("anna@example.com", "ih1.test"),
            ("bert@example.com", "ih1.test"),
            ("cleo@example.com", "ih2.test"),
        ])
        .start();
    House { usher, console }
}

impl House {
    fn open(&self) -> Browser {
        let browser = Browser::open("usher.test", self.console);
        browser.resize(1280, 900);
        browser.go(&format!("http://{}/", self.console));
        browser.see("h1", "Hosts");
        browser
    }

    fn page(&self, browser: &Browser, page: &str) {
        browser.go(&format!("http://{}/#/{page}", self.console));
    }

    fn log_in(&self, user: &str) -> Client {
        let mut client = Client::tls(self.usher.imaps());
        client.login(&format!("{user}@example.com"), "secret");
        client
    }
}

fn sign_in(browser: &Browser, token: &str, role: &str) {
    browser.press("#sign-in");
    browser.type_into("dialog input[name=token]", token);
    browser.press("dialog button[name=do]");
    browser.see("#sign-out", "Sign out");
    browser.see("#role", role);
}

/// Fills in the dialog that is open, and goes on.
fn confirm(browser: &Browser, fields: &[(&str, &str)]) {
    for (name, text) in fields {
        browser.type_into(&format!("dialog[open] input[name={name}]"), text);
    }
    browser.press("dialog[open] button[name=do]");
    browser.miss("dialog[open]");
}

#[test]
fn a_person_drains_a_host_and_watches_its_sessions_end() {
    let house = house("");
    let mut busy = [house.log_in("anna"), house.log_in("bert")];
    let mut other = house.log_in("cleo");
    // One of them is in the middle of something, so the drain takes until it has finished.
    busy[0].send("a APPEND INBOX {10}\r\n");
    assert!(busy[0].line().starts_with('+'));
    let browser = house.open();
    browser.see("#pulse-sessions", "3");
    browser.see("[data-row=\"/ih1.test\"] [data-label=Sessions]", "2");
    browser.see("[data-row=\"/ih1.test\"] .state", "up");
    // Nobody has signed in yet.
    browser.miss("[data-do=drain]");
    sign_in(&browser, OPERATOR, "operator");
    browser.press("[data-do=drain][data-host=\"ih1.test\"]");
    confirm(&browser, &[("why", "new disks"), ("deadline", "60")]);
    browser.see("#notice", "drain has begun");
    browser.see("[data-row=\"/ih1.test\"] .state", "draining");
    browser.see("[data-row=\"/ih1.test\"] [data-label=Why]", "new disks");
    // The quiet one is told, and the busy one is left: both can be watched.
    browser.see("[data-row=\"/ih1.test\"] [data-label=State]", "1 of 2 left");
    assert!(busy[1].line().starts_with("* BYE"));
    busy[0].send("Subject: x\r\n");
    busy[0].answer("a");
    browser.see("[data-row=\"/ih1.test\"] .state", "drained");
    browser.see("[data-row=\"/ih1.test\"] [data-label=Sessions]", "0");
    browser.see("#pulse-sessions", "1");
    assert!(other.command("b NOOP").last().unwrap().contains("OK"), "the other host goes on");

    browser.press("[data-do=start][data-host=\"ih1.test\"]");
    confirm(&browser, &[]);
    browser.see("[data-row=\"/ih1.test\"] .state", "up");
    house.log_in("anna");
    house.page(&browser, "changes");
    browser.see("tbody tr:first-child [data-label=What]", "start");
    browser.see("tbody tr:nth-child(2) [data-label=Why]", "new disks");
    assert!(!house.usher.log().contains(OPERATOR));
}

#[test]
fn a_user_is_found_moved_held_and_sent_away() {
    let house = house("");
    let mut anna = house.log_in("anna");
    let browser = house.open();
    sign_in(&browser, OPERATOR, "operator");
    house.page(&browser, "users");
    browser.type_into("#find input", "Anna@Example.com\u{e007}");
    browser.see("h2", "anna@example.com");
    browser.see("#home", "ih1.test");
    browser.see("table [data-label=Protocol]", "imaps");
    // A host that does not exist is refused where the person still is.
    browser.press("#move");
    browser.type_into("dialog[open] input[name=to]", "ih9.test");
    browser.press("dialog[open] button[name=do]");
    browser.see("dialog [role=alert]", "ih9.test");
    browser.press("dialog[open] button[type=button]");
    browser.press("#move");
    confirm(&browser, &[("to", "ih2.test")]);
    browser.see("#notice", "anna@example.com is on ih2.test now");
    browser.see("#home", "ih2.test");
    assert!(anna.line().starts_with("* BYE"), "the move ends the session at the former host");
    assert_eq!(house.usher.shows("/v1/directory/anna@example.com")["host"], "ih2.test");

    browser.press("#hold");
    confirm(&browser, &[("why", "restoring")]);
    browser.see("dl.facts", "restoring");
    let held = house.usher.shows("/v1/holds");
    assert_eq!(held["keys"][0]["why"], "restoring");
    assert_eq!(held["keys"][0]["by"], "token");
    house.page(&browser, "directory");
    browser.see("main", "Users on hold");
    house.page(&browser, "users/anna%40example.com");
    browser.press("#release");
    confirm(&browser, &[]);
    browser.see("#hold", "Hold");

    let mut anna = house.log_in("anna");
    let mut bert = house.log_in("bert");
    browser.see("table [data-label=Host]", "ih2.test");
    browser.press("#kick");
    confirm(&browser, &[]);
    browser.see("#notice", "1 ended");
    assert!(anna.line().starts_with("* BYE"));
    // One of all, in the list of sessions.
    house.page(&browser, "sessions");
    browser.see("#matching", "1");
    browser.press("[data-do=kick][data-user=\"bert@example.com\"]");
    confirm(&browser, &[]);
    assert!(bert.line().starts_with("* BYE"));
    browser.see("#matching", "0");
}

#[test]
fn sessions_are_filtered_and_ended_together() {
    let house = house("");
    let mut all = ["anna", "bert", "cleo"].map(|user| house.log_in(user));
    let browser = house.open();
    sign_in(&browser, OPERATOR, "operator");
    house.page(&browser, "sessions/host/ih1.test");
    browser.see("#matching", "2");
    browser.miss("[data-user=\"cleo@example.com\"]");
    browser.press("#kick-all");
    confirm(&browser, &[]);
    browser.see("#matching", "0");
    for client in &mut all[..2] {
        assert!(client.line().starts_with("* BYE"));
    }
    assert!(all[2].command("a NOOP").last().unwrap().contains("OK"));
    house.page(&browser, "sessions");
    browser.type_into("#search input[name=client]", "192.0.2.0/24\u{e007}");
    browser.see("#matching", "0");
    house.page(&browser, "hosts");
    house.page(&browser, "sessions");
    browser.type_into("#search input[name=client]", "127.0.0.0/8\u{e007}");
    browser.see("#matching", "1");
    browser.type_into("#search input[name=client]", "x\u{e007}");
    browser.see("#problem", "neither an address nor a network");
}

#[test]
fn a_reload_shows_its_faults() {
    let house = house("");
    let browser = house.open();
    sign_in(&browser, OPERATOR, "operator");
    house.page(&browser, "configuration");
    browser.see("#in-force", "ih1.test");
    house.usher.rewrite(|text| text.replace("login_wait = \"5s\"", "login_weight = \"5s\""));
    browser.press("#reload");
    confirm(&browser, &[]);
    browser.see("#notice", "Nothing has changed");
    browser.see("#faults", "login_weight");
    house.usher.rewrite(|text| text.replace("login_weight = \"5s\"", "login_wait = \"6s\""));
    browser.press("#reload");
    confirm(&browser, &[]);
    browser.see("#notice", "The configuration is in force");
    browser.see("#in-force", "\"login_wait\": \"6s\"");
    browser.miss("#faults");
}

#[test]
fn whoever_may_only_read_changes_nothing() {
    let house = house("");
    let browser = house.open();
    browser.press("#sign-in");
    browser.type_into("dialog input[name=token]", "a token that nobody has");
    browser.press("dialog button[name=do]");
    browser.see("dialog [role=alert]", "does not know this token");
    browser.press("dialog button[type=button]");
    sign_in(&browser, READER, "reader");
    browser.see("[data-row=\"/ih1.test\"] .state", "up");
    let _anna = house.log_in("anna");
    for (page, there) in [
        ("hosts", "[data-row=\"/ih1.test\"]"),
        ("host/ih1.test", "[data-label=Service]"),
        ("users/anna%40example.com", "#outcome"),
        ("sessions/user/anna%40example.com", "tbody [data-label=Client]"),
        ("configuration", "#in-force"),
    ] {
        house.page(&browser, page);
        browser.see(there, "");
        browser.miss("[data-do], #move, #hold, #kick, #kick-all, #release, #reload");
    }
    let status = |headers: Value| {
        let script = format!(
            "const done = arguments[0]; fetch('v1/hosts/ih1.test/drain', \
             {{ method: 'POST', headers: {headers} }}).then((response) => done(response.status))"
        );
        browser.run_async(&script)
    };
    assert_eq!(status(json!({ "Authorization": format!("Bearer {READER}") })), 403);
    assert_eq!(status(json!({})), 401);
    assert_eq!(house.usher.state("ih1.test", 0), "up");
    assert_eq!(browser.cookies(), json!([]), "nothing that a browser would send by itself");
    assert_eq!(browser.run("return Object.keys(localStorage).length"), 0);
    // The token is this tab's alone.
    assert_eq!(browser.run("return Object.values(sessionStorage)"), json!([READER]));
    browser.press("#sign-out");
    browser.see("#sign-in", "Sign in");
    assert_eq!(browser.run("return sessionStorage.length"), 0);
    assert!(!house.usher.log().contains(READER));
}

/// The status and the head of what a request gets.
fn asked(address: SocketAddr, line: &str, headers: &[&str]) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let host = if headers.contains("Host:") { "" } else { "Host: localhost\r\n" };
    write!(stream, "{line} HTTP/1.1\r\n{host}{headers}Connection: close\r\nContent-Length: 0\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

/// A proxy that knows people by a cookie vouches for whatever their browsers send, so what it vouches for must be meant.
#[test]
fn a_trusted_proxy_says_who_somebody_is() {
    let secrets = tempfile::tempdir().unwrap();
    let secret = secrets.path().join("proxy");
    std::fs::write(&secret, "the secret of the proxy").unwrap();
    let trusted = "from = [\"127.0.0.0/8\"], operators = [\"anna\"]";
    let house = house(&format!("trusted_proxy = {{ {trusted}, secret_file = {secret:?} }}"));
    let at = house.console;
    let asked = |at, line: &str, headers: &[&str]| {
        asked(at, line, &[headers, &["X-Usher-Proxy: the secret of the proxy"]].concat())
    };
    let drain = "POST /v1/hosts/ih1.test/drain";
    let (anna, bert) = ("Remote-User: anna", "Remote-User: bert");
    let (host, meant) = ("Host: usher.example.com", "X-Usher-Console: 1");
    for (line, headers, status) in [
        ("GET /v1/me", vec![host, anna], 200),
        ("GET /v1/me", vec![host, bert], 200),
        ("GET /v1/me", vec![host], 401),
        // A proxy on the same machine that has not asked anybody is nobody.
        ("GET /v1/me", vec![], 401),
        ("GET /v1/status", vec![], 401),
        ("GET /v1/config/text", vec![host, bert], 403),
        (drain, vec![host, bert, meant], 403),
        (drain, vec![host, anna], 403),
        (drain, vec![host, anna, meant, "Origin: https://evil.example"], 403),
        (drain, vec![host, anna, meant, "Sec-Fetch-Site: cross-site"], 403),
        (drain, vec![host, bert, anna, meant], 401),
        (drain, vec![host, anna, meant, "Authorization: Bearer x"], 401),
        // What asks a browser for permission to send the header gets none.
        ("OPTIONS /v1/hosts/ih1.test/drain", vec![host, anna, meant], 405),
    ] {
        assert_eq!(asked(at, line, &headers).0, status, "{line} {headers:?}");
    }
    assert_eq!(house.usher.state("ih1.test", 0), "up");
    let unproven = [host, anna, meant];
    assert_eq!(self::asked(at, drain, &unproven).0, 401, "anybody on this machine could say that");
    let preflight = asked(at, "OPTIONS /v1/hosts/ih1.test/drain", &[host, anna, meant]).1;
    assert!(!preflight.to_ascii_lowercase().contains("access-control-allow"), "{preflight}");
    let allowed = [host, anna, meant, "Origin: https://usher.example.com"];
    assert_eq!(asked(at, drain, &allowed).0, 202);
    let line = house.usher.wait_for_log("what=\"drain\"");
    assert!(line.contains("by=\"anna (proxy)\""), "{line}");
    assert!(asked(at, "GET /v1/me", &[host, anna]).1.contains("\"role\":\"operator\""));
    assert!(asked(at, "GET /v1/me", &[host, bert]).1.contains("\"role\":\"reader\""));
}

#[test]
fn the_console_itself_is_for_everybody_and_says_nothing() {
    let house = house("");
    let elsewhere = ["Host: usher.example.com"];
    for path in ["/", "/console/main.js", "/console/console.css", "/console/lit-html/lit-html.js"] {
        let (status, answer) = asked(house.console, &format!("GET {path}"), &elsewhere);
        assert_eq!(status, 200, "{path}");
        let head = answer.to_ascii_lowercase();
        for header in [
            "content-security-policy: default-src 'none'; script-src 'self';",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
        ] {
            assert!(head.contains(header), "{path}: {header}");
        }
        assert!(!answer.contains("ih1.test") && !head.contains("set-cookie"));
    }
    // Wherever a link to it stands, and after somebody has been asked elsewhere who they are.
    for site in ["cross-site", "same-site"] {
        let navigation = [elsewhere[0], &format!("Sec-Fetch-Site: {site}"), "Sec-Fetch-Mode: navigate"];
        assert_eq!(asked(house.console, "GET /", &navigation).0, 200);
        assert_eq!(asked(house.console, "GET /v1/status", &navigation).0, 403);
    }
    for method in ["POST", "OPTIONS", "DELETE"] {
        assert_eq!(asked(house.console, &format!("{method} /console/main.js"), &elsewhere).0, 401);
    }
    // What a proxy on this machine passes on is not from this machine.
    for header in ["X-Forwarded-For: 192.0.2.1", "Via: 1.1 proxy", "Forwarded: for=192.0.2.1"] {
        assert_eq!(asked(house.console, "GET /v1/status", &[header]).0, 401, "{header}");
    }
    assert_eq!(asked(house.console, "GET /console/../v1/status", &elsewhere).0, 404);
    assert_eq!(asked(house.console, "GET /console/nothing.js", &elsewhere).0, 404);
    for path in ["/v1/me", "/v1/status", "/v1/events", "/v1/changes", "/v1/sources", "/v1/sessions"] {
        assert_eq!(asked(house.console, &format!("GET {path}"), &elsewhere).0, 401, "{path}");
    }
}

/// Where pictures of the pages are kept, to be looked at.
fn pictures() -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/console");
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

#[test]
fn every_page_can_be_read_by_everybody_on_any_screen() {
    let house = house("");
    let _sessions = ["anna", "bert", "cleo"].map(|user| house.log_in(user));
    house.usher.did(&["stop", "ih2.test", "--why", "broken fan"]);
    house.usher.wait_for_state("ih2.test", "stopped");
    house.usher.did(&["user", "set", "dora@example.com", "ih1.test"]);
    let browser = house.open();
    sign_in(&browser, OPERATOR, "operator");
    let axe = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/axe/package/axe.min.js");
    let axe = std::fs::read_to_string(axe).expect("axe is installed; tests/install-peers does it");
    let pictures = pictures();
    let others = ["host/ih2.test", "users/anna%40example.com"];
    for page in PAGES.into_iter().chain(others) {
        house.page(&browser, page);
        browser.see("#pulse-uptime", "s");
        browser.run("document.activeElement.blur()");
        let there = match page {
            "changes" | "certificates" | "directory" | "sessions" | "hosts" => "tbody td",
            "configuration" => "#in-force",
            "host/ih2.test" => "[data-label=Service]",
            "users" => "#find",
            _ => "#outcome",
        };
        browser.see(there, "");
        let name = page.split(['/', '%']).take(2).collect::<Vec<_>>().join("-");
        for (width, scheme) in [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")] {
            browser.resize(width, 900);
            browser.prefer(scheme);
            let too_wide = browser
                .run("return document.documentElement.scrollWidth > document.documentElement.clientWidth");
            assert_eq!(too_wide, false, "{page} needs more than {width} pixels");
            browser.run(&axe);
            let found = browser.run_async(
                "const done = arguments[0]; axe.run().then(({ violations }) => done(violations.filter(({ impact }) => \
                 ['serious', 'critical'].includes(impact)).map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])))",
            );
            assert_eq!(found, json!([]), "{page} at {width} in {scheme}");
            std::fs::write(pictures.join(format!("{name}-{width}-{scheme}.png")), browser.screenshot())
                .unwrap();
        }
    }
    // By keyboard alone: the first stop leads past the menu, and a dialog takes and returns the focus.
    house.page(&browser, "hosts");
    browser.resize(1280, 900);
    browser.see("[data-do=drain]", "Drain");
    // What is paused stays as it is.
    browser.press("#pause");
    let uptime = browser.run("return document.querySelector('#pulse-uptime').textContent");
    house.usher.did(&["start", "ih2.test"]);
    browser.see("[data-row=\"/ih2.test\"] .state", "stopped");
    assert_eq!(browser.run("return document.querySelector('#pulse-uptime').textContent"), uptime);
    browser.press("#pause");
    browser.see("[data-row=\"/ih2.test\"] .state", "up");
    browser.run("document.querySelector('[data-do=drain]').focus()");
    browser.type_into("[data-do=drain]", "\u{e007}");
    browser.see("dialog[open] h2", "Drain ih1.test");
    assert_eq!(browser.run("return document.activeElement.name"), "why");
    browser.type_into("dialog[open] input[name=why]", "\u{e00c}");
    browser.miss("dialog[open]");
    assert_eq!(browser.run("return document.activeElement.dataset.do"), "drain");
    assert_eq!(house.usher.state("ih1.test", 0), "up");
}
