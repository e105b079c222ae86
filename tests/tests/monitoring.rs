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
use usher_tests::usher::{DEADLINE, Setup};

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
