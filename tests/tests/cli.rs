//! The command line, with and without a running server.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use usher_tests::archive::Options;
use usher_tests::certificate::Certificate;
use usher_tests::client::Client;
use usher_tests::http::{ask, basic};
use usher_tests::runtime::archive;
use usher_tests::usher::{Setup, binary, command};

const NO: &str = "a NO [AUTHENTICATIONFAILED] Authentication failed.";

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A configuration with hosts ih1 and ih2, and nobody serving it.
struct State {
    dir: tempfile::TempDir,
}

impl State {
    fn new() -> Self {
        let state = Self { dir: tempfile::tempdir().unwrap() };
        let text = format!(
            "[server]\nname = \"mail.test\"\nstate_dir = {:?}\n\
             [[listener]]\nprotocol = \"imaps\"\naddress = \"127.0.0.1:9993\"\n\
             [[instance_host]]\nname = \"ih1.test\"\nimap = {{ address = \"127.0.0.1:1\", tls = \"none\" }}\n\
             [[instance_host]]\nname = \"ih2.test\"\nimap = {{ address = \"127.0.0.1:2\", tls = \"none\" }}\n\
             [[domain]]\nname = \"example.com\"\naliases = [\"example.org\"]\ndefault_for = [\"any\"]\n",
            state.dir.path().join("state")
        );
        std::fs::write(state.config(), text).unwrap();
        state
    }

    fn config(&self) -> std::path::PathBuf {
        self.dir.path().join("usher.toml")
    }

    fn user(&self, words: &[&str]) -> Output {
        command(&[&["user", "--config", self.config().to_str().unwrap()], words].concat())
    }

    fn import(&self, csv: &str, options: &[&str]) -> Output {
        let path = self.dir.path().join("in.csv");
        std::fs::write(&path, csv).unwrap();
        self.user(&[&["import", path.to_str().unwrap()], options].concat())
    }

    /// Users and their hosts, whatever else is known of them.
    fn exported_users(&self) -> BTreeMap<String, String> {
        let csv = String::from_utf8(self.user(&["export"]).stdout).unwrap();
        let fields = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
        csv.lines().skip(1).map(fields).map(|fields| (fields[0].clone(), fields[1].clone())).collect()
    }

    fn exported(&self) -> BTreeMap<String, String> {
        let output = self.user(&["export"]);
        assert_eq!(output.status.code(), Some(0));
        let csv = String::from_utf8(output.stdout).unwrap();
        let mut lines = csv.lines();
        assert_eq!(lines.next(), Some("user,host"));
        lines.map(|line| line.split_once(',').unwrap()).map(|(u, h)| (u.to_owned(), h.to_owned())).collect()
    }
}

#[test]
fn init_writes_what_check_accepts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new.toml");
    let path = path.to_str().unwrap();
    assert_eq!(command(&["init", path]).status.code(), Some(0));
    let checked = command(&["check", "--config", path]);
    assert_eq!(checked.status.code(), Some(0), "{}", told(&checked));
    assert_eq!(command(&["init", path]).status.code(), Some(1), "nothing is overwritten");
    assert_eq!(command(&["check"]).status.code(), Some(78), "no file, no configuration");
    assert_eq!(command(&["frobnicate"]).status.code(), Some(2));
}

#[test]
fn check_tells_all_faults_and_exits_78() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bad.toml");
    std::fs::write(&path, "[server]\nname = \"x y\"\n[[listener]]\nprotocol = \"pop3\"\naddress = \"1\"\n")
        .unwrap();
    for verb in ["check", "serve"] {
        let output = command(&[verb, "--config", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(78));
        let told = told(&output);
        for expected in
            ["bad.toml:2", "no `state_dir`", "bad.toml:4", "\"imap\", \"imaps\"", "bad.toml:5", "4 faults"]
        {
            assert!(told.contains(expected), "{expected}: {told}");
        }
    }
}

#[test]
fn certificates_are_checked_with_their_line() {
    let state = State::new();
    let (one, other) = (Certificate::for_names(&["a.test"]), Certificate::for_names(&["b.test"]));
    let (chain, key) = one.write(state.dir.path(), "one");
    let (_, other_key) = other.write(state.dir.path(), "other");
    let good = std::fs::read_to_string(state.config()).unwrap();
    let half = state.dir.path().join("half.pem");
    let pem = std::fs::read_to_string(&chain).unwrap();
    std::fs::write(&half, &pem[..pem.len() / 2]).unwrap();
    for (chain, key, expected) in [
        (chain.as_path(), other_key.as_path(), Some("does not belong to")),
        (half.as_path(), key.as_path(), Some("half.pem")),
        (Path::new("/nowhere.pem"), key.as_path(), Some("/nowhere.pem")),
        (chain.as_path(), chain.as_path(), Some("contains no private key")),
        (chain.as_path(), key.as_path(), None),
    ] {
        std::fs::write(state.config(), format!("{good}[[certificate]]\nchain = {chain:?}\nkey = {key:?}\n"))
            .unwrap();
        let output = command(&["check", "--config", state.config().to_str().unwrap()]);
        match expected {
            Some(expected) => {
                assert_eq!(output.status.code(), Some(78));
                assert!(
                    told(&output).contains(expected) && told(&output).contains("usher.toml:17"),
                    "{}",
                    told(&output)
                );
            }
            None => assert_eq!(output.status.code(), Some(0), "{}", told(&output)),
        }
    }
}

#[test]
fn an_address_in_use_is_a_fault_of_the_configuration() {
    let setup = Setup::new();
    let _taken = std::net::TcpListener::bind(setup.at(1143)).unwrap();
    let (chain, key) = setup.certificate.write(setup.dir.path(), "c");
    let path = setup.dir.path().join("x.toml");
    let text = format!(
        "[server]\nname = \"mail.test\"\nstate_dir = {:?}\n[[listener]]\nprotocol = \"imap\"\naddress = \"{}\"\n\
         [[certificate]]\nchain = {chain:?}\nkey = {key:?}\n",
        setup.dir.path().join("state"),
        setup.at(1143)
    );
    std::fs::write(&path, text).unwrap();
    let output = command(&["serve", "--config", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(78));
    assert!(told(&output).contains("cannot listen on"), "{}", told(&output));
}

#[test]
fn users_come_move_and_go() {
    let state = State::new();
    assert!(
        told(&state.user(&["set", "Anna@Example.ORG", "IH1.test"])).contains("anna@example.com: ih1.test")
    );
    assert!(told(&state.user(&["set", "anna", "ih2.test"])).contains("previously on ih1.test"));
    let got = told(&state.user(&["get", "anna"]));
    assert!(got.starts_with("anna@example.com: ih2.test, set 20") && got.contains("Z by "), "{got}");
    state.user(&["set", "@example.com", "ih1.test"]);
    assert!(told(&state.user(&["get", "ben"])).contains("ih1.test, because of the entry for @example.com"));
    assert!(told(&state.user(&["get", "anna"])).contains("ih2.test"), "the user's own entry goes first");
    let listed = told(&state.user(&["list", "--host", "ih2.test"]));
    assert!(listed.starts_with("anna@example.com\tih2.test\t") && listed.lines().count() == 1, "{listed}");
    let listed: serde_json::Value = serde_json::from_str(&told(&state.user(&["list", "--json"]))).unwrap();
    assert_eq!(
        (&listed[1]["user"], &listed[0]["host"]),
        (&"@example.com".into(), &"ih2.test".into()),
        "{listed}"
    );
    let counts: serde_json::Value =
        serde_json::from_str(&told(&state.user(&["list", "--counts", "--json"]))).unwrap();
    assert_eq!(counts, serde_json::json!({ "ih1.test": 1, "ih2.test": 1 }));
    assert!(told(&state.user(&["list", "--counts", "--host", "ih1.test"])).contains("ih1.test  1"));
    assert_eq!(
        told(&state.user(&["list", "--json", "--host", "ih9.test"])).split_whitespace().collect::<String>(),
        "[]"
    );
    assert_eq!(state.user(&["remove", "anna"]).status.code(), Some(0));
    assert_eq!(state.user(&["remove", "anna"]).status.code(), Some(1));
    let unknown = state.user(&["set", "anna", "ih9.test"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(told(&unknown).contains("known: ih1.test, ih2.test"));
    assert_eq!(state.user(&["set", "an\nna", "ih1.test"]).status.code(), Some(1));
}

#[test]
fn a_state_directory_that_cannot_be_is_unavailable() {
    let state = State::new();
    std::fs::write(state.dir.path().join("state"), "a file").unwrap();
    assert_eq!(state.user(&["list"]).status.code(), Some(69));
    let output = command(&["serve", "--config", state.config().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(69), "{}", told(&output));
}

#[test]
fn a_running_server_sees_each_change_at_once() {
    let mut setup = Setup::new();
    let mut archives = Vec::new();
    for at in 1..=2u16 {
        let (name, address) = (format!("ih{at}.test"), setup.at(10142 + at));
        let held = archive(Options::named(&name), address);
        held.add_user("anna@example.com", &format!("secret{at}"));
        archives.push(held);
        setup = setup.host(&name, address, "tls = \"none\"", "login_as = \"canonical\"");
    }
    let usher = setup.start();
    let mut client = Client::tls(usher.imaps());
    assert_eq!(client.command("a LOGIN anna secret1"), [NO]);
    usher.user(&["set", "anna", "ih1.test"]);
    client.login("anna", "secret1");
    usher.user(&["set", "anna", "ih2.test"]);
    Client::tls(usher.imaps()).login("anna", "secret2");
    usher.user(&["remove", "anna"]);
    assert_eq!(Client::tls(usher.imaps()).command("a LOGIN anna secret2"), [NO]);
    usher.user(&["set", "@example.com", "ih1.test"]);
    Client::tls(usher.imaps()).login("anna", "secret1");
    // Who was in is still in.
    assert_eq!(client.command("n NOOP"), ["n OK done"]);
}

#[test]
fn an_import_is_taken_as_a_whole_or_not_at_all() {
    let state = State::new();
    assert_eq!(
        state.import("user,host\nanna,ih1.test\nben@example.com,ih2.test\n", &[]).status.code(),
        Some(0)
    );
    let before = state.exported();
    assert_eq!(before.len(), 2);
    let conflicts = "carla,ih1.test\nanna,ih2.test\ndora,ih9.test\nemil\nfred,ih1.test,x\nANNA@example.org,ih1.test\n\
                     gina,ih1.test\ngina,ih2.test\n,ih1.test\nben,ih2.test\n";
    let output = state.import(conflicts, &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = told(&output);
    for expected in [
        "line 3: unknown host \"ih9.test\"",
        "line 4: malformed",
        "line 5: malformed",
        "line 6: anna@example.com is on another host in line 2",
        "line 8: gina@example.com is on another host in line 7",
        "line 9: malformed",
        "nothing was changed",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert_eq!(state.exported(), before);
    // One that is only elsewhere.
    let output = state.import("anna,ih2.test\ncarla,ih1.test\n", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(told(&output).contains("line 1: anna@example.com is on ih1.test already"), "{}", told(&output));
    assert_eq!(state.exported(), before);
    // Moved on demand; what cannot be taken is left out.
    let output = state.import("anna,ih2.test\ncarla,ih1.test\n", &["--replace"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(told(&output).contains("2 users: 1 added, 1 moved, 0 unchanged"), "{}", told(&output));
    let output = state.import("dora,ih9.test\nemil,ih1.test\n", &["--replace"]);
    assert_eq!(output.status.code(), Some(1));
    let now = state.exported();
    assert_eq!(now["anna@example.com"], "ih2.test");
    assert!(now.contains_key("emil@example.com") && !now.contains_key("dora@example.com"));
    // What was exported is imported again, and nothing is new.
    let csv: String = now.iter().map(|(user, host)| format!("{user},{host}\n")).collect();
    assert!(told(&state.import(&csv, &[])).contains("0 added, 0 moved"));
}

/// `count` users, of whom the first `elsewhere` are on the second host.
fn lines(count: u32, elsewhere: u32) -> String {
    let host = |number| if number < elsewhere { "ih2.test" } else { "ih1.test" };
    (0..count).map(|number| format!("u{number:07},{}\n", host(number))).collect()
}

#[test]
fn a_synchronised_directory_has_who_is_in_the_file_and_nobody_else() {
    let state = State::new();
    assert!(state.import(&lines(100, 0), &[]).status.success());
    state.user(&["set", "u0000050", "--attribute", "city=Bonn"]);
    // Five are gone, three are elsewhere, one is new.
    let next: String = lines(96, 3)
        .lines()
        .filter(|line| !line.starts_with("u0000007"))
        .map(|line| format!("{line}\n"))
        .collect();
    let output = state.import(&(next.clone() + "new,ih2.test\n"), &["--sync"]);
    let said = told(&output);
    assert!(output.status.success() && said.contains("5 of 100 entries are not in the file"), "{said}");
    assert!(said.contains("96 users: 1 added, 3 moved, 92 unchanged, 5 removed"), "{said}");
    let list = state.user(&["list", "--json"]);
    assert!(told(&list).contains("Bonn"), "who stays keeps what is known of them");
    let now = state.exported_users();
    assert_eq!(now.len(), 96);
    assert!(!now.contains_key("u0000007@example.com") && now["u0000001@example.com"] == "ih2.test");
    assert!(told(&state.import(&(next + "new,ih2.test\n"), &["--sync"])).contains("96 unchanged, 0 removed"));
}

#[test]
fn a_file_that_could_be_cut_off_removes_nobody() {
    let state = State::new();
    assert!(state.import(&lines(100, 0), &[]).status.success());
    let all = state.exported_users();
    for (csv, options, code) in [
        (lines(89, 0), &["--sync"][..], 1),
        (String::new(), &["--sync"][..], 1),
        // A line that cannot be read could be anybody's.
        (lines(95, 0) + "u0000096;ih1.test\n", &["--sync"][..], 1),
        (lines(95, 0) + "u0000096,nowhere.test\n", &["--sync", "--force"][..], 1),
        (lines(95, 0) + "u0000001,ih2.test\n", &["--sync", "--force"][..], 1),
        (lines(95, 0), &["--sync", "--replace"][..], 2),
        (lines(95, 0), &["--force"][..], 2),
    ] {
        let output = state.import(&csv, options);
        assert_eq!(output.status.code(), Some(code), "{options:?} {}", told(&output));
        assert_eq!(state.exported_users(), all, "{options:?}");
    }
    assert!(told(&state.import(&lines(89, 0), &["--sync"])).contains("--force"));
    assert!(state.import(&lines(10, 0), &["--sync", "--force"]).status.success());
    assert_eq!(state.exported_users().len(), 10);
}

#[test]
fn a_large_directory_is_brought_in_step_too() {
    let state = State::new();
    assert!(state.import(&lines(60_000, 0), &[]).status.success());
    let output = state.import(&lines(56_000, 10), &["--sync"]);
    let said = told(&output);
    assert!(output.status.success() && said.contains("10 moved, 55990 unchanged, 4000 removed"), "{said}");
    assert_eq!(state.exported_users().len(), 56_000);
    assert_eq!(state.import(&lines(50_000, 10), &["--sync"]).status.code(), Some(1));
    assert_eq!(state.exported_users().len(), 56_000);
    let said = told(&state.import(&lines(5, 0), &["--sync", "--force"]));
    assert!(said.contains("55995 removed"), "{said}");
    assert_eq!(state.exported_users().len(), 5);
}

#[test]
fn a_renamed_user_keeps_host_and_attributes() {
    let state = State::new();
    state.user(&["set", "anna", "ih2.test", "--attribute", "city=Bonn"]);
    state.user(&["set", "bert", "ih1.test"]);
    let renamed = state.user(&["rename", "Anna@example.org", "anna.b@example.com"]);
    assert!(renamed.status.success(), "{}", told(&renamed));
    let got = told(&state.user(&["get", "anna.b"]));
    assert!(got.contains("ih2.test") && got.contains("Bonn"), "{got}");
    assert_eq!(state.user(&["get", "anna"]).status.code(), Some(1));
    for (from, to) in [("anna", "carl"), ("bert", "anna.b"), ("bert", "bert"), ("bert", "b b@")] {
        assert_eq!(state.user(&["rename", from, to]).status.code(), Some(1), "{from} {to}");
    }
    assert_eq!(state.exported_users().len(), 2);
}

#[test]
fn a_large_import_lets_others_write_and_loses_none_of_it() {
    let state = State::new();
    let rows = |count: u32| (0..count).map(|n| format!("u{n:07},ih1.test\n")).collect::<String>();
    assert!(told(&state.import(&rows(60_000), &[])).contains("60000 added"));
    state.user(&["set", "moved", "ih1.test"]);
    let path = state.dir.path().join("large.csv");
    std::fs::write(&path, rows(250_000)).unwrap();
    let mut import = Command::new(binary())
        .args(["user", "--config"])
        .arg(state.config())
        .arg("import")
        .arg(&path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut written = 0;
    while import.try_wait().unwrap().is_none() {
        let name = format!("meanwhile{written}");
        assert_eq!(state.user(&["set", &name, "ih2.test"]).status.code(), Some(0));
        assert_eq!(state.user(&["set", "moved", "ih2.test"]).status.code(), Some(0));
        assert_eq!(state.user(&["remove", "u0000007"]).status.code().map(|code| code < 2), Some(true));
        written += 1;
    }
    let output = import.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    assert!(told(&output).contains("250000 users"), "{}", told(&output));
    assert!(written > 1, "others wrote while it ran");
    let now = state.exported();
    for number in 0..written {
        assert_eq!(now[&format!("meanwhile{number}@example.com")], "ih2.test");
    }
    assert_eq!(now["moved@example.com"], "ih2.test");
    assert_eq!(
        now.iter().filter(|(user, _)| user.starts_with('u')).count(),
        250_000 - usize::from(!now.contains_key("u0000007@example.com"))
    );
}

#[test]
fn a_large_import_undoes_no_change_that_was_made_meanwhile() {
    let state = State::new();
    let path = state.dir.path().join("large.csv");
    let rows: String = (0..120_000).map(|n| format!("u{n:07},ih1.test\n")).collect();
    std::fs::write(&path, rows).unwrap();
    // An entry that sorts behind all of them.
    state.user(&["set", "@zzz.example", "ih2.test"]);
    let mut import = Command::new(binary())
        .args(["user", "--config"])
        .arg(state.config())
        .arg("import")
        .arg(&path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut number = 9;
    while import.try_wait().unwrap().is_none() {
        assert_eq!(state.user(&["set", &format!("u{number:07}"), "ih2.test"]).status.code(), Some(0));
        number += 1;
    }
    let taken = import.wait().unwrap().success();
    let now = state.exported();
    for number in 9..number {
        let user = format!("u{number:07}@example.com");
        assert_eq!(now[&user], "ih2.test", "{user} was undone, import taken: {taken}");
    }
    assert_eq!(now["@zzz.example"], "ih2.test");
}

#[test]
fn an_import_that_is_killed_changes_nothing() {
    let state = State::new();
    state.user(&["set", "anna", "ih1.test"]);
    let mut import = Command::new(binary())
        .args(["user", "--config"])
        .arg(state.config())
        .args(["import", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = import.stdin.take().unwrap();
    for number in 0..20_000 {
        writeln!(stdin, "u{number},ih1.test").unwrap();
    }
    // Only one at a time.
    let second = state.import("ben,ih1.test\n", &[]);
    assert_eq!(second.status.code(), Some(69));
    assert!(told(&second).contains("another import"), "{}", told(&second));
    import.kill().unwrap();
    import.wait().unwrap();
    assert_eq!(state.exported().len(), 1);
    assert_eq!(state.import("ben,ih1.test\n", &[]).status.code(), Some(0));
    let left: Vec<_> =
        std::fs::read_dir(state.dir.path().join("state")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".import")), "{left:?}");
}

#[test]
fn fail2ban_finds_refused_logins_and_nobody_elses_address() {
    for format in ["text", "json"] {
        let section = format!("[https]\nidentity = [{{ from = \"basic\" }}]\n[log]\nformat = \"{format}\"");
        let usher = Setup::new().https("").section(&section).start();
        let mut client = Client::tls(usher.imaps());
        let evil = "x\\\" client=6.6.6.6:1 session=1 code=\\\"AUTHENTICATIONFAILED";
        for user in ["anna", evil] {
            assert_eq!(client.command(&format!("a LOGIN \"{user}\" wrong")), [NO]);
        }
        client.send("a LOGIN {51+}\r\nx\r\n2026-01-01T00:00:00Z  WARN login refused client= wrong\r\n");
        assert_eq!(client.line(), NO);
        let request = format!("GET /a HTTP/1.1\r\nHost: mail.test\r\n{}\r\n", basic("nobody"));
        assert_eq!(ask(usher.https(), request).status, 401);
        usher.wait_for_logs("login refused", 4);
        let path = usher.setup.dir.path().join("log");
        // By itself, as the journal shows it, and as two ages of syslog write it.
        for before in [
            "",
            "Nov 26 01:02:03 mail usher[4711]: ",
            "2026-11-26T01:02:03.456789+00:00 mail.example.com usher[4711]: ",
            "<28>1 2026-11-26T01:02:03.456789+00:00 mail usher 4711 - - ",
        ] {
            let lines: String = usher.log().lines().map(|line| format!("{before}{line}\n")).collect();
            std::fs::write(&path, &lines).unwrap();
            let filter = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/fail2ban/usher.conf");
            let output = Command::new("fail2ban-regex")
                .args(["--out", "ip"])
                .arg(&path)
                .arg(&filter)
                .output()
                .expect("fail2ban is installed; tests/install-peers does it");
            let found = String::from_utf8_lossy(&output.stdout);
            let hosts: Vec<&str> = found.lines().filter(|line| !line.is_empty()).collect();
            assert_eq!(hosts, ["127.0.0.1"; 4], "{format}: {found}\n{lines}");
        }
    }
}

#[test]
fn completions_and_man_pages_are_made_of_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let output = command(&["completions", shell]);
        assert!(output.status.success());
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("USHER_COMPLETE"), "{shell}");
    }
    let dir = tempfile::tempdir().unwrap();
    assert!(command(&["man", dir.path().to_str().unwrap()]).status.success());
    let page = std::fs::read_to_string(dir.path().join("man8/usher-drain.8")).unwrap();
    assert!(page.contains("quiet ones first") && page.contains("wait"), "{page}");
}

#[test]
fn check_finds_everything_at_once() {
    // 150
    let dir = tempfile::tempdir().unwrap();
    let (expired, key) = Certificate::expired(&["other.test"]).write(dir.path(), "expired");
    std::fs::write(dir.path().join("state"), "a file").unwrap();
    let text = format!(
        "[server]\nname = \"mail.test\"\nstate_dir = {:?}\nlogin_wait = \"soon\"\n\
         [admin]\nlisten = \"127.0.0.1:9993\"\ntoken_file = {:?}\n\
         [[listener]]\nprotocol = \"imaps\"\naddress = \"127.0.0.1:9993\"\n\
         [[listener]]\nprotocol = \"imap\"\naddress = \"0.0.0.0:9993\"\n\
         [[certificate]]\nchain = {expired:?}\nkey = {key:?}\n\
         [[certificate]]\nchain = \"/nowhere.pem\"\nkey = {key:?}\n\
         [[instance_host]]\nname = \"ih1.test\"\nimap = {{ address = \"127.0.0.1:1\", tls = \"none\" }}\n\
         health = {{ http = {{ probe = \"tls\" }} }}\n",
        dir.path().join("state"),
        dir.path().join("token"),
    );
    let config = dir.path().join("usher.toml");
    std::fs::write(&config, &text).unwrap();
    let output = command(&["check", "--config", config.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(78));
    let said = told(&output);
    for what in [
        "error: `login_wait` in [server] has an invalid value",
        "is not a directory",
        "the [admin] address 127.0.0.1:9993 is also the address of this listener",
        "this address overlaps with the listener on 127.0.0.1:9993",
        "token: No such file",
        "error: /nowhere.pem",
        "warning: ",
        "the certificate has expired",
        "no certificate is valid for \"mail.test\"",
        "can be read by every user",
        "this host has no `http`",
    ] {
        assert!(said.contains(what), "{what}: {said}");
    }
    // Without faults, warnings are warnings, unless they are asked to be more.
    let (chain, key) = Certificate::for_names(&["other.test"]).write(dir.path(), "other");
    let text = format!(
        "[server]\nname = \"mail.test\"\nstate_dir = \"/var/lib/usher\"\n\
         [[listener]]\nprotocol = \"imaps\"\naddress = \"127.0.0.1:9993\"\n\
         [[certificate]]\nchain = {chain:?}\nkey = {key:?}\n\
         [[instance_host]]\nname = \"ih1.test\"\nimap = {{ address = \"127.0.0.1:1\", tls = \"none\" }}\n"
    );
    std::fs::write(&config, &text).unwrap();
    let output = command(&["check", "--config", config.to_str().unwrap()]);
    assert!(output.status.success(), "{}", told(&output));
    assert!(told(&output).contains("no faults, 2 warnings"), "{}", told(&output));
    assert_eq!(command(&["check", "--strict", "--config", config.to_str().unwrap()]).status.code(), Some(78));
    // 185: more sockets than there may be files
    let range = "[[listener]]\nprotocol = \"tcp\"\naddress = \"127.0.0.3:6005-59530\"\narray = \"rpc\"\n";
    let array =
        "[[array]]\nname = \"rpc\"\nmembers = [{ name = \"m.test\", tcp = { address = \"127.0.0.2\" } }]\n";
    std::fs::write(&config, format!("{text}{range}{array}")).unwrap();
    let limited = Command::new("prlimit")
        .args(["--nofile=1000:1000"])
        .arg(binary())
        .args(["check", "--config", config.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(told(&limited).contains("53526 sockets"), "{}", told(&limited));
    std::fs::write(&config, format!("{text}{range}redirected = true\n{array}")).unwrap();
    assert!(command(&["check", "--config", config.to_str().unwrap()]).status.success());
}

#[test]
fn lists_of_users_come_as_other_programs_write_them() {
    // 154: with semicolons, a byte order mark and CRLF
    let state = State::new();
    let path = state.dir.path().join("users.csv");
    std::fs::write(
        &path,
        "\u{feff}user;host\r\nanna@example.com;ih1.test\r\n\r\nbert@example.com;ih2.test\r\n",
    )
    .unwrap();
    let output = state.user(&["import", path.to_str().unwrap()]);
    assert!(output.status.success(), "{}", told(&output));
    assert!(told(&output).contains("2 users: 2 added"), "{}", told(&output));
    // 153: who did it stands where the running usher would write it.
    assert!(told(&output).contains("audit=true") && told(&output).contains("what=\"import users\""));
    let many: String = (0..500).map(|at| format!("user{at}@example.com,nowhere.test\n")).collect();
    std::fs::write(&path, format!("user,host\n\n\n{many}")).unwrap();
    let said = told(&state.user(&["import", path.to_str().unwrap()]));
    assert_eq!(said.matches("unknown host").count(), 21, "{said}");
    assert!(said.contains("line 4: unknown host") && said.contains("and 480 more: unknown host"), "{said}");
    assert!(said.contains("500 conflicts; nothing was changed"), "{said}");
    std::fs::write(&path, "carl@example.com,nowhere.test\n").unwrap();
    assert!(told(&state.user(&["import", path.to_str().unwrap()])).contains("1 conflict; nothing"));
}

#[test]
fn commands_are_found_and_written_down_alike() {
    // 153, 159, 178
    let usher = Setup::new().host("ih.test", "127.0.0.1:1".parse().unwrap(), "tls = \"none\"", "").start();
    let config = usher.config().to_str().unwrap().to_owned();
    let socket = usher.socket().to_str().unwrap().to_owned();
    for words in [
        &["host", "add", "a.test", "--address", "127.0.0.1:2", "--config", &config][..],
        &["host", "--config", &config, "remove", "a.test"],
        &["host", "add", "b.test", "--address", "127.0.0.1:2", "--socket", &socket],
        &["host", "--socket", &socket, "remove", "b.test"],
        &["user", "set", "anna", "ih.test", "--config", &config, "--socket", &socket],
        &["user", "hold", "anna", "--config", &config, "--socket", &socket],
        &["user", "--config", &config, "release", "anna"],
        &["status", "--socket", &socket],
        &["dns", "--config", &config, "--socket", &socket],
        &["user", "--config", &config, "remove", "anna"],
    ] {
        let output = command(words);
        assert!(output.status.success(), "{words:?}: {}", told(&output));
    }
    for what in ["set user", "remove user"] {
        let line = usher.wait_for_log(&format!("what=\"{what}\" on=\"anna@example.com\""));
        assert!(line.contains("audit=true"), "{line}");
    }
    let cut = Command::new("sh")
        .args(["-c", "\"$0\" user --config \"$1\" export | true", binary().to_str().unwrap(), &config])
        .output()
        .unwrap();
    assert_eq!(told(&cut), "");
}
