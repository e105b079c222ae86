//! The forms in which people write who they are, from the client to the host that holds their archive.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use rustls::ClientConfig;
use std::process::Command;
use std::sync::Arc;
use usher_tests::archive::{Archive, Event, Options};
use usher_tests::client::{Client, config};
use usher_tests::dovecot::{Dovecot, Mode, PASSWORD};
use usher_tests::http::{ask, basic};
use usher_tests::runtime::archive;
use usher_tests::usher::{Setup, Usher, command};
use usher_tests::web::Web;

const NO: &str = "a NO [AUTHENTICATIONFAILED] Authentication failed.";
/// `[[domain]]`s and forms of a site that has them all.
const FORMS: &str = "[[domain]]\nname = \"contoso.net\"\nseparators = [\"#\", \"%\"]\n\
                     [login]\ntenants = [\"{tenant}/{user}\"]\n";

/// usher in front of two archives: anna, and a shared mailbox, are on `one`; berta and the tenant acme on `two`.
fn two_archives(setup: Setup, login_as: &str) -> (Usher, [Arc<Archive>; 2]) {
    let keys = format!("login_as = '{login_as}'");
    let archives = ["one.test", "two.test"].map(|name| {
        let port = if name == "one.test" { 10143 } else { 10144 };
        archive(Options::named(name), setup.at(port))
    });
    let (one, two) = (setup.at(10143), setup.at(10144));
    let users = [
        ("anna@example.com", "one.test"),
        ("anna@contoso.net", "one.test"),
        ("sales@contoso.net", "one.test"),
        ("berta@example.com", "two.test"),
        ("shared@example.com", "two.test"),
        ("tenant:acme", "two.test"),
    ];
    let setup = setup.section(FORMS).host("one.test", one, "tls = \"none\"", &keys);
    let setup = setup.host("two.test", two, "tls = \"none\"", &keys).users(&users);
    (setup.start(), archives)
}

/// The names that an archive has let in.
fn let_in(archive: &Archive) -> Vec<String> {
    let name = |event| match event {
        Event::LoggedIn(name) => Some(name),
        _ => None,
    };
    archive.events().into_iter().filter_map(name).collect()
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\"))
}

#[test]
fn each_form_reaches_its_host_as_it_was_typed() {
    let (usher, archives) = two_archives(Setup::new(), "typed");
    for (site, typed, at) in [
        ("MailStore", "anna", 0),
        ("MailStore", "Anna@Example.com", 0),
        ("MailStore, by instance", "acme/anna", 1),
        ("Winmail", "berta@example.com", 1),
        ("Winmail", "BERTA", 1),
        ("IMail", "anna@contoso.net", 0),
        ("IMail, CommuniGate, vpopmail", "anna%contoso.net", 0),
        ("vpopmail", "anna#contoso.net", 0),
        ("Exchange", "CONTOSO\\anna", 0),
        ("Exchange", "example\\berta", 1),
        ("Exchange", "example.com\\berta", 1),
        ("Exchange, a shared mailbox", "anna@example.com\\shared", 1),
        ("Exchange, a shared mailbox", "CONTOSO\\anna\\sales", 0),
        ("Dovecot, a master user", "anna*admin", 0),
        ("Dovecot, a master user", "berta@example.com*admin@example.com", 1),
    ] {
        archives[at].add_user(typed, "secret");
        let mut client = Client::tls(usher.imaps());
        let answer = client.command(&format!("a LOGIN {} secret", quoted(typed)));
        assert!(answer.last().unwrap().starts_with("a OK"), "{site}: {typed}: {answer:?}");
        assert_eq!(let_in(&archives[at]).last().map(String::as_str), Some(typed), "{site}");
    }
    let before = archives.each_ref().map(|archive| archive.logins());
    for typed in
        ["nowhere\\anna", "a\\b\\c\\d", "\\anna", "anna@example.com\\", "nobody/x/anna", "carl*admin"]
    {
        let mut client = Client::tls(usher.imaps());
        assert_eq!(client.command(&format!("a LOGIN {} secret", quoted(typed))), [NO], "{typed}");
    }
    assert_eq!(archives.each_ref().map(|archive| archive.logins()), before, "nobody else's archive is asked");
}

#[test]
fn a_host_gets_the_name_that_it_expects() {
    for (login_as, typed, expected, at) in [
        ("canonical", "CONTOSO\\Anna", "anna@contoso.net", 0),
        ("{local}%{domain}", "Anna", "anna%example.com", 0),
        ("{domain}\\{local}", "anna@contoso.net", "contoso.net\\anna", 0),
        ("{user}", "acme/Anna", "anna", 1),
        ("{user}.{tenant}", "ACME/anna", "anna.acme", 1),
        // What only the host can take apart goes on as it is, as does what has no such part.
        ("canonical", "anna*Admin", "anna*Admin", 0),
        ("canonical", "acme/Anna", "acme/Anna", 1),
        ("{user}", "acme/Anna*Admin", "acme/Anna*Admin", 1),
        ("{local}", "anna@example.com\\Shared", "anna@example.com\\Shared", 1),
        ("{local}.{tenant}", "Anna", "Anna", 0),
    ] {
        let (usher, archives) = two_archives(Setup::new(), login_as);
        archives[at].add_user(expected, "secret");
        let mut client = Client::tls(usher.imaps());
        let answer = client.command(&format!("a LOGIN {} secret", quoted(typed)));
        assert!(answer.last().unwrap().starts_with("a OK"), "{login_as}: {typed}: {answer:?}");
        assert_eq!(let_in(&archives[at]), [expected], "{login_as}: {typed}");
    }
}

#[test]
fn requests_name_people_in_the_same_forms() {
    let setup = Setup::new();
    let webs = [8441, 8442].map(|port| Web::start("w.test", setup.at(port), None));
    let [one, two] = [setup.at(8441), setup.at(8442)];
    let usher = setup
        .https("")
        .section(FORMS)
        .section("[https]")
        .web_host("one.test", one, "tls = \"none\"", "")
        .web_host("two.test", two, "tls = \"none\"", "")
        .users(&[
            ("anna@contoso.net", "one.test"),
            ("shared@example.com", "two.test"),
            ("tenant:acme", "two.test"),
        ])
        .start();
    for (typed, at) in
        [("CONTOSO\\anna", 0), ("anna%contoso.net*admin", 0), ("x@example.com\\shared", 1), ("acme/anna", 1)]
    {
        use base64::Engine;
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("{typed}:secret"));
        let before = webs.each_ref().map(|web| web.asked().len());
        let request = format!("GET / HTTP/1.1\r\nHost: mail.test\r\nAuthorization: Basic {basic}\r\n\r\n");
        assert_eq!(ask(usher.https(), &request).status, 200, "{typed}");
        let after = webs.each_ref().map(|web| web.asked().len());
        assert_eq!((after[at], after[1 - at]), (before[at] + 1, before[1 - at]), "{typed}");
    }
}

#[test]
fn explain_and_the_directory_know_the_forms() {
    let (usher, _archives) = two_archives(Setup::new(), "typed");
    for (typed, key) in [
        ("anna*admin", "anna@example.com"),
        ("CONTOSO\\anna\\sales", "sales@contoso.net"),
        ("acme/x", "tenant:acme"),
    ] {
        let told = usher.did(&["explain", typed]);
        assert!(told.contains(key), "{typed}: {told}");
    }
    // A name that nobody could ever reach is none.
    let config = usher.config().to_str().unwrap().to_owned();
    for unreachable in ["anna*admin", "anna@example.com\\shared", "acme/anna"] {
        let refused = command(&["user", "--config", &config, "set", unreachable, "one.test"]);
        assert!(!refused.status.success(), "{unreachable}");
    }
}

#[test]
fn what_would_be_read_in_two_ways_is_refused() {
    for (keys, says) in [
        ("[login]\nmaster_separator = \"**\"", "one character"),
        ("[login]\nmaster_separator = \"@\"", "one character"),
        ("[login]\nmaster_separator = \"%\"", "one character"),
        ("[login]\ntenants = [\"{tenant}\"]", "{tenant}/{user}"),
        ("[login]\ntenants = [\"{user}%{tenant}\"]", "another template"),
    ] {
        let domain = "[[domain]]\nname = \"contoso.net\"\nseparators = [\"%\"]\n";
        let setup = Setup::new().section(domain).section(keys);
        let config = setup.write();
        let output = command(&["check", "--config", config.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{keys}");
        assert!(said.contains(says), "{keys}: {said}");
    }
}

#[test]
fn dovecot_lets_a_master_user_in() {
    let setup = Setup::new();
    let address = setup.at(10145);
    let dovecot = Dovecot::start("dovecot.test", address, Mode::Plain);
    dovecot.add_user("anna@example.com");
    let imap = "tls = \"none\", client_address = \"proxy-v2\"";
    let usher = setup
        .host("dovecot.test", address, imap, "login_as = \"canonical\"")
        .users(&[("anna@example.com", "dovecot.test")])
        .start();
    let url = format!("imaps://{}/INBOX;MAILINDEX=1", usher.imaps());
    let user = format!("anna@example.com*admin:{PASSWORD}");
    let output =
        Command::new("curl").args(["-sk", "--max-time", "20", "--user", &user, &url]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("held by dovecot.test"), "{said}: {}", dovecot.log());
}

/// What was read of a credential holds for as long as it would be read so again.
#[test]
fn the_same_credential_names_another_user_for_another_host_or_configuration() {
    let setup = Setup::new();
    let _webs =
        [("com.test", 8441), ("net.test", 8442)].map(|(name, port)| Web::start(name, setup.at(port), None));
    let [com, net] = [setup.at(8441), setup.at(8442)];
    let usher = setup
        .https("")
        .section("[[domain]]\nname = \"example.net\"\ndefault_for = [\"web.example.net\"]\n[https]\n")
        .web_host("com.test", com, "tls = \"none\"", "")
        .web_host("net.test", net, "tls = \"none\"", "")
        .users(&[
            ("anna@example.com", "com.test"),
            ("anna@example.net", "net.test"),
            ("berta@example.com", "net.test"),
        ])
        .start();
    let mut config = ClientConfig::clone(&config());
    config.enable_sni = false;
    let mut client = Client::plain(usher.https());
    client.start_tls(Arc::new(config));
    let mut answered_by = |host: &str, user: &str| {
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n{}\r\n", basic(user)));
        client.http_answer().json()["host"].as_str().unwrap_or_default().to_owned()
    };
    for (host, user, wanted) in [
        ("mail.test", "anna", "com.test"),
        ("mail.test", "anna", "com.test"),
        ("web.example.net", "anna", "net.test"),
        ("mail.test", "anna", "com.test"),
        ("mail.test", "berta", "net.test"),
        ("mail.test", "anna", "com.test"),
    ] {
        assert_eq!(answered_by(host, user), wanted, "{user} at {host}");
    }
    usher.rewrite(|text| {
        text.replace("default_for = [\"any\"]\n", "").replace("[\"web.example.net\"]", "[\"any\"]")
    });
    usher.did(&["reload"]);
    assert_eq!(answered_by("mail.test", "anna"), "net.test", "after a reload");
    usher.did(&["move", "user", "anna@example.net", "com.test", "--wait"]);
    assert_eq!(answered_by("mail.test", "anna"), "com.test", "after a move");
}
