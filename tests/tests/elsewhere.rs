//! What is special of directories that sites have: PostgreSQL is written, notifies and is reached by TLS; LDAP has its
//! kinds of entries and of TLS; services that were made for nginx do not notice the difference.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use serde_json::json;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use usher_tests::client::Client;
use usher_tests::deadline::DEADLINE;
use usher_tests::store::{FORGETFUL, HOME, Kind, Mode, SECRET, Site};

const REFUSED: &str = "a NO [AUTHENTICATIONFAILED] Authentication failed.";
/// What was said is used for longer than any test takes.
const MINDFUL: &str = "cache = { positive = \"1h\", negative = \"1h\" }\n";

fn mindful(kind: Kind) -> Site {
    let site = Site::with(kind, MINDFUL, "", |section| section);
    for (user, _) in HOME {
        site.let_in(user);
    }
    site
}

#[test]
fn users_are_written_to_postgresql() {
    let site = mindful(Kind::Postgres);
    let usher = &site.usher;
    assert_eq!(usher.did(&["directory", "init"]), "the tables are there already\n");
    assert_eq!(site.tries("anna@example.com", "secret"), REFUSED);
    assert_eq!(usher.did(&["user", "set", "anna@example.com", "one.test"]), "anna@example.com: one.test\n");
    // At once, although it was just said that there is no such user.
    site.moves_home("anna@example.com", 0);
    let said = usher.did(&["user", "set", "anna@example.com", "two.test"]);
    assert_eq!(said, "anna@example.com: two.test, previously on one.test\n");
    site.moves_home("anna@example.com", 1);
    usher.did(&["user", "set", "anna@example.com", "--attribute", "department=sales"]);
    let got = usher.did(&["user", "get", "anna@example.com"]);
    assert!(
        got.starts_with("anna@example.com: two.test, set ") && got.contains("department = sales"),
        "{got}"
    );
    usher.did(&["user", "rename", "anna@example.com", "ann@example.com"]);
    assert!(!usher.cli(&["user", "rename", "nobody@example.com", "x@example.com"]).status.success());
    usher.did(&["user", "set", "@wide.test", "one.test"]);
    let got = usher.did(&["user", "get", "x@wide.test"]);
    assert_eq!(got, "x@wide.test: one.test, because of the entry for @wide.test\n");
    let counts = usher.did(&["user", "list", "--counts"]);
    assert!(counts.contains("one.test  1") && counts.contains("two.test  1"), "{counts}");
    let exported = usher.did(&["user", "export"]);
    assert_eq!(exported, "user,host,department\nann@example.com,two.test,sales\n@wide.test,one.test,\n");
    assert!(usher.did(&["user", "remove", "ann@example.com"]).contains("removed, previously on two.test"));
    let shown = usher.shows("/v1/directory");
    assert_eq!(shown["entries"].as_array().unwrap().len(), 1, "{shown:#}");
    assert!(!usher.cli(&["user", "set", "x@example.com", "nowhere.test"]).status.success());
    assert!(!usher.log().contains(SECRET));
}

#[test]
fn lists_are_imported_to_postgresql() {
    let site = mindful(Kind::Postgres);
    let list = site.store.dir.path().join("list.csv");
    let import = |text: &str, options: &[&str]| {
        std::fs::write(&list, text).unwrap();
        let output = site.usher.cli(&[&["user", "import", list.to_str().unwrap()], options].concat());
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let many: String = (0..40).map(|at| format!("u{at}@example.com,one.test\n")).collect();
    let looked = import(&many, &["--dry-run"]);
    assert_eq!(looked, (Some(0), "40 users: 40 would be added, 0 moved, 0 unchanged\n".to_owned()));
    assert!(site.usher.did(&["user", "list"]).is_empty());
    let done = import(&many, &[]);
    assert_eq!(done, (Some(0), "40 users: 40 added, 0 moved, 0 unchanged\n".to_owned()));
    // A fault of every sort; none of it is applied.
    let wrong = "u1@example.com,two.test\nb@example.com\nc@example.com,nowhere.test\nd@example.com,one.test\nd@example.com,two.test\n";
    let (code, said) = import(wrong, &[]);
    assert_eq!(code, Some(1), "{said}");
    for told in
        ["line 2: malformed", "line 3: unknown host", "line 5: d@example.com is on another host in line 4"]
    {
        assert!(said.contains(told), "{said}");
    }
    let (code, said) = import("u1@example.com,two.test\n", &[]);
    assert!(code == Some(1) && said.contains("u1@example.com is on one.test already"), "{said}");
    let (code, said) =
        import("user,host,city\nu1@example.com,two.test,Bonn\nnew@example.com,one.test,\n", &["--replace"]);
    assert!(code == Some(0) && said.contains("2 users: 1 added, 1 moved, 0 unchanged"), "{said}");
    assert!(site.usher.did(&["user", "get", "u1@example.com"]).contains("city = Bonn"));
    let (code, said) = import("u1@example.com,two.test\n", &["--sync"]);
    assert!(code == Some(1) && said.contains("40 of 41 entries are not in the file"), "{said}");
    let rest: String = many.replace("u1@example.com,one.test", "u1@example.com,two.test");
    let (code, said) = import(&rest, &["--sync"]);
    assert!(code == Some(0) && said.contains("0 added, 0 moved, 40 unchanged, 1 removed"), "{said}");
    assert!(
        site.usher.did(&["user", "get", "u1@example.com"]).contains("city = Bonn"),
        "it has no such column"
    );
}

#[test]
fn a_user_moves_in_postgresql_by_compare_and_set() {
    let site = mindful(Kind::Postgres);
    site.usher.did(&["user", "set", "anna@example.com", "one.test"]);
    site.usher.did(&["user", "set", "@example.com", "one.test"]);
    let mut client = Client::tls(site.usher.imaps());
    client.login("anna@example.com", "secret");
    let said = site.usher.did(&["move", "user", "anna@example.com", "two.test", "--wait"]);
    assert_eq!(said, "anna@example.com: moved from one.test to two.test; 1 sessions ended\n");
    assert!(client.rest().0.starts_with("* BYE "));
    site.at_home("anna@example.com", 1);
    // Somebody who was found by the domain gets an entry.
    site.usher.did(&["move", "user", "berta@example.com", "two.test", "--wait"]);
    site.at_home("berta@example.com", 1);
    assert!(
        site.usher.did(&["user", "get", "berta@example.com"]).contains("berta@example.com: two.test, set")
    );
    let (path, order) = ("/v1/moves/anna@example.com", json!({ "to": "one.test", "prepare": true }));
    assert_eq!(site.usher.ask("POST", path, Some(&order)).unwrap().0, 200);
    // Another has put her elsewhere meanwhile.
    site.store.put("anna@example.com", "three.test");
    let finish = json!({ "user": "", "password": "" });
    let (status, answer) = site.usher.ask("POST", &format!("{path}/finish"), Some(&finish)).unwrap();
    assert_eq!(status, 409, "{answer}");
    assert!(answer["error"].as_str().unwrap().contains("three.test"), "{answer}");
    let got = site.usher.did(&["user", "get", "anna@example.com"]);
    assert!(got.starts_with("anna@example.com: three.test"), "{got}");
}

#[test]
fn what_others_change_in_postgresql_is_heard_of_at_once_and_after_a_lost_connection() {
    let site = mindful(Kind::Postgres);
    site.put("anna@example.com", 0);
    site.moves_home("anna@example.com", 0);
    site.put("anna@example.com", 1);
    site.moves_home("anna@example.com", 1);
    // Nobody hears of this one.
    site.door.be(Mode::Cut);
    site.put("anna@example.com", 0);
    site.door.close_all();
    site.door.be(Mode::Open);
    site.moves_home("anna@example.com", 0);
    // And a channel of the site's own.
    let site = mindful(Kind::PostgresQuery);
    site.put("anna@example.com", 0);
    site.moves_home("anna@example.com", 0);
    site.store.sql("UPDATE mailboxes SET host = 'two.test' WHERE address = 'anna@example.com'");
    site.moves_home("anna@example.com", 1);
    site.put("anna@example.com", 0);
    let until = Instant::now() + DEADLINE;
    while !site.tries("anna@example.com", "secret").starts_with("a NO [UNAVAILABLE]") {
        assert!(Instant::now() < until, "two rows are a fault, and never a guess");
        thread::sleep(Duration::from_millis(20));
    }
    site.usher.wait_for_log("anna@example.com has 2 rows");
    let refused = site.usher.cli(&["user", "set", "anna@example.com", "one.test"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        !refused.status.success() && said.contains("none of the directory's sources can be written"),
        "{said}"
    );
}

/// As a program of the site's own may write them: usher knows its hosts by more than their names.
#[test]
fn users_whose_host_is_written_in_another_way_are_moved_with_the_others() {
    let site = mindful(Kind::Postgres);
    site.let_in("carl@example.com");
    for (user, written) in
        [("anna@example.com", "one"), ("berta@example.com", "one.test"), ("carl@example.com", "one")]
    {
        site.store.put(user, written);
        site.moves_home(user, 0);
    }
    let mut client = Client::tls(site.usher.imaps());
    client.login("anna@example.com", "secret");
    let moved = site.usher.did(&["move", "user", "anna@example.com", "two.test"]);
    assert!(moved.contains("two.test"), "{moved}");
    let bye = client.line();
    assert!(bye.starts_with("* BYE"), "{bye}");
    site.usher.did(&["move", "--from", "one.test", "--to", "two.test", "--wait"]);
    for user in ["anna@example.com", "berta@example.com", "carl@example.com"] {
        let got = site.usher.did(&["user", "get", user]);
        assert!(got.starts_with(&format!("{user}: two.test")), "{got}");
        site.moves_home(user, 1);
    }
}

#[test]
fn a_password_is_shown_only_to_the_server_that_it_is_for() {
    let all = [Kind::Postgres, Kind::Ldap, Kind::Redis, Kind::Json, Kind::AuthHttp];
    for (kind, starttls) in all.map(|kind| (kind, false)).into_iter().chain([(Kind::Ldap, true)]) {
        let site = Site::secure(kind, starttls);
        site.put("anna@example.com", 0);
        site.moves_home("anna@example.com", 0);
        // One that nobody has signed whom usher trusts.
        let other = usher_tests::certificate::Certificate::for_names(&["127.0.0.1"]);
        std::fs::write(site.store.dir.path().join("ca.pem"), other.pem()).unwrap();
        let mut site = site;
        site.usher.signal(rustix::process::Signal::TERM);
        site.usher.wait();
        site.usher.restart();
        let until = Instant::now() + DEADLINE;
        loop {
            let shown = site.usher.shows("/v1/sources");
            if shown["sources"][0]["error"].as_str().is_some_and(|error| error.contains("certificate")) {
                break;
            }
            assert!(Instant::now() < until, "{shown:#}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn sources_are_asked_in_their_order() {
    let change = |section: String| section.replace("source = \"ldap\"", "source = [\"ldap\", \"embedded\"]");
    let mut site = Site::with(Kind::Ldap, FORGETFUL, "", change);
    for (user, _) in HOME {
        site.let_in(user);
    }
    site.put("anna@example.com", 0);
    for user in ["anna@example.com", "berta@example.com", "carl@example.com"] {
        site.let_in(user);
        site.usher.did(&["user", "set", user, "two.test"]);
    }
    site.at_home("anna@example.com", 0);
    site.at_home("berta@example.com", 1);
    let explained = site.usher.did(&["explain", "anna@example.com"]);
    assert!(explained.contains("ldap"), "{explained}");
    let refused = site.usher.cli(&["move", "user", "anna@example.com", "two.test"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("ldap says where anna@example.com is"), "{said}");
    site.store.kill();
    site.door.close_all();
    // Who was known, by whichever source, and nobody else: the first source could know better.
    site.survives("killed");
    assert!(site.tries("carl@example.com", "secret").starts_with("a NO [UNAVAILABLE]"));
    site.store.launch();
    site.recovers("killed", "carl@example.com");
}

struct Nginx(Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// nginx beside usher, which asks the same service.
fn nginx(site: &Site) -> (Nginx, std::net::SocketAddr) {
    let dir = site.store.dir.path();
    let at = std::net::SocketAddr::new(site.store.address.ip(), 15143);
    let shown = dir.display();
    let config = format!(
        "load_module /usr/lib/nginx/modules/ngx_mail_module.so;\ndaemon off;\nmaster_process off;\npid {shown}/nginx.pid;\n\
         error_log {shown}/nginx.log;\nevents {{}}\nmail {{ server_name mail.test; auth_http {}/auth;\n\
         auth_http_header X-Auth-Key {SECRET}; server {{ listen {at}; protocol imap; }} }}\n",
        site.store.address
    );
    std::fs::write(dir.join("nginx.conf"), config).unwrap();
    let log = dir.join("nginx.log");
    let mut command = Command::new("nginx");
    command.arg("-c").arg(dir.join("nginx.conf")).arg("-e").arg(&log).stdin(Stdio::null());
    let running = Nginx(command.spawn().expect("nginx is installed; tests/install-peers does it"));
    let until = Instant::now() + DEADLINE;
    while std::net::TcpStream::connect(at).is_err() {
        assert!(Instant::now() < until, "{}", std::fs::read_to_string(&log).unwrap_or_default());
        thread::sleep(Duration::from_millis(20));
    }
    (running, at)
}

fn asked(site: &Site) -> String {
    std::fs::read_to_string(site.store.dir.path().join("asked")).unwrap_or_default()
}

#[test]
fn a_service_that_nginx_asks_does_not_notice_the_difference() {
    let change = |section: String| section + "\nsend_password = true";
    let site = Site::with(Kind::AuthHttp, FORGETFUL, "", change);
    let (_nginx, at) = nginx(&site);
    for (user, host) in HOME {
        site.put(user, host);
    }
    let odd = "per%20ce nt@example.com";
    site.put(odd, 1);
    site.archives.iter().for_each(|archive| archive.add_user(odd, "se cr%et+\u{fc}"));
    let mut heard: BTreeMap<bool, Vec<String>> = BTreeMap::new();
    for (is_usher, address) in [(false, at), (true, site.usher.imap())] {
        let _ = std::fs::remove_file(site.store.dir.path().join("asked"));
        let mut client = Client::plain(address);
        client.line();
        let said = client.command("a LOGIN \"nobody@example.com\" \"secret\"").pop().unwrap();
        assert!(said.starts_with("a NO"), "{said}");
        let said = client.command(&format!("b LOGIN \"{odd}\" {{11+}}\r\nse cr%et+\u{fc}")).pop().unwrap();
        assert!(said.starts_with("b OK"), "{is_usher}: {said}\n{}", site.usher.log());
        let notes = asked(&site);
        let mut requests: Vec<String> = notes.split("GET ").skip(1).map(ToOwned::to_owned).collect();
        // usher asks at its start whether the service is there.
        requests.retain(|request| !request.contains("usher-probe"));
        heard.insert(is_usher, requests);
    }
    println!("{}", heard[&true].join("\n"));
    assert_eq!(heard[&true].len(), 2, "{heard:#?}");
    assert_eq!(heard[&false], heard[&true]);
    assert_eq!(site.logins(odd), [0, 2]);
    // A wrong password is not a user who is gone.
    assert_eq!(site.tries("anna@example.com", "wrong"), REFUSED);
    site.at_home("anna@example.com", 0);
    site.put("later@example.com", 0);
    assert!(site.tries("later@example.com", "secret").starts_with("a NO [UNAVAILABLE]"));
    site.put("alias@example.com", 0);
    let before = site.logins("anna@example.com")[0];
    assert!(site.tries("alias@example.com", "secret").starts_with("a OK"), "{}", site.usher.log());
    assert_eq!(
        site.logins("anna@example.com")[0],
        before + 1,
        "the service says by which name the host knows them"
    );
    let log = site.usher.log();
    assert!(!log.contains("se cr%et") && !log.contains(SECRET));
    // Without `send_password`, nothing is shown.
    let site = Site::filled(Kind::AuthHttp);
    site.at_home("anna@example.com", 0);
    assert!(!asked(&site).contains("Auth-Pass"), "{}", asked(&site));
}

#[test]
fn what_these_programs_write_can_be_imported() {
    let change = |section: String| section.replace("source = \"ldap\"", "source = [\"embedded\", \"ldap\"]");
    let site = Site::with(Kind::Ldap, FORGETFUL, "", change);
    site.put("anna@example.com", 0);
    site.put("berta@example.com", 1);
    site.store.put("lost@example.com", "elsewhere.test");
    let mut slapcat = Command::new("/usr/sbin/slapcat");
    let listed = slapcat.arg("-f").arg(site.store.dir.path().join("slapd.conf")).output().unwrap();
    let list = site.store.dir.path().join("list.ldif");
    std::fs::write(&list, listed.stdout).unwrap();
    let import = |format: &str, list: &std::path::Path, options: &[&str]| {
        let output = site.usher.cli(&[&["import", format, list.to_str().unwrap()], options].concat());
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let said = import("ldif", &list, &["--dry-run"]);
    assert!(
        said.contains("2 users: 2 would be added") && said.contains("unknown host \"elsewhere.test\""),
        "{said}"
    );
    assert!(site.usher.did(&["user", "list"]).is_empty());
    let said = import("ldif", &list, &["--replace"]);
    assert!(said.contains("2 users: 2 added"), "{said}");
    let got = site.usher.did(&["user", "get", "berta@example.com"]);
    assert!(got.starts_with("berta@example.com: two.test"), "{got}");
    // Rows of a database, by its own CSV.
    let rows = mindful(Kind::PostgresQuery);
    rows.store.sql("CREATE TABLE proxy (\"user\" text, host text, destuser text); INSERT INTO proxy VALUES ('carl@example.com', 'one.test', NULL), ('dora, the@example.com', 'two.test', 'd')");
    let csv = rows.store.sql("COPY (SELECT \"user\", host, destuser FROM proxy) TO STDOUT WITH CSV HEADER");
    std::fs::write(&list, csv).unwrap();
    let said = import("csv", &list, &[]);
    assert!(said.contains("2 users: 2 added"), "{said}");
    let got = site.usher.did(&["user", "get", "carl@example.com"]);
    assert!(got.starts_with("carl@example.com: one.test"), "{got}");
}

#[test]
fn a_question_of_dovecot_does_not_wait_for_the_look_up_of_another_one() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("lookup.sock");
    let listener =
        format!("[[listener]]\nprotocol = \"lookup\"\naddress = {socket:?}\nserves = [\"dict\"]\n");
    let patient = FORGETFUL.replace("2s", "30s");
    let site = Site::with(Kind::PostgresQuery, &patient, &listener, |section| section);
    let users: Vec<String> = (0..50).map(|number| format!("u{number}@example.com")).collect();
    users.iter().for_each(|user| site.store.put(user, &site.addresses[0]));
    // One after another they would be answered in 75 s.
    site.door.be(Mode::Slow);
    let mut asking = UnixStream::connect(&socket).unwrap();
    asking.set_read_timeout(Some(DEADLINE)).unwrap();
    asking.write_all(b"H2\t1\t0\t\tusher\n").unwrap();
    let begun = Instant::now();
    for user in users.iter().map(String::as_str).chain(["nobody@example.com"]) {
        asking.write_all(format!("Lshared/passdb/{user}\n").as_bytes()).unwrap();
    }
    asking.write_all(b"?\nLpriv/other\n").unwrap();
    asking.shutdown(std::net::Shutdown::Write).unwrap();
    let answers: Vec<String> = BufReader::new(asking).lines().map(Result::unwrap).collect();
    assert!(begun.elapsed() < DEADLINE);
    let kinds: String = answers.iter().map(|answer| answer.chars().next().unwrap()).collect();
    assert_eq!(kinds, format!("{}NFN", "O".repeat(50)), "{answers:#?}");
}
