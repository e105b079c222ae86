//! What Prometheus makes of usher.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use serde_json::Value;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use usher_tests::archive::Options;
use usher_tests::client::Client;
use usher_tests::runtime::archive;
use usher_tests::usher::{DEADLINE, Setup, Usher};

fn packaging(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("packaging").join(file)
}

fn promtool(arguments: &[&str]) {
    let rules = packaging("prometheus");
    let output = Command::new("promtool")
        .args(arguments)
        .current_dir(rules)
        .output()
        .expect("promtool is installed; tests/install-peers does it");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
fn alert_rules_are_raised_when_they_should_be() {
    promtool(&["check", "rules", "usher.rules.yml"]);
    promtool(&["test", "rules", "usher.rules.test.yml"]);
}

#[test]
fn every_alert_has_its_page_in_the_runbook() {
    let rules = std::fs::read_to_string(packaging("prometheus/usher.rules.yml")).unwrap();
    let runbook = std::fs::read_to_string(packaging("../docs/runbook.md")).unwrap();
    let alerts: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10);
    for alert in alerts {
        assert!(runbook.contains(&format!("## {alert}\n")), "{alert}");
        assert!(rules.contains(&format!("docs/runbook.md#{}", alert.to_lowercase())), "{alert}");
    }
}

#[test]
fn the_dashboard_is_one() {
    let text = std::fs::read_to_string(packaging("grafana/usher.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() > 15);
    assert_eq!(dashboard["templating"]["list"][0]["type"], "datasource");
}

/// A real Prometheus, killed when it is dropped.
struct Prometheus {
    child: Child,
    address: SocketAddr,
}

impl Prometheus {
    fn start(dir: &Path, address: SocketAddr, target: SocketAddr) -> Self {
        let rules = packaging("prometheus/usher.rules.yml");
        let config = dir.join("prometheus.yml");
        let text = format!(
            "global: {{ scrape_interval: 200ms, evaluation_interval: 200ms }}\nrule_files: [{rules:?}]\n\
             scrape_configs:\n  - job_name: usher\n    static_configs: [ {{ targets: [\"{target}\"] }} ]\n"
        );
        std::fs::write(&config, text).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--web.listen-address={address}"))
            .arg(format!("--storage.tsdb.path={}", dir.join("tsdb").display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus is installed; tests/install-peers does it");
        let until = Instant::now() + DEADLINE;
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < until, "prometheus does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        Self { child, address }
    }

    fn shows(&self, path: &str, query: &str) -> Value {
        let output = Command::new("curl")
            .args(["-s", "--max-time", "60", "-G", &format!("http://{}{path}", self.address)])
            .args(["--data-urlencode", &format!("query={query}")])
            .output()
            .expect("curl is installed");
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    /// Waits until the first result of `query` is `value`.
    fn wait_for(&self, query: &str, value: &str) {
        let until = Instant::now() + DEADLINE;
        loop {
            let shown = self.shows("/api/v1/query", query);
            if shown["data"]["result"][0]["value"][1] == value {
                return;
            }
            assert!(Instant::now() < until, "{query}: {shown}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_real_prometheus_reads_it_all() {
    let setup = Setup::new();
    let (api, address, gone) = (setup.at(9143), setup.at(10143), setup.at(10144));
    archive(Options::named("ih.test"), address).add_user("anna@example.com", "secret");
    let prometheus_at = setup.at(9090);
    let keys = "login_as = \"canonical\"\nhealth = { interval = \"200ms\", imap = { probe = \"greeting\" } }";
    let usher = setup
        .section(&format!("[admin]\nlisten = \"{api}\""))
        .host("ih.test", address, "tls = \"none\"", keys)
        .host("gone.test", gone, "tls = \"none\"", keys)
        .users(&[("anna@example.com", "ih.test")])
        .start();
    let prometheus = Prometheus::start(usher.setup.dir.path(), prometheus_at, api);
    let mut clients: Vec<_> = (0..3).map(|_| Client::tls(usher.imaps())).collect();
    clients.iter_mut().for_each(|client| client.login("anna", "secret"));
    let mut wrong = Client::tls(usher.imaps());
    wrong.send("a LOGIN anna wrong\r\n");
    wrong.line();
    for (query, value) in [
        ("up{job=\"usher\"}", "1"),
        ("sum(usher_sessions{protocol=\"imaps\", host=\"ih.test\"})", "3"),
        ("sum(usher_logins_total{result=\"ok\"})", "3"),
        ("sum(usher_logins_total{result=\"refused\"})", "1"),
        ("usher_host_state{host=\"ih.test\", service=\"imap\", state=\"up\"}", "1"),
        ("usher_host_state{host=\"gone.test\", service=\"imap\", state=\"unhealthy\"}", "1"),
        ("usher_login_duration_seconds_count{result=\"ok\"}", "3"),
        ("sum(usher_stage_duration_seconds_count{stage=\"connect\"})", "4"),
        ("sum(usher_tls_handshakes_total{kind=\"full\"})", "4"),
        ("sum(usher_directory_lookups_total{result=\"found\"})", "4"),
        ("usher_config_last_reload_successful", "1"),
        ("count(process_open_fds{job=\"usher\"})", "1"),
        ("count(usher_tls_certificate_expiry_timestamp_seconds)", "1"),
        // Nothing is counted by user or by client.
        ("count({job=\"usher\", user!=\"\"}) or vector(0)", "0"),
    ] {
        prometheus.wait_for(query, value);
    }
    usher.did(&["drain", "ih.test"]);
    prometheus.wait_for("usher_host_hold{host=\"ih.test\", hold=\"operator\"}", "1");
    prometheus.wait_for("ALERTS{alertname=\"UsherHostOut\", host=\"gone.test\"}", "1");
    let rules = prometheus.shows("/api/v1/rules", "");
    let rules = rules["data"]["groups"][0]["rules"].as_array().unwrap().clone();
    assert!(rules.len() > 10 && rules.iter().all(|rule| rule["health"] == "ok"), "{rules:?}");
}

/// The lines below `info` so far.
fn steps(usher: &Usher) -> Vec<String> {
    usher.log().lines().filter(|line| line.contains(" DEBUG ")).map(str::to_owned).collect()
}

#[test]
fn the_way_of_one_user_is_logged_for_a_while() {
    let setup = Setup::new();
    let address = setup.at(10143);
    let held = archive(Options::named("ih.test"), address);
    for user in ["anna@example.com", "bert@example.com"] {
        held.add_user(user, "secret");
    }
    let usher = setup
        .host("ih.test", address, "tls = \"none\"", "")
        .users(&[("anna@example.com", "ih.test"), ("bert@example.com", "ih.test")])
        .start();
    let log_in = |user: &str| {
        let mut client = Client::tls(usher.imaps());
        client.login(user, "secret");
        client.command("z LOGOUT");
    };
    let ended = |count| usher.wait_for_logs(" closed ", count);
    log_in("anna@example.com");
    ended(1);
    assert_eq!(steps(&usher), Vec::<String>::new());
    let said = usher.did(&["log-level", "debug", "--for", "5m", "--user", "Anna@example.com"]);
    assert!(said.contains("of the user anna@example.com"), "{said}");
    log_in("bert@example.com");
    log_in("anna@example.com");
    ended(3);
    let steps_of_anna = steps(&usher);
    for step in [
        "a client logs in",
        "the directory names this host",
        "connected to the host",
        "the host has answered",
    ] {
        assert_eq!(
            steps_of_anna.iter().filter(|line| line.contains(step)).count(),
            1,
            "{step}: {steps_of_anna:#?}"
        );
    }
    let all = steps_of_anna.join("\n");
    assert!(!all.contains("bert") && !all.contains("secret"), "{all}");
    assert!(usher.log().contains("what=\"log-level\""));
    // By host and by address, and of everybody.
    usher.did(&["log-level", "debug", "--host", "other.test"]);
    log_in("anna@example.com");
    ended(4);
    assert_eq!(steps(&usher).len(), steps_of_anna.len());
    usher.did(&["log-level", "debug", "--client", "127.0.0.1"]);
    log_in("bert@example.com");
    ended(5);
    assert!(steps(&usher).len() > steps_of_anna.len() && steps(&usher).join("\n").contains("bert"));
    // It ends by itself, and by an order.
    usher.did(&["log-level", "debug", "--for", "1s"]);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1500) {
        std::thread::sleep(Duration::from_millis(50));
    }
    let before = steps(&usher).len();
    log_in("anna@example.com");
    ended(6);
    assert_eq!(steps(&usher).len(), before);
    usher.did(&["log-level", "trace"]);
    usher.did(&["log-level", "usual"]);
    assert!(usher.did(&["log-level"]).contains("as usual"));
    assert_eq!(usher.cli(&["log-level", "debug", "--for", "25h"]).status.code(), Some(1));
}

#[test]
fn a_support_bundle_tells_everything_but_secrets() {
    const SECRETS: [&str; 3] =
        ["token-of-0123456789abcdef-and-more", "password-of-the-probe", "key-of-cookies"];
    let setup = Setup::new();
    let dir = setup.dir.path().to_owned();
    let [token, password] = ["token", "password"].map(|name| dir.join(name));
    std::fs::write(&token, SECRETS[0]).unwrap();
    std::fs::write(&password, SECRETS[1]).unwrap();
    let at = setup.at(9143);
    let probe = format!("{{ probe = \"login\", user = \"p@example.com\", password_file = {password:?} }}");
    let usher = setup
        .section(&format!("# {}\n[admin]\nlisten = \"{at}\"\ntoken_file = {token:?}", SECRETS[2]))
        .host(
            "ih.test",
            "127.0.0.1:9".parse().unwrap(),
            "tls = \"none\"",
            &format!("health = {{ imap = {probe} }}"),
        )
        .start();
    let file = dir.join("bundle.tar");
    let said = usher.did(&["support-bundle", file.to_str().unwrap()]);
    assert!(said.contains("look at it"), "{said}");
    let content = std::fs::read(&file).unwrap();
    let text = String::from_utf8_lossy(&content);
    for wanted in
        ["usher_build_info", "ih.test", "held_logins", "password_file", "certificates.json", "version.txt"]
    {
        assert!(text.contains(wanted), "{wanted}");
    }
    let kept: Vec<_> = ["cookie.keys", "guessing.key", "usher.key"]
        .iter()
        .filter_map(|name| {
            std::fs::read(dir.join("state").join(name)).or_else(|_| std::fs::read(dir.join(name))).ok()
        })
        .collect();
    assert!(kept.len() >= 2, "there are keys that could be in it");
    for secret in SECRETS.iter().map(|secret| secret.as_bytes()).chain(kept.iter().map(Vec::as_slice)) {
        assert!(!content.windows(secret.len()).any(|part| part == secret), "a secret is in it");
    }
    let listed = Command::new("tar").arg("tf").arg(&file).output().unwrap();
    assert!(
        listed.status.success()
            && String::from_utf8_lossy(&listed.stdout).contains("usher-support/metrics.txt")
    );
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    // Nothing is written over; and without usher there is what can be had.
    assert!(!usher.cli(&["support-bundle", file.to_str().unwrap()]).status.success());
    let mut usher = usher;
    usher.kill();
    let other = dir.join("other.tar");
    let said = usher.did(&["support-bundle", "--without-log", other.to_str().unwrap()]);
    assert!(said.contains("not in it: status.json"), "{said}");
}
