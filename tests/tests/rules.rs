//! Access rules, from the client that is let in or not to the operator who reads why.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use rustix::process::Signal;
use std::sync::Arc;
use usher_tests::archive::{Archive, Options};
use usher_tests::client::Client;
use usher_tests::http::{ask, basic, connect, get};
use usher_tests::runtime::archive;
use usher_tests::usher::{Setup, Usher, command};
use usher_tests::web::Web;

const NO: &str = "a NO [AUTHENTICATIONFAILED] Authentication failed.";
const DENIED: &str = "a NO [CONTACTADMIN] Ask your administrator.";

/// usher with these rules, in front of an archive with anna and berta and a web server.
fn with(rules: &str) -> (Usher, Arc<Archive>, Arc<Web>) {
    let setup = Setup::new().https("").section("[https]\narray = \"cas\"\n").section(rules);
    let (imap, http) = (setup.at(10143), setup.at(8441));
    let web = Web::start("one.test", http, None);
    let archive = archive(Options::named("one.test"), imap);
    archive.add_user("anna@example.com", "secret");
    archive.add_user("berta@example.com", "secret");
    let users = [("anna@example.com", "one.test"), ("berta@example.com", "one.test")];
    let member = format!(
        "[[array]]\nname = \"cas\"\nmembers = [{{ name = \"m.test\", http = {{ address = \"{http}\", tls = \"none\" }}, \
         tcp = {{ address = \"{imap}\" }} }}]\n\
         [[listener]]\nprotocol = \"tcp\"\naddress = \"{}\"\narray = \"cas\"\n",
        setup.at(6005)
    );
    let keys = format!("login_as = \"canonical\"\nhttp = {{ address = \"{http}\", tls = \"none\" }}");
    let setup = setup.section(&member).host("one.test", imap, "tls = \"none\"", &keys).users(&users);
    (setup.start(), archive, web)
}

fn logs_in(usher: &Usher, user: &str) -> String {
    let mut client = Client::tls(usher.imaps());
    client.command(&format!("a LOGIN {user} secret")).pop().unwrap()
}

fn asks(usher: &Usher, user: &str) -> u16 {
    ask(usher.https(), get("/", &basic(user))).status
}

#[test]
fn a_user_is_denied_before_any_host_is_asked() {
    let rules = "[[access_rule]]\nname = \"no anna\"\naction = \"deny\"\nusers = [\"Anna@*\"]\n";
    let (usher, archive, web) = with(rules);
    assert_eq!(logs_in(&usher, "anna"), DENIED);
    assert_eq!(logs_in(&usher, "\"EXAMPLE\\\\anna\""), DENIED);
    assert_eq!(asks(&usher, "anna"), 403);
    assert_eq!((archive.logins(), web.asked().len()), (0, 0));
    // Whoever acts for anna, and anna who acts for another.
    let mut client = Client::tls(usher.imaps());
    for credential in
        ["anna@example.com\0berta@example.com\0secret", "berta@example.com\0anna@example.com\0secret"]
    {
        use base64::Engine;
        let sent = base64::engine::general_purpose::STANDARD.encode(credential);
        assert_eq!(client.command(&format!("a AUTHENTICATE PLAIN {sent}")), [DENIED], "{credential:?}");
    }
    assert_eq!(archive.logins(), 0);
    // The connection goes on, and others are let in.
    assert!(client.command("a LOGIN berta secret").pop().unwrap().starts_with("a OK"));
    assert_eq!(asks(&usher, "berta"), 200);
    usher.wait_for_log("rule=\"no anna\"");
    let metrics = ask_metrics(&usher);
    assert!(metrics.contains("usher_access_denied_total{protocol=\"imaps\",by=\"name\"} 4"), "{metrics}");
    assert!(metrics.contains("usher_access_denied_total{protocol=\"https\",by=\"name\"} 1"), "{metrics}");
}

fn ask_metrics(usher: &Usher) -> String {
    let listing = usher.did(&["rules", "list"]);
    assert!(listing.contains("1. deny \"no anna\", 5 denied"), "{listing}");
    let output = std::process::Command::new("curl")
        .args(["-s", "--unix-socket", usher.socket().to_str().unwrap(), "http://localhost/metrics"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_address_is_turned_away_at_the_door() {
    let rule = |protocols: &str| {
        format!(
            "[[access_rule]]\nname = \"not from here\"\naction = \"deny\"\nprotocols = [{protocols}]\naddresses = [\"127.0.0.0/8\"]\n"
        )
    };
    let (usher, archive, web) = with(&rule("\"imap\", \"imaps\", \"https\", \"tcp\""));
    let mut plain = Client::plain(usher.imap());
    assert_eq!(plain.rest().0, "* BYE [CONTACTADMIN] Ask your administrator.\r\n");
    // Under TLS, without a handshake.
    let mut secure = Client::plain(usher.imaps());
    assert_eq!(secure.rest().0, "");
    let tcp = std::net::SocketAddr::new(usher.imaps().ip(), 6005);
    assert_eq!(Client::plain(tcp).rest().0, "");
    for fields in ["", &basic("anna")] {
        assert_eq!(ask(usher.https(), get("/", fields)).status, 403);
    }
    assert_eq!((archive.logins(), web.asked().len()), (0, 0));
    // In force at once, on connections that are there already too.
    let mut connection = connect(usher.https());
    let request = get("/", &basic("anna"));
    connection.send(&request);
    assert_eq!(connection.http_answer().status, 403);
    usher.rewrite(|text| text.replace("action = \"deny\"", "action = \"allow\""));
    usher.did(&["reload"]);
    assert!(logs_in(&usher, "anna").starts_with("a OK"));
    assert!(Client::plain(tcp).line().starts_with("* OK"));
    assert_eq!(ask(usher.https(), &request).status, 200);
}

#[test]
fn what_the_directory_says_is_never_betrayed() {
    let rules = "[[access_rule]]\nname = \"sales stay out\"\naction = \"deny\"\nattributes = { Department = [\"sales*\"] }\n\
                 [[access_rule]]\nname = \"only the staff\"\naction = \"deny\"\nusers = [\"c*\"]\nexcept_attributes = { staff = [\"yes\"] }\n";
    let (usher, archive, web) = with(rules);
    archive.add_user("carl@example.com", "secret");
    usher.user(&["set", "carl@example.com", "one.test", "--attribute", "staff=Yes"]);
    usher.user(&["set", "anna@example.com", "--attribute", "department=Sales EMEA"]);
    assert_eq!(logs_in(&usher, "anna"), NO);
    assert_eq!((asks(&usher, "anna"), asks(&usher, "nobody")), (401, 401));
    assert_eq!((archive.logins(), web.asked().len()), (0, 0));
    assert!(logs_in(&usher, "berta").starts_with("a OK"));
    // With an exception that the directory decides, nobody is told more than that the password is wrong.
    assert_eq!(logs_in(&usher, "charlotte"), NO);
    assert!(logs_in(&usher, "carl").starts_with("a OK"));
    let told = usher.did(&["user", "get", "anna@example.com"]);
    assert!(told.contains("department = Sales EMEA"), "{told}");
    // While the host cannot say that a password is wrong, nobody is told so.
    usher.did(&["stop", "one.test"]);
    for user in ["anna", "berta"] {
        let said = {
            let mut client = Client::tls(usher.imaps());
            client.send(format!("a LOGIN {user} wrong\r\n"));
            client.rest().0
        };
        assert!(said.starts_with("* BYE [UNAVAILABLE]"), "{user}: {said}");
    }
    usher.did(&["start", "one.test"]);
    usher.user(&["set", "anna@example.com", "--attribute", "department="]);
    assert!(logs_in(&usher, "anna").starts_with("a OK"));
}

#[test]
fn live_sessions_end_when_a_rule_comes_into_force() {
    let rules = "[[access_rule]]\nname = \"no anna\"\nenabled = false\naction = \"deny\"\nusers = [\"anna@*\"]\napply_to_live = true\n\
                 [[access_rule]]\nname = \"no berta\"\nenabled = false\naction = \"deny\"\nusers = [\"berta@*\"]\n\
                 [[access_rule]]\nname = \"no leavers\"\naction = \"deny\"\nattributes = { left = [\"*\"] }\napply_to_live = true\n";
    let (usher, archive, _web) = with(rules);
    archive.add_user("carl@example.com", "secret");
    usher.user(&["set", "carl@example.com", "one.test"]);
    let mut clients = ["anna", "berta", "carl"].map(|user| {
        let mut client = Client::tls(usher.imaps());
        client.login(user, "secret");
        client
    });
    usher.rewrite(|text| text.replace("enabled = false", "enabled = true"));
    usher.did(&["reload"]);
    let said = clients[0].rest().0;
    assert!(said.starts_with("* BYE ") && said.ends_with("\r\n"), "{said:?}");
    usher.wait_for_log("cause=\"denied\"");
    // A rule that does not apply to live sessions lets them be.
    assert!(clients[1].command("n NOOP").pop().unwrap().starts_with("n OK"));
    assert_eq!(logs_in(&usher, "berta"), DENIED);
    // What the directory says counts too, when it comes to say it.
    assert!(clients[2].command("n NOOP").pop().unwrap().starts_with("n OK"));
    usher.user(&["set", "carl@example.com", "--attribute", "left=2026"]);
    assert!(clients[2].rest().0.starts_with("* BYE "));
}

#[test]
fn rules_can_be_tried_before_they_are_applied() {
    let rules = "[[access_rule]]\nname = \"office\"\naction = \"allow\"\naddresses = [\"192.0.2.7-192.0.2.20\"]\n\
                 [[access_rule]]\nname = \"everywhere else\"\naction = \"deny\"\nprotocols = [\"imaps\"]\nusers = [\"*@example.com\"]\n";
    let (usher, _archive, _web) = with(rules);
    let test = |words: &[&str]| usher.did(&[&["rules", "test"], words].concat());
    let inside = test(&["--user", "anna", "--address", "192.0.2.8", "--port", "40000"]);
    assert!(inside.contains("matches    1. allow \"office\"\nmatches    2. deny"), "{inside}");
    assert!(inside.contains("verdict    allow"), "{inside}");
    let outside = test(&["--user", "anna", "--address", "192.0.2.21", "--mechanism", "login"]);
    assert!(
        outside.contains("verdict    deny, by \"everywhere else\"\nclient     NO [CONTACTADMIN]"),
        "{outside}"
    );
    assert!(
        test(&["--user", "anna", "--address", "192.0.2.21", "--protocol", "https"])
            .contains("verdict    allow")
    );
    let next = usher.config().with_file_name("next.toml");
    let text = std::fs::read_to_string(usher.config()).unwrap();
    std::fs::write(&next, text.replace("192.0.2.20", "192.0.2.21")).unwrap();
    let next = next.to_str().unwrap();
    assert!(
        test(&["--user", "anna", "--address", "192.0.2.21", "--next", next]).contains("verdict    allow")
    );
    let told = usher.did(&["explain", "anna", "--from", "192.0.2.99"]);
    assert!(told.contains("outcome    refused: an access rule denies it"), "{told}");
    let wrong = usher.cli(&["rules", "test", "--address", "192.0.2.1", "--mechanism", "magic"]);
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("scram-sha-256"));
    std::fs::write(next, "[[access_rule]]\n").unwrap();
    let wrong = usher.cli(&["rules", "test", "--address", "192.0.2.1", "--next", next]);
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("has no `action`"));
}

#[test]
fn nobody_locks_themselves_out_by_accident() {
    let (usher, _archive, _web) = with("");
    let rule = "[[access_rule]]\nname = \"offices only\"\naction = \"deny\"\nexcept_addresses = [\"192.0.2.0/24\", \"127.0.0.0/8\"]\n";
    usher.rewrite(|text| text + rule);
    let refused = usher.cli(&["reload", "--from", "198.51.100.7"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(78));
    assert!(
        said.contains("\"offices only\" would lock out 198.51.100.7") && said.contains("--force"),
        "{said}"
    );
    assert!(usher.did(&["rules", "list"]).contains("no access rules"));
    usher.did(&["reload", "--from", "192.0.2.9"]);
    // That every user is meant says no less.
    usher.rewrite(|text| {
        text.replace("192.0.2.0/24", "192.0.3.0/24")
            .replace("action = \"deny\"", "action = \"deny\"\nusers = [\"*\"]")
    });
    assert_eq!(usher.cli(&["reload", "--from", "192.0.2.9"]).status.code(), Some(78));
    usher.did(&["reload", "--from", "192.0.2.9", "--force"]);
    assert!(usher.did(&["rules", "list"]).contains("192.0.3.0/24"));
}

#[test]
fn every_fault_of_a_rule_is_told() {
    let rules = "[[access_rule]]\nname = \"x\"\naction = \"refuse\"\nprotocols = [\"pop3\"]\naddresses = [\"192.0.2.9-192.0.2.1\"]\n\
                 mechanisms = [\"magic\"]\nusers = []\ntimes = [\"someday\"]\ncountries = [\"Germany\"]\nattributes = { a = \"b\" }\n\
                 [[access_rule]]\naction = \"deny\"\n[[access_rule]]\nname = \"y\"\naction = \"deny\"\ncountries = [\"DE\"]\n[access]\nremember = \"9d\"\n";
    let setup = Setup::new().section(rules);
    let config = setup.write();
    let output = command(&["check", "--config", config.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78));
    for part in [
        "cannot be \"refuse\"",
        "`protocols` cannot have \"pop3\"",
        "`addresses` cannot have",
        "`mechanisms` cannot have \"magic\"",
        "`users` in [[access_rule]] is empty",
        "not a time of the week",
        "`countries` cannot have \"Germany\"",
        "`a` of `attributes`",
        "has no `name`",
        "`remember` in [access]",
        "`countries = \"/var/lib/GeoIP",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

fn stop(usher: &mut Usher) {
    usher.signal(Signal::TERM);
    usher.wait();
}

/// Rules that keep anna out who is let in now, and let in berta who is not.
fn swapped(usher: &Usher) -> String {
    let next = usher.config().with_file_name("next.toml");
    let text = std::fs::read_to_string(usher.config()).unwrap();
    std::fs::write(&next, text.replace("berta@*", "anna@*")).unwrap();
    next.to_str().unwrap().to_owned()
}

#[test]
fn other_rules_are_tried_on_the_logins_of_the_last_day() {
    let rule = "[[access_rule]]\nname = \"no visitors\"\naction = \"deny\"\nusers = [\"berta@*\"]\n";
    let (mut usher, archive, _web) = with(rule);
    for user in ["anna", "anna", "berta", "nobody"] {
        logs_in(&usher, user);
    }
    assert_eq!(asks(&usher, "anna"), 200);
    archive.add_user("anna@example.com", "other");
    let next = swapped(&usher);
    let expected = |told: &str| {
        for line in
            ["3 logins are remembered", "2 would be refused", "1 would be let in", "by \"no visitors\""]
        {
            assert!(told.contains(line), "{line}: {told}");
        }
        assert!(told.contains("anna@example.com  127.0.0.1  imaps     login      2"), "{told}");
    };
    expected(&usher.did(&["rules", "replay", &next]));
    // What was remembered is there after a restart.
    stop(&mut usher);
    usher.restart();
    expected(&usher.did(&["rules", "replay", &next]));
}

#[test]
fn what_is_not_to_be_remembered_is_forgotten_on_disk_too() {
    let (mut usher, _archive, _web) = with("[access]\nremember = \"1h\"\n");
    logs_in(&usher, "anna");
    stop(&mut usher);
    let kept = usher.config().with_file_name("state").join("logins.json");
    assert!(std::fs::read_to_string(&kept).unwrap().contains("anna"));
    usher.rewrite(|text| text.replace("\"1h\"", "\"0s\""));
    usher.restart();
    logs_in(&usher, "berta");
    stop(&mut usher);
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "");
}

#[test]
fn only_digests_of_names_are_kept_where_that_is_asked_for() {
    let rule = "[access]\nhash = true\n\
                [[access_rule]]\nname = \"no berta\"\naction = \"deny\"\nusers = [\"berta@example.com\"]\n";
    let (mut usher, _archive, _web) = with(rule);
    for user in ["anna", "berta"] {
        logs_in(&usher, user);
    }
    stop(&mut usher);
    usher.restart();
    let kept = std::fs::read_to_string(usher.config().with_file_name("state").join("logins.json")).unwrap();
    assert!(kept.lines().count() == 2 && !kept.contains("anna") && !kept.contains("example"), "{kept}");
    let replayed = |users: &str| {
        let next = usher.config().with_file_name("next.toml");
        let text = std::fs::read_to_string(usher.config()).unwrap();
        std::fs::write(&next, text.replace("\"berta@example.com\"", users)).unwrap();
        usher.did(&["rules", "replay", next.to_str().unwrap()])
    };
    let exact = replayed("\"anna@example.com\"");
    assert!(exact.contains("1 would be refused") && exact.contains("1 would be let in"), "{exact}");
    let domain = replayed("\"*@example.com\"");
    assert!(domain.contains("1 would be refused") && domain.contains("0 would be let in"), "{domain}");
    // A part of a name says nothing about its digest, and that is said.
    let part = replayed("\"an*@example.com\"");
    assert!(part.contains("2 cannot be decided"), "{part}");
}

#[test]
fn a_hundred_thousand_remembered_logins_are_replayed_and_no_more_are_kept() {
    let rule = "[access]\nremembered_logins = 100000\n\
                [[access_rule]]\nname = \"no odd ones\"\naction = \"deny\"\nattributes = { odd = [\"yes\"] }\nusers = [\"berta@*\"]\n";
    let (mut usher, _archive, _web) = with(rule);
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let lines: String = (0..120_000)
        .map(|at| {
            format!(
                "{{\"names\":[{{\"user\":\"u{at}@example.com\",\"tenant\":null}}],\"is_digested\":false,\"address\":\"192.0.2.7\",\"port\":1,\
                 \"protocol\":\"imaps\",\"mechanism\":\"plain\",\"has_certificate\":false,\"at\":{},\"count\":1}}\n",
                now - at / 2
            )
        })
        .collect();
    stop(&mut usher);
    let state = usher.config().with_file_name("state");
    std::fs::write(state.join("logins.json"), lines).unwrap();
    usher.restart();
    let next = swapped(&usher);
    let begun = std::time::Instant::now();
    let told = usher.did(&["rules", "replay", &next]);
    println!("replayed in {:?}", begun.elapsed());
    assert!(told.contains("90000 logins are remembered"), "{told}");
    assert!(begun.elapsed() < usher_tests::deadline::DEADLINE);
}

#[test]
fn countries_are_known_by_their_addresses() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/countries.mmdb");
    let rule = format!(
        "[access]\ncountries = {file:?}\n\
         [[access_rule]]\nname = \"only at home\"\naction = \"deny\"\nexcept_countries = [\"nz\", \"FR\"]\n"
    );
    let (usher, _archive, _web) = with(&rule);
    assert!(logs_in(&usher, "anna").starts_with("a OK"));
    for (address, verdict) in [("192.0.2.1", "deny"), ("2001:db8::1", "allow"), ("198.51.100.1", "deny")] {
        let told = usher.did(&["rules", "test", "--user", "anna", "--address", address]);
        assert!(told.contains(&format!("verdict    {verdict}")), "{address}: {told}");
    }
    // A file that cannot be read changes nothing.
    usher.rewrite(|text| text.replace("countries.mmdb", "nowhere.mmdb"));
    let refused = usher.cli(&["reload"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("name a file in MaxMind's format"));
    let checked = usher.cli(&["check"]);
    assert!(String::from_utf8_lossy(&checked.stderr).contains("name a file in MaxMind's format"));
    assert!(logs_in(&usher, "anna").starts_with("a OK"));
}

#[test]
fn everybody_may_come_at_the_right_time() {
    let all_day = "times = [\"mon-sun 00:00-24:00 Pacific/Auckland\"]";
    let rule =
        format!("[[access_rule]]\nname = \"closed\"\naction = \"deny\"\n{all_day}\napply_to_live = true\n");
    let (usher, _archive, _web) = with(&rule);
    assert!(Client::plain(usher.imap()).rest().0.starts_with("* BYE [CONTACTADMIN]"));
    usher.rewrite(|text| text.replace("mon-sun 00:00-24:00", "mon 03:00-04:00"));
    usher.did(&["reload"]);
    // 2026-11-30 is a Monday; Auckland is 13 hours ahead in its summer.
    for (at, verdict) in [("1795960740", "allow"), ("1795962600", "deny"), ("1795964400", "allow")] {
        let told = usher.did(&["rules", "test", "--user", "anna", "--address", "192.0.2.1", "--at", at]);
        assert!(told.contains(&format!("verdict    {verdict}")), "{at}: {told}");
    }
}

#[test]
fn attributes_come_and_go_with_the_list_of_users() {
    let rule = "[[access_rule]]\nname = \"no sales\"\naction = \"deny\"\nattributes = { department = [\"sales\"] }\n";
    let (usher, _archive, _web) = with(rule);
    let file = usher.config().with_file_name("users.csv");
    let import = |lines: &str| {
        std::fs::write(&file, lines).unwrap();
        usher.user(&["import", file.to_str().unwrap()])
    };
    usher.user(&["set", "anna@example.com", "--attribute", "room=7"]);
    let lines =
        "user,host,Department,city\nanna@example.com,one.test,Sales,Bonn\nberta@example.com,one.test,,Köln\n";
    assert!(import(lines).status.success());
    assert_eq!(logs_in(&usher, "anna"), NO);
    assert!(logs_in(&usher, "berta").starts_with("a OK"));
    let exported = String::from_utf8(usher.user(&["export"]).stdout).unwrap();
    let all = "user,host,city,department,room\nanna@example.com,one.test,Bonn,Sales,7\nberta@example.com,one.test,Köln,,\n";
    assert_eq!(exported, all);
    // Without columns, they stay; an empty field removes one.
    assert!(import("anna@example.com,one.test\n").status.success());
    assert_eq!(logs_in(&usher, "anna"), NO);
    assert!(import("user,host,department\nanna@example.com,one.test,\n").status.success());
    assert!(logs_in(&usher, "anna").starts_with("a OK"));
    // More rows than are written at once are merged in another way, with the same result.
    let many: String = (0..60_000).map(|at| format!("x{at}@example.com,one.test,sales\n")).collect();
    let many = format!(
        "user,host,department\n{many}anna@example.com,one.test,sales\nx0@example.com,one.test,sales\n"
    );
    assert!(import(&many).status.success());
    let told = String::from_utf8(usher.user(&["get", "anna@example.com"]).stdout).unwrap();
    assert!(
        told.contains("city = Bonn") && told.contains("department = sales") && told.contains("room = 7"),
        "{told}"
    );
    let wrong = import("user,host,department\nanna@example.com,one.test\n");
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("2 fields instead of 3 (user,host,department)"));
}

/// Whatever the manual shows of rules is tried: each block of rules, and the commands that follow it.
#[test]
fn the_manual_is_right() {
    let manual = include_str!("../../docs/manual.md");
    let section = manual.split("\n## ").find(|section| section.starts_with("Access rules")).unwrap();
    let (mut rules, mut usher, mut tried) = (String::new(), None, 0);
    let mut said: Vec<String> = Vec::new();
    for line in section.lines() {
        let Some(line) = line.strip_prefix("    ") else { continue };
        if let Some(asked) = line.strip_prefix("$ usher ") {
            let (usher, ..) = usher.get_or_insert_with(|| with(&rules));
            let words: Vec<&str> = asked.split(' ').collect();
            said = match words[0] {
                "user" => {
                    let output = usher.user(&words[1..]);
                    assert!(output.status.success(), "{line}: {output:?}");
                    Vec::new()
                }
                _ => usher.did(&words).lines().map(str::to_owned).collect(),
            };
            tried += 1;
        } else if line.starts_with("verdict ") || line.starts_with("client ") {
            assert!(said.iter().any(|known| known == line), "{line}: {said:?}");
        } else {
            if usher.take().is_some() {
                rules.clear();
            }
            rules += &format!("{line}\n");
        }
    }
    assert!(tried > 10, "{tried}");
    drop(with(&rules));
}
