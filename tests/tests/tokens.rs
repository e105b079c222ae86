//! Tokens in place of passwords, from the client to a Dovecot that asks about them.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::process::Command;
use std::thread;
use usher_tests::client::Client;
use usher_tests::dovecot::{Dovecot, Mode};
use usher_tests::introspection::introspection;
use usher_tests::usher::{Setup, Usher};

const NO: &str = "a NO [AUTHENTICATIONFAILED] Authentication failed.";

/// usher in front of a Dovecot that takes tokens and, for `two`, of another one.
fn dovecots() -> (Usher, Vec<Dovecot>) {
    dovecots_with(Setup::new())
}

fn dovecots_with(mut setup: Setup) -> (Usher, Vec<Dovecot>) {
    let asked = setup.at(8081);
    introspection(asked);
    let mut dovecots = Vec::new();
    for (name, port, user) in
        [("one.test", 10145, "anna@example.com"), ("two.test", 10146, "berta@example.com")]
    {
        let address = setup.at(port);
        let dovecot =
            Dovecot::with_tokens(name, address, Mode::Plain, &format!("http://{asked}/introspect?token="));
        dovecot.add_user(user);
        let probe = "health = { interval = \"100ms\", imap = { probe = \"greeting\" } }";
        setup = setup.host(name, address, "tls = \"none\", client_address = \"proxy-v2\"", probe);
        dovecots.push(dovecot);
    }
    let usher = setup.users(&[("anna@example.com", "one.test"), ("berta@example.com", "two.test")]).start();
    usher.wait_for_state("one.test", "up");
    let until = std::time::Instant::now() + usher_tests::deadline::DEADLINE;
    while !offers(&usher) {
        assert!(std::time::Instant::now() < until, "tokens are never offered");
        thread::sleep(std::time::Duration::from_millis(20));
    }
    (usher, dovecots)
}

fn offers(usher: &Usher) -> bool {
    let capabilities = Client::tls(usher.imaps()).command("a CAPABILITY").join(" ");
    capabilities.contains(" AUTH=XOAUTH2") && capabilities.contains(" AUTH=OAUTHBEARER")
}

fn xoauth2(user: &str, token: &str) -> String {
    STANDARD.encode(format!("user={user}\x01auth=Bearer {token}\x01\x01"))
}

fn oauthbearer(user: &str, token: &str) -> String {
    STANDARD.encode(format!("n,a={user},\x01host=mail.test\x01port=993\x01auth=Bearer {token}\x01\x01"))
}

#[test]
fn tokens_let_people_in_at_their_own_hosts() {
    let (usher, dovecots) = dovecots();
    for (mechanism, message, host) in [
        ("XOAUTH2", xoauth2("anna@example.com", "good-anna"), "one.test"),
        ("OAUTHBEARER", oauthbearer("berta@example.com", "good-berta"), "two.test"),
    ] {
        let mut client = Client::tls(usher.imaps());
        client.send(format!("a AUTHENTICATE {mechanism} {message}\r\n"));
        let answer = client.line();
        assert!(answer.starts_with("a OK"), "{mechanism}: {answer}: {}", dovecots[0].log());
        client.command("b SELECT INBOX");
        assert!(client.command("c FETCH 1 BODY.PEEK[TEXT]").join(" ").contains(&format!("This is {host}")));
        // Without an initial response too.
        let mut client = Client::tls(usher.imaps());
        client.send(format!("a AUTHENTICATE {mechanism}\r\n"));
        assert_eq!(client.line(), "+ ");
        client.send(format!("{message}\r\n"));
        assert!(client.answer("a").last().unwrap().starts_with("a OK"));
    }
    assert!(!usher.log().contains("good-"), "no token is logged");
    let url = format!("imaps://{}/INBOX;MAILINDEX=1", usher.imaps());
    let output = Command::new("curl")
        .args(["-sk", "--max-time", "20", "--user", "anna@example.com", "--oauth2-bearer", "good-anna", &url])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("held by one.test"), "{said}: {:?}", output.status);
}

#[test]
fn a_refused_token_is_told_why_and_nobody_learns_who_exists() {
    let (usher, _dovecots) = dovecots();
    for (mechanism, message, answer) in
        [("XOAUTH2", xoauth2 as fn(&str, &str) -> String, ""), ("OAUTHBEARER", oauthbearer, "AQ==")]
    {
        let told = |user: &str| {
            let mut client = Client::tls(usher.imaps());
            client.send(format!("a AUTHENTICATE {mechanism} {}\r\n", message(user, "bad")));
            let why = client.line();
            client.send(format!("{answer}\r\n"));
            assert_eq!(client.answer("a"), [NO], "{mechanism} {user}");
            // The connection goes on.
            assert!(client.command("b NOOP").pop().unwrap().starts_with("b OK"));
            String::from_utf8(STANDARD.decode(why.strip_prefix("+ ").unwrap()).unwrap()).unwrap()
        };
        let real = told("anna@example.com");
        assert!(real.contains("\"status\""), "{real}");
        assert_eq!(told("berta@example.com"), real);
        assert_eq!(told("nobody@example.com"), real);
    }
    // A command that does not wait is not taken for an answer.
    let mut client = Client::tls(usher.imaps());
    client.send(format!("a AUTHENTICATE XOAUTH2 {}\r\nb NOOP\r\n", xoauth2("anna@example.com", "bad")));
    assert!(client.line().starts_with("+ "));
    assert_eq!((client.line(), client.line().split(' ').nth(1).unwrap()), (NO.to_owned(), "OK"));
    for malformed in ["user=anna", "n,a=anna,\x01\x01"] {
        let mut client = Client::tls(usher.imaps());
        let said = client.command(&format!("a AUTHENTICATE XOAUTH2 {}", STANDARD.encode(malformed)));
        assert!(said[0].starts_with("a BAD "), "{said:?}");
    }
}

fn jwt(issuer: &str, email: &str) -> String {
    let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let payload = format!("{{\"iss\":\"{issuer}\",\"email\":\"{email}\"}}");
    format!("{}.{}.sig", encode("{\"alg\":\"none\"}"), encode(&payload))
}

#[test]
fn a_token_alone_names_its_user_for_routing_and_clients_learn_of_the_issuer() {
    let (usher, dovecots) = dovecots();
    usher.rewrite(|text| {
        let oauth =
            "name = \"example.com\"\noauth = { issuer = \"https://id.example.com/\", claim = \"email\" }";
        text.replace("name = \"example.com\"", oauth)
    });
    usher.did(&["reload"]);
    let told = |message: &str| {
        let mut client = Client::tls(usher.imaps());
        client.send(format!("a AUTHENTICATE OAUTHBEARER {}\r\n", STANDARD.encode(message)));
        let why = client.line();
        client.send("AQ==\r\n");
        assert_eq!(client.answer("a"), [NO]);
        String::from_utf8(STANDARD.decode(why.strip_prefix("+ ").unwrap()).unwrap()).unwrap()
    };
    let nameless =
        |issuer: &str, email: &str| told(&format!("n,,\x01auth=Bearer {}\x01\x01", jwt(issuer, email)));
    let said = nameless("https://id.example.com", "berta@example.com");
    usher.wait_for_log("mechanism=\"OAUTHBEARER\" user=\"berta@example.com\"");
    // The host has been told the name, to check it against the token.
    assert!(dovecots[1].log().contains("user=<berta@example.com>"), "{}", dovecots[1].log());
    let configuration =
        "\"openid-configuration\":\"https://id.example.com/.well-known/openid-configuration\"";
    assert!(said.contains(configuration), "{said}");
    // An unknown user learns the same.
    assert_eq!(told("n,a=nobody@example.com,\x01auth=Bearer bad\x01\x01"), said);
    // Somebody else's token, and one that names a user of another domain, name nobody here.
    for (issuer, email) in
        [("https://evil.example", "berta@example.com"), ("https://id.example.com", "x@other.test")]
    {
        nameless(issuer, email);
        usher.wait_for_log("mechanism=\"OAUTHBEARER\" user=\"\"");
    }
    drop(dovecots);
}

#[test]
fn mail_clients_are_told_where_tokens_come_from() {
    let (usher, _dovecots) = dovecots_with(Setup::new().https("").section("[client_setup]"));
    let asked =
        |target: &str| usher_tests::http::ask(usher.https(), usher_tests::http::get(target, "")).text();
    assert!(!asked("/mail/config-v1.1.xml").contains("OAuth2"));
    usher.rewrite(|text| {
        let oauth = "name = \"example.com\"\noauth = { issuer = \"https://id.example.com\", scope = \"mail\", \
                     auth_url = \"https://id.example.com/auth\", token_url = \"https://id.example.com/token\" }";
        text.replace("name = \"example.com\"", oauth)
    });
    usher.did(&["reload"]);
    for target in ["/mail/config-v1.1.xml", "/mail/config-v1.1.xml?emailaddress=anna%40example.com"] {
        let said = asked(target);
        let ways =
            "<authentication>OAuth2</authentication><authentication>password-cleartext</authentication>";
        let issuer = "</emailProvider><oAuth2><issuer>https://id.example.com</issuer><scope>mail</scope>\
                      <authURL>https://id.example.com/auth</authURL>\
                      <tokenURL>https://id.example.com/token</tokenURL></oAuth2></clientConfig>";
        assert!(said.contains(ways) && said.contains(issuer), "{said}");
    }
}

#[test]
fn tokens_are_offered_only_where_all_hosts_take_them() {
    let setup = Setup::new();
    let address = setup.at(10145);
    let _dovecot = Dovecot::start("one.test", address, Mode::Plain);
    let imap = "tls = \"none\", client_address = \"proxy-v2\"";
    let usher = setup.host("one.test", address, imap, "").users(&[("anna@example.com", "one.test")]).start();
    assert!(!offers(&usher));
    let mut client = Client::tls(usher.imaps());
    let said =
        client.command(&format!("a AUTHENTICATE XOAUTH2 {}", xoauth2("anna@example.com", "good-anna")));
    assert_eq!(said, ["a NO Unsupported authentication mechanism."]);
}
