//! What shows an operator where time goes and what is happening: the slow log, metrics of each host, `top`, the fields
//! of request lines; and the schema with which a configuration is written.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use usher_tests::archive::Options;
use usher_tests::client::Client;
use usher_tests::collector::Collector;
use usher_tests::http::{basic, connect, get};
use usher_tests::runtime::archive;
use usher_tests::scripted::Scripted;
use usher_tests::usher::{Setup, Usher, binary, command};
use usher_tests::web::Web;

const USER: &str = "anna@example.com";

/// A host for mail and web, with a user.
fn usher(log: &str) -> (Usher, Arc<Web>) {
    let setup = Setup::new().https("");
    let (imap, http) = (setup.at(10143), setup.at(10080));
    archive(Options::named("ih1.test"), imap).add_user(USER, "secret");
    let web = Web::start("ih1.test", http, None);
    let keys = format!("http = {{ address = \"{http}\", tls = \"none\" }}");
    let setup = setup.section(&format!("[log]\n{log}")).section("[https]\ntrusted = [\"127.0.0.0/8\"]");
    let usher = setup.host("ih1.test", imap, "tls = \"none\"", &keys).users(&[(USER, "ih1.test")]).start();
    (usher, web)
}

fn ask(usher: &Usher, path: &str, status: u16) {
    let mut client = connect(usher.https());
    client.send(get(path, &basic(USER)));
    assert_eq!(client.http_answer().status, status);
}

#[test]
fn what_is_slow_is_logged_by_stage_and_what_is_not_is_not() {
    let setup = Setup::new();
    let (quick, slow) = (setup.at(10143), setup.at(10144));
    // It takes its time with the password.
    let _host = Scripted::start(slow, |mut conn| {
        conn.send("* OK [CAPABILITY IMAP4rev1] ready\r\n");
        while let Some(line) = conn.line() {
            let (tag, rest) = line.split_once(' ').unwrap_or_default();
            if rest.to_ascii_uppercase().starts_with("LOGIN") {
                std::thread::sleep(std::time::Duration::from_millis(4000));
            }
            conn.send(format!("{tag} OK done\r\n"));
        }
    });
    archive(Options::named("ih1.test"), quick).add_user(USER, "secret");
    let usher = setup
        .section("[log]\nslow = \"3s\"")
        .host("slow.test", slow, "tls = \"none\"", "")
        .host("ih1.test", quick, "tls = \"none\"", "")
        .users(&[(USER, "ih1.test"), ("bert@example.com", "slow.test")])
        .start();
    Client::tls(usher.imaps()).login(USER, "secret");
    Client::tls(usher.imaps()).login("bert@example.com", "secret");
    let line = usher.wait_for_log("stage=\"host-login\"");
    assert!(line.contains("slow") && line.contains("host=\"slow.test\""), "{line}");
    let line = usher.wait_for_log("stage=\"login\" host=\"slow.test\" user=\"bert@example.com\"");
    assert!(line.contains("seconds="), "{line}");
    assert!(!usher.log().contains("slow stage=\"login\" host=\"ih1.test\""));
}

#[test]
fn slow_requests_are_logged_and_lines_have_the_chosen_fields() {
    let fields = "request_fields = [\"user\", \"path\", \"status\"]";
    let (usher, _web) = usher(&format!("format = \"json\"\nslow = \"3s\"\n{fields}"));
    ask(&usher, "/quick", 200);
    ask(&usher, "/slow/4000", 200);
    let line: Value = serde_json::from_str(&usher.wait_for_log("\"stage\":\"first-byte\"")).unwrap();
    assert_eq!([&line["message"], &line["user"], &line["host"]], ["slow", USER, "ih1.test"]);
    let line: Value = serde_json::from_str(&usher.wait_for_log("/quick")).unwrap();
    let keys: Vec<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["timestamp", "level", "message", "user", "path", "status"]);
    assert_eq!(usher.log().matches("first-byte").count(), 1, "quick ones are not told");
}

#[test]
fn each_host_has_its_times_bytes_and_failures() {
    let (usher, _web) = usher("format = \"text\"");
    let mut client = Client::tls(usher.imaps());
    client.login(USER, "secret");
    client.command("b LOGOUT");
    ask(&usher, "/download/100000", 200);
    ask(&usher, "/status/503", 503);
    usher.wait_for_log("path=\"/status/503\"");
    let socket = usher.socket();
    let asked = ["-sS", "--unix-socket", socket.to_str().unwrap(), "http://localhost/metrics"];
    let page = String::from_utf8(Command::new("curl").args(asked).output().unwrap().stdout).unwrap();
    let value = |name: &str| {
        let line =
            page.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {page}"));
        line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()
    };
    assert_eq!(value("usher_host_login_duration_seconds_count{host=\"ih1.test\"}"), 1.0);
    assert_eq!(value("usher_host_request_duration_seconds_count{host=\"ih1.test\"}"), 2.0);
    assert_eq!(value("usher_host_failures_total{host=\"ih1.test\",kind=\"5xx\"}"), 1.0);
    assert_eq!(value("usher_host_failures_total{host=\"ih1.test\",kind=\"broken\"}"), 0.0);
    assert!(value("usher_host_bytes_total{host=\"ih1.test\",from=\"backend\"}") > 100_000.0);
    assert!(page.contains("usher_build_info{version=\""));
}

/// The field of this name that the host got, as the web server shows it.
fn shown_field(usher: &Usher, name: &str, fields: &str) -> String {
    let mut client = connect(usher.https());
    client.send(get("/shown", &format!("{}{fields}", basic(USER))));
    client.http_answer().json()["headers"][name][0].as_str().unwrap().to_owned()
}

#[test]
fn spans_of_logins_and_requests_reach_a_collector() {
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    let collector = Collector::start("127.0.0.1");
    let tracing = format!("format = \"text\"\n[tracing]\notlp = \"{}\"\npercent = 0", collector.address);
    let (usher, _web) = usher(&tracing);
    // Whoever has begun a trace decides: this one is sampled, and the host's part belongs to usher's span.
    let parent = format!("traceparent: 00-{TRACE}-b7ad6b7169203331-");
    let told = shown_field(&usher, "traceparent", &format!("{parent}01\r\n"));
    let span = collector.span(|span| span["name"] == "request");
    assert_eq!((&span["trace"], &span["parent"]), (&TRACE.into(), &"b7ad6b7169203331".into()));
    assert_eq!(told, format!("00-{TRACE}-{}-01", span["span"].as_str().unwrap()));
    assert_eq!(span["service"], "usher");
    let said = &span["attributes"];
    assert_eq!((&said["usher.host"], &said["http.request.method"]), (&"ih1.test".into(), &"GET".into()));
    assert_eq!(said["http.response.status_code"], 200);
    assert!(!span.to_string().contains("shown"), "paths may name somebody");
    // One that is not sampled is passed on as such, and nothing else begins one at 0 %.
    let told = shown_field(&usher, "traceparent", &format!("{parent}00\r\n"));
    assert!(told.starts_with(&format!("00-{TRACE}-")) && told.ends_with("-00"), "{told}");
    drop(usher);

    let tracing = format!("format = \"text\"\n[tracing]\notlp = \"{}\"", collector.address);
    let (usher, _web) = self::usher(&tracing);
    Client::tls(usher.imaps()).login(USER, "secret");
    let span = collector.span(|span| span["name"] == "login");
    assert_eq!(span["attributes"]["usher.result"], "ok");
    let line = usher.wait_for_log(" login ");
    assert!(line.contains(span["attributes"]["usher.session"].as_str().unwrap()), "{line}");
    // A collector that is gone costs nobody anything.
    drop(collector);
    ask(&usher, "/quick", 200);
    Client::tls(usher.imaps()).login(USER, "secret");
}

#[test]
fn without_a_collector_traceparent_is_passed_on_as_it_is() {
    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let (usher, _web) = usher("format = \"text\"");
    let fields = format!("traceparent: {PARENT}\r\ntracestate: a=b\r\n");
    assert_eq!(shown_field(&usher, "traceparent", &fields), PARENT);
    assert_eq!(shown_field(&usher, "tracestate", &fields), "a=b");
}

/// Runs `top` in a terminal and presses keys; returns what was on it after each.
fn top(usher: &Usher, keys: &str) -> Output {
    const SCRIPT: &str = r#"
import os, pty, select, sys, termios
pid, terminal = pty.fork()
if pid == 0:
    os.environ["TERM"] = "xterm"
    os.execv(sys.argv[1], sys.argv[1:-1])
seen = b""
def wait():
    global seen
    while b"q quit" not in seen:
        if not select.select([terminal], [], [], 60)[0]:
            sys.exit("nothing comes: " + repr(seen))
        seen += os.read(terminal, 65536)
before = termios.tcgetattr(terminal)
wait()
for key in sys.argv[-1]:
    seen = b""
    os.write(terminal, key.encode())
    if key != "q":
        wait()
        sys.stdout.write(seen.decode(errors="replace") + "\n=====\n")
_, status = os.waitpid(pid, 0)
if termios.tcgetattr(terminal)[:4] != before[:4]:
    sys.exit("the terminal is not as it was")
sys.exit(os.waitstatus_to_exitcode(status))
"#;
    let socket = usher.socket();
    Command::new("python3")
        .args(["-c", SCRIPT, binary().to_str().unwrap(), "top", "--socket", socket.to_str().unwrap(), keys])
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn top_sorts_and_ends_at_a_key() {
    let setup = Setup::new();
    let (one, two) = (setup.at(10143), setup.at(10144));
    archive(Options::named("zz.test"), one).add_user(USER, "secret");
    let usher = setup
        .host("zz.test", one, "tls = \"none\"", "")
        .host("aa.test", two, "tls = \"none\"", "")
        .users(&[(USER, "zz.test")])
        .start();
    let mut client = Client::tls(usher.imaps());
    client.login(USER, "secret");
    let output = top(&usher, "nsrq");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said} {}", String::from_utf8_lossy(&output.stderr));
    let firsts: Vec<_> =
        said.split("=====").filter_map(|page| Some(page.find("aa.test")? < page.find("zz.test")?)).collect();
    assert_eq!(firsts, [true, false, true], "by name, by sessions, the other way round: {said}");
    // Without a terminal it is said once.
    let said = usher.did(&["top", "--sort", "sessions"]);
    assert!(said.find("zz.test") < said.find("aa.test"), "{said}");
}

/// What a validator says of a configuration.
fn judged(schema: &Path, config: &Path) -> Output {
    const SCRIPT: &str = r#"
import json, sys, tomllib, jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft7Validator.check_schema(schema)
config = tomllib.load(open(sys.argv[2], "rb"))
faults = list(jsonschema.Draft7Validator(schema).iter_errors(config))
print(*(fault.message for fault in faults), sep="\n")
sys.exit(len(faults) > 0)
"#;
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/validator/bin/python3");
    let mut asked = Command::new(python);
    asked.args(["-c", SCRIPT]).args([schema, config]);
    asked.output().expect("the validator is installed; tests/install-peers does it")
}

#[test]
fn the_schema_takes_what_usher_takes() {
    let dir = tempfile::tempdir().unwrap();
    let (schema, template) = (dir.path().join("usher.schema.json"), dir.path().join("usher.toml"));
    let printed = command(&["schema"]);
    assert!(printed.status.success());
    std::fs::write(&schema, printed.stdout).unwrap();
    let written = command(&["init", template.to_str().unwrap()]);
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    let text = std::fs::read_to_string(&template).unwrap();
    assert!(text.starts_with("#:schema "));
    let packaged = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/debian/usher.toml");
    for config in [&template, &packaged] {
        let said = judged(&schema, config);
        assert!(said.status.success(), "{config:?}: {}", String::from_utf8_lossy(&said.stdout));
    }
    for (right, wrong, why) in [
        ("state_dir =", "state_dirr =", "state_dirr"),
        ("protocol = \"imaps\"", "protocol = \"pop3\"", "pop3"),
        ("protocol = \"imaps\"", "protocol = 5", "5"),
        ("# login_wait = \"15s\"", "login_wait = \"15 seconds\"", "15 seconds"),
    ] {
        let config = dir.path().join("wrong.toml");
        assert!(text.contains(right));
        std::fs::write(&config, text.replacen(right, wrong, 1)).unwrap();
        let said = judged(&schema, &config);
        let told = String::from_utf8_lossy(&said.stdout);
        let complaint = String::from_utf8_lossy(&said.stderr);
        assert!(!said.status.success() && told.contains(why), "{wrong}: {told} {complaint}");
    }
}

#[test]
fn the_program_says_which_it_is() {
    let said = String::from_utf8(command(&["--version"]).stdout).unwrap();
    let (commit, features) = said.split_once("(commit ").unwrap().1.split_once(", features: ").unwrap();
    assert_eq!(features.trim_end(), "otlp)");
    let is_commit = commit.bytes().take(7).all(|octet| octet.is_ascii_hexdigit());
    assert!(commit == "unknown" || is_commit, "{said}");
}
