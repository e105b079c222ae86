//! Guessing that gets nowhere, and those whom it does not hold up.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls::ClientConfig;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use usher_tests::archive::{Archive, Event, Options};
use usher_tests::client::{Client, config, config_with_alpn};
use usher_tests::deadline::comes_to;
use usher_tests::frames;
use usher_tests::http::{Answer, basic, get};
use usher_tests::runtime::runtime;
use usher_tests::storm::login;
use usher_tests::usher::{Setup, Usher};
use usher_tests::web::Web;

const ANNA: &str = "anna@example.com";
const BEN: &str = "ben@example.com";
/// Five failures are enough, and nobody waits for long.
const QUICK: &str = "delay = \"1ms\"\nmax_delay = \"2s\"\nban_after = 5\nban_user_after = 8\n";
const LIMIT: &str = "a NO [LIMIT] Too many logins, try again later.";
const WRONG: &str = "a NO [AUTHENTICATIONFAILED] Authentication failed.";

/// An archive, its web service, and usher in front of them, which believes the addresses that clients tell.
struct House {
    usher: Usher,
    archive: Arc<Archive>,
    web: Arc<Web>,
}

fn house(guessing: &str, https: &str) -> House {
    let setup = Setup::new();
    let (mail, web) = (setup.at(10143), setup.at(10080));
    let archive = runtime().block_on(Archive::start(Options::named("ih.test"), mail)).unwrap();
    [ANNA, BEN].iter().for_each(|user| archive.add_user(user, "secret"));
    let served = Web::start("ih.test", web, None);
    let told = "proxy_protocol = { from = [\"127.0.0.0/8\"] }\n";
    let usher = setup
        .imaps(told)
        .https(told)
        .host(
            "ih.test",
            mail,
            "tls = \"none\"",
            &format!("http = {{ address = \"{web}\", tls = \"none\" }}\n"),
        )
        .section(&format!("[guessing]\n{guessing}"))
        .section(https)
        .users(&[(ANNA, "ih.test"), (BEN, "ih.test")])
        .start();
    House { usher, archive, web: served }
}

impl House {
    /// A connection from `address`, after the greeting or, with `web`, after TLS.
    fn from(&self, address: &str, web: bool) -> Client {
        self.connect(address, web, config())
    }

    /// Asks for something with these fields, and leaves before it is answered.
    fn leave(&self, mut client: Client, fields: &str) {
        let before = self.web.asked().len();
        client.send(get("/slow/60000", fields));
        assert_eq!(comes_to(before + 1, || self.web.asked().len()), before + 1);
    }

    fn connect(&self, address: &str, web: bool, config: Arc<ClientConfig>) -> Client {
        let (family, own) =
            if address.contains(':') { ("TCP6", "2001:db8::1") } else { ("TCP4", "192.0.2.1") };
        let mut client = Client::plain(if web { self.usher.https() } else { self.usher.imaps() });
        client.send(format!("PROXY {family} {address} {own} 50000 993\r\n"));
        client.start_tls(config);
        if !web {
            client.line();
        }
        client
    }

    /// What a login from `address` is answered.
    fn login(&self, address: &str, user: &str, password: &str) -> String {
        let mut client = self.from(address, false);
        client.command(&format!("a LOGIN {user} {password}")).pop().unwrap()
    }

    fn request(&self, address: &str, request: &str) -> Answer {
        let mut client = self.from(address, true);
        client.send(request);
        client.http_answer()
    }

    /// Fails so often.
    fn fail(&self, address: &str, user: &str, times: usize) {
        (0..times).for_each(|_| assert_eq!(self.login(address, user, "wrong"), WRONG));
    }

    /// How many passwords the archive has been asked about.
    fn asked(&self) -> usize {
        let is_asked = |event: &Event| matches!(event, Event::Line(line) if line.contains("AUTHENTICATE"));
        self.archive.events().iter().filter(|event| is_asked(event)).count()
    }
}

fn form(user: &str, password: &str) -> String {
    let body = format!("username={user}&password={password}");
    format!(
        "POST /login HTTP/1.1\r\nHost: mail.test\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn failures_of_all_protocols_count_together_and_a_ban_outlives_usher() {
    let identities = "[[https.identity]]\nfrom = \"basic\"\n[[https.identity]]\nfrom = \"form\"\npath = \"/login\"\n\
                      field = \"username\"\n";
    let mut house = house(QUICK, identities);
    let guesser = "198.51.100.7";
    house.fail(guesser, ANNA, 2);
    // Of names that nobody has as well.
    house.fail(guesser, "nobody@example.com", 1);
    assert_eq!(house.request(guesser, &form(BEN, "wrong")).status, 401);
    assert_eq!(house.request(guesser, &get("/status/401", &basic(BEN))).status, 401);
    house.usher.wait_for_log("too many failed logins");
    let asked = house.asked();
    for user in [ANNA, BEN, "nobody@example.com"] {
        assert_eq!(house.login(guesser, user, "secret"), LIMIT, "{user}");
    }
    for request in [form(BEN, "secret"), get("/", &basic(BEN)), get("/", &basic("nobody@example.com"))] {
        let answer = house.request(guesser, &request);
        assert_eq!(answer.status, 429);
        let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1700..=1800).contains(&seconds), "{seconds}");
    }
    assert_eq!(house.asked(), asked, "nobody is asked about a password any more");
    // Requests that name nobody are no guesses.
    assert_ne!(house.request(guesser, &get("/", "")).status, 429);
    let told = house.usher.did(&["explain", ANNA, "--from", guesser]);
    assert!(told.contains("198.51.100.7: 5 failed logins lately; refused untried for "), "{told}");
    assert!(told.contains("outcome    NO [LIMIT], untried"), "{told}");
    assert!(house.usher.did(&["bans"]).contains("198.51.100.7"));
    let log = house.usher.log();
    assert_eq!(log.matches("failed logins").count(), 1, "{log}");
    assert_eq!(log.matches("refused untried").count(), 0, "{log}");
    assert_eq!(log.matches("login refused").count(), 5, "fail2ban hears of each: {log}");
    house.usher.restart_after_kill();
    assert_eq!(house.login(guesser, ANNA, "secret"), LIMIT);
    assert_eq!(house.usher.did(&["unban", guesser]), "198.51.100.7 is no longer banned\n");
    assert!(house.login(guesser, ANNA, "secret").starts_with("a OK"));
}

#[test]
fn who_is_known_somewhere_is_not_held_up_there_by_others() {
    let house = house(QUICK, "");
    let (own, office) = ("192.0.2.7", "192.0.2.8");
    assert!(house.login(own, ANNA, "secret").starts_with("a OK"));
    assert!(house.login(office, ANNA, "secret").starts_with("a OK"));
    // From everywhere, under her name.
    for at in 0..4 {
        house.fail(&format!("198.51.100.{at}"), ANNA, 2);
    }
    assert_eq!(house.login("203.0.113.9", ANNA, "secret"), LIMIT, "nobody knows her there");
    assert!(house.login("203.0.113.9", BEN, "secret").starts_with("a OK"));
    // And from where she is, under others' names.
    for at in 0..5 {
        house.fail(own, &format!("nobody{at}@example.com"), 1);
    }
    assert_eq!(house.login(own, BEN, "secret"), LIMIT);
    for _ in 0..10 {
        assert!(house.login(own, ANNA, "secret").starts_with("a OK"));
    }
    // What is tried under her own name from where she is known counts there.
    house.fail(own, ANNA, 5);
    assert_eq!(house.login(own, ANNA, "secret"), LIMIT);
    assert!(house.login(office, ANNA, "secret").starts_with("a OK"));
    let bans = house.usher.did(&["bans"]);
    assert!(bans.contains("anna@example.com from 192.0.2.7"), "{bans}");
    house.usher.did(&["unban", ANNA]);
    assert!(house.login(own, ANNA, "secret").starts_with("a OK"));
    assert!(house.login("203.0.113.9", ANNA, "secret").starts_with("a OK"));
}

#[test]
fn an_ipv6_address_counts_for_its_prefixes() {
    let house = house(QUICK, "");
    for at in 0..5 {
        house.fail(&format!("2001:db8:1:100::{at}"), &format!("a{at}@example.com"), 1);
    }
    assert_eq!(house.login("2001:db8:1:100::ffff", BEN, "secret"), LIMIT, "one network");
    assert!(house.login("2001:db8:1:101::1", BEN, "secret").starts_with("a OK"), "another one");
    for at in 0..5 {
        house.fail(&format!("2001:db8:1:1f{at}::1"), &format!("b{at}@example.com"), 1);
    }
    assert_eq!(house.login("2001:db8:1:1ff::1", BEN, "secret"), LIMIT, "one site");
    assert!(house.login("2001:db8:1:200::1", BEN, "secret").starts_with("a OK"));
}

#[test]
fn the_wait_grows_and_those_who_come_at_once_are_sent_away() {
    let house = house("delay = \"200ms\"\nmax_delay = \"300ms\"\n", "");
    let guesser = "198.51.100.7";
    house.fail(guesser, BEN, 3);
    let begun = Instant::now();
    house.fail(guesser, BEN, 1);
    assert!(begun.elapsed() >= Duration::from_millis(200));
    let begun = Instant::now();
    house.fail(guesser, ANNA, 1);
    assert!(begun.elapsed() >= Duration::from_millis(300));
    // Ten at once: they wait one after the other, but only for so long.
    let answers: Vec<String> = std::thread::scope(|scope| {
        let tried: Vec<_> = (0..10).map(|_| scope.spawn(|| house.login(guesser, ANNA, "wrong"))).collect();
        tried.into_iter().map(|tried| tried.join().unwrap()).collect()
    });
    assert!(answers.iter().filter(|answer| *answer == LIMIT).count() >= 5, "{answers:?}");
    assert!(answers.iter().any(|answer| answer == WRONG), "{answers:?}");
    house.usher.wait_for_log("logins are refused untried; the next ones are only counted");
    assert_eq!(house.usher.log().matches("refused untried").count(), 1);
}

#[test]
fn operators_ban_and_spare() {
    let house = house(&format!("{QUICK}never = [\"192.0.2.0/24\"]\nalways = [\"198.51.100.0/24\"]\n"), "");
    house.fail("192.0.2.7", BEN, 20);
    assert!(house.login("192.0.2.7", BEN, "secret").starts_with("a OK"));
    assert_eq!(house.login("198.51.100.7", BEN, "secret"), LIMIT);
    assert_eq!(house.request("198.51.100.7", &get("/", "")).status, 429);
    for (whose, address, user) in [
        ("203.0.113.0/24", "203.0.113.9", ANNA),
        (BEN, "203.0.114.1", BEN),
        ("2001:db8::7", "2001:db8::7", ANNA),
    ] {
        let done = house.usher.did(&["ban", whose, "--for", "1h", "--why", "reported"]);
        assert!(done.starts_with(&format!("{whose} is banned until ")), "{done}");
        assert_eq!(house.login(address, user, "secret"), LIMIT, "{whose}");
    }
    let bans = house.usher.did(&["bans"]);
    assert_eq!(bans.matches("reported").count(), 3, "{bans}");
    let done = house.usher.did(&["unban", "203.0.113.9"]);
    assert!(done.contains("still banned with 203.0.113.0/24"), "{done}");
    for (whose, address, user) in [
        ("203.0.113.0/24", "203.0.113.9", ANNA),
        (BEN, "203.0.114.1", BEN),
        ("2001:db8::7", "2001:db8::7", ANNA),
    ] {
        house.usher.did(&["unban", whose]);
        assert!(house.login(address, user, "secret").starts_with("a OK"), "{whose}");
    }
    assert_eq!(house.usher.did(&["bans"]), "nobody is banned\n");
}

#[test]
fn sessions_and_logins_a_minute_are_limited() {
    let limited = house("sessions_per_user = 2\nsessions_per_address = 3\n", "");
    let session = |address: &str, user: &str| {
        let mut client = limited.from(address, false);
        let answer = client.command(&format!("a LOGIN {user} secret")).pop().unwrap();
        (answer.starts_with("a OK").then_some(client), answer)
    };
    let first = session("192.0.2.7", ANNA);
    let (_second, _third) = (session("192.0.2.8", ANNA), session("192.0.2.8", BEN));
    assert_eq!(session("192.0.2.9", ANNA).1, LIMIT);
    let _fourth = session("192.0.2.8", BEN);
    assert_eq!(session("192.0.2.8", "carla@example.com").1, LIMIT);
    drop(first);
    let until = Instant::now() + usher_tests::deadline::DEADLINE;
    while session("192.0.2.9", ANNA).0.is_none() {
        assert!(Instant::now() < until, "the place is never free again");
    }
    let often = house("logins_per_minute_per_user = 3\nlogins_per_minute_per_address = 5\n", "");
    (0..3).for_each(|_| assert!(often.login("192.0.2.7", ANNA, "secret").starts_with("a OK")));
    assert_eq!(often.login("192.0.2.7", ANNA, "secret"), LIMIT);
    let answer = often.request("192.0.2.9", &get("/", &basic(ANNA)));
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("60")));
    (0..2).for_each(|_| assert!(often.login("192.0.2.7", BEN, "secret").starts_with("a OK")));
    assert_eq!(often.login("192.0.2.7", "carla@example.com", "secret"), LIMIT);
}

/// Honest people and those who guess, for so long. Returns the medians of honest logins before and meanwhile.
fn under_attack(seconds: u64) -> (Duration, Duration) {
    const HONEST: usize = 20;
    let setup = Setup::new();
    let mail = setup.at(10143);
    let archive = runtime().block_on(Archive::start(Options::named("ih.test"), mail)).unwrap();
    let honest = |at: usize| format!("honest{at}@example.com");
    (0..HONEST).for_each(|at| archive.add_user(&honest(at), "secret"));
    let told = "proxy_protocol = { from = [\"127.0.0.0/8\"] }\nplaintext_from = [\"0.0.0.0/0\"]\n";
    let usher = setup
        .imap(told)
        .environment("RUST_LOG", "warn,usher::app=info")
        .host("ih.test", mail, "tls = \"none\"", "")
        .section("[guessing]\n")
        .users(&[("@example.com", "ih.test")])
        .start();
    let address = usher.imap();
    let logins = |until: Instant| async move {
        let people = (0..HONEST).map(|at| async move {
            let (own, user) =
                (Ipv4Addr::new(192, 0, 2, at as u8 + 1).into(), format!("honest{at}@example.com"));
            let mut took = Vec::new();
            while Instant::now() < until {
                let (answer, time) = login(address, own, &user, "secret").await.unwrap();
                assert!(answer.starts_with("a OK"), "{user}: {answer}");
                took.push(time);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            took
        });
        let mut all: Vec<Duration> =
            futures_util::future::join_all(people).await.into_iter().flatten().collect();
        all.sort_unstable();
        all[all.len() / 2]
    };
    let before = runtime().block_on(logins(Instant::now() + Duration::from_secs(seconds)));
    let until = Instant::now() + Duration::from_secs(seconds);
    // 500 wrong logins a second from 200 sources, 10 of them under one honest user's name.
    let attack = async move {
        let (mut number, mut pace) = (0_usize, tokio::time::interval(Duration::from_millis(2)));
        let mut asked = tokio::task::JoinSet::new();
        while Instant::now() < until {
            pace.tick().await;
            let source = Ipv4Addr::new(198, 51, 100, (number % 200) as u8 + 1).into();
            let user =
                if number.is_multiple_of(50) { honest(0) } else { format!("guess{number}@example.com") };
            asked.spawn(async move { login(address, source, &user, "wrong").await });
            number += 1;
        }
        (number, asked)
    };
    let (meanwhile, (tried, asked)) = runtime().block_on(async { tokio::join!(logins(until), attack) });
    println!(
        "{tried} wrong logins in {seconds} s; honest logins: median {before:?} before, {meanwhile:?} meanwhile"
    );
    // The others wait, or were refused.
    drop(asked);
    assert!(usher.did(&["bans"]).contains("honest0@example.com") || seconds < 10);
    (before, meanwhile)
}

#[test]
fn honest_people_are_served_under_attack() {
    under_attack(3);
}

#[test]
#[ignore = "a minute of guessing; `make proof` runs it"]
fn honest_people_are_served_under_a_minute_of_attack() {
    let (before, meanwhile) = under_attack(60);
    // Their logins take milliseconds: twice that, and room for a machine that is busy.
    assert!(meanwhile < before * 2 + Duration::from_millis(5), "{before:?} {meanwhile:?}");
}

#[test]
#[ignore = "a quarter of a million logins; `make proof` runs it"]
fn sources_are_remembered_in_64_mebibytes() {
    let setup = Setup::new();
    let mail = setup.at(10143);
    let told = "proxy_protocol = { from = [\"127.0.0.0/8\"] }\nplaintext_from = [\"0.0.0.0/0\"]\n";
    let usher = setup
        .imap(told)
        .environment("RUST_LOG", "error,usher::app=info")
        .host("ih.test", mail, "tls = \"none\"", "")
        .section("[guessing]\nban_user_after = 0\n[access]\nremember = \"0s\"")
        .start();
    let address = usher.imap();
    let storm = |from: u32, to: u32| {
        runtime().block_on(async move {
            let tasks = (0..1500_u32).map(|task| {
                tokio::spawn(async move {
                    let mut at = from + task;
                    while at < to {
                        let source = Ipv4Addr::from(0x0b00_0000 + at).into();
                        let (answer, _) = login(address, source, "nobody", "wrong").await.unwrap();
                        assert!(answer.starts_with("a NO [AUTHENTICATIONFAILED]"), "{answer}");
                        at += 1500;
                    }
                })
            });
            futures_util::future::join_all(tasks).await.into_iter().for_each(Result::unwrap);
        });
    };
    // What connections take is there by then.
    storm(0, 30_000);
    let before = usher.resident();
    let begun = Instant::now();
    // By then every part of the table for a million is in use: its size no longer depends on how many come.
    storm(30_000, 250_000);
    let grown = usher.resident().saturating_sub(before);
    println!("220,000 more sources in {:?}: {} KiB more", begun.elapsed(), grown / 1024);
    assert!(grown < 64 << 20, "{grown}");
}

#[test]
fn whoever_leaves_before_the_refusal_has_failed_too() {
    // The archive takes its time to refuse, as hosts do that delay it.
    let setup = Setup::new();
    let mail = setup.at(10143);
    let silent = std::net::TcpListener::bind(mail).unwrap();
    let told = "proxy_protocol = { from = [\"127.0.0.0/8\"] }\n";
    let usher = setup
        .imaps(told)
        .host("ih.test", mail, "tls = \"none\"", "")
        .section(&format!("[guessing]\n{QUICK}"))
        .users(&[(ANNA, "ih.test")])
        .start();
    let guess = || {
        let mut client = Client::plain(usher.imaps());
        client.send("PROXY TCP4 198.51.100.7 192.0.2.1 50000 993\r\n");
        client.start_tls(config());
        client.line();
        client.send(format!("a LOGIN {ANNA} wrong\r\n"));
        client
    };
    let mut hosts = Vec::new();
    for _ in 0..5 {
        let client = guess();
        let (mut host, _) = silent.accept().unwrap();
        std::io::Write::write_all(&mut host, b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready\r\n")
            .unwrap();
        let mut said = [0; 8];
        std::io::Read::read_exact(&mut host, &mut said).unwrap();
        // It has the password; nobody waits for what it says.
        drop(client);
        hosts.push(host);
    }
    usher.wait_for_log("too many failed logins");
    assert_eq!(guess().line(), LIMIT);
    assert_eq!(usher.log().matches("login refused").count(), 5, "{}", usher.log());
}

#[test]
fn a_login_by_http_is_one_however_it_is_written() {
    let identities = "[[https.identity]]\nfrom = \"query\"\ntemplate = \"?User={user}\"\n[[https.identity]]\n\
                      from = \"basic\"\n[[https.identity]]\nfrom = \"form\"\npath = \"/login\"\nfield = \"username\"\nrefused_with = [200, 401]\n";
    let house = house(QUICK, identities);
    let encoded = |user: &str| form(user, "wrong").replacen("/login", "/%6Cogin", 1);
    let multipart = form(BEN, "wrong").replacen("application/x-www-form-urlencoded", "text/plain", 1);
    let by_query = get(&format!("/status/401?User={ANNA}"), &basic(BEN));
    for (at, request) in [encoded(BEN), encoded("nobody@example.com"), multipart, by_query].iter().enumerate()
    {
        let from = format!("198.51.100.{at}");
        // Whatever the answer is, it is not the host's forever.
        let answers: Vec<u16> = (0..6).map(|_| house.request(&from, request).status).collect();
        assert_eq!(answers.last(), Some(&429), "{at}: {answers:?}");
    }
}

#[test]
fn what_is_anybodys_proves_nothing() {
    let house = house(QUICK, "");
    // Nobody asks for a password there.
    assert_eq!(house.request("198.51.100.9", &get("/status/200", &basic(ANNA))).status, 200);
    house.fail("198.51.100.9", ANNA, 4);
    house.fail("198.51.100.9", BEN, 1);
    assert_eq!(house.login("198.51.100.9", BEN, "secret"), LIMIT, "what fails counts for the source");
    // Where others are refused, who is let in has proven who they are: before or after that.
    let own = "192.0.2.7";
    assert_eq!(house.request(own, &get("/status/200", &basic(ANNA))).status, 200);
    let told = house.usher.did(&["explain", ANNA, "--from", own]);
    assert!(!told.contains("known there"), "{told}");
    let refused = get("/status/401", &basic(BEN));
    assert_eq!(house.request("203.0.113.1", &refused).status, 401);
    assert!(house.login(own, ANNA, "secret").starts_with("a OK"));
    assert!(house.usher.did(&["explain", ANNA, "--from", own]).contains("known there"));
}

#[test]
fn strangers_do_not_use_up_what_a_user_may_have() {
    let house = house(
        "logins_per_minute_per_user = 3\nsessions_per_user = 2\nban_after = 0\nban_user_after = 0\ndelay = \"0s\"\n",
        "",
    );
    assert!(house.login("192.0.2.7", ANNA, "secret").starts_with("a OK"));
    (0..10).for_each(|at| house.fail(&format!("198.51.100.{at}"), ANNA, 1));
    assert!(house.login("192.0.2.7", ANNA, "secret").starts_with("a OK"));
}

/// `Authorization: Basic`, with its CRLF.
fn credential(user: &str, password: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{user}:{password}")))
}

/// A connection by which several hosts can be asked for.
fn without_sni() -> Arc<ClientConfig> {
    let mut config = ClientConfig::clone(&config());
    config.enable_sni = false;
    Arc::new(config)
}

#[test]
fn what_is_let_in_for_one_user_is_not_for_another_of_the_same_letters() {
    let house = house(
        "logins_per_minute_per_address = 3\n",
        "[[domain]]\nname = \"example.net\"\ndefault_for = [\"web.example.net\"]\n",
    );
    house.usher.did(&["user", "set", "anna@example.net", "ih.test"]);
    let mut client = house.connect("192.0.2.7", true, without_sni());
    let mut ask = |host: &str, status: u16| {
        let request = get(&format!("/status/{status}"), &basic("anna"));
        client.send(request.replace("mail.test", host));
        client.http_answer().status
    };
    // The same user again is no other login.
    (0..9).for_each(|_| assert_eq!(ask("mail.test", 200), 200));
    // Another one is, each time until the host has let it in.
    assert_eq!([(); 3].map(|()| ask("web.example.net", 404)), [404, 404, 429]);
}

#[test]
fn a_token_that_expires_on_a_connection_is_no_guess() {
    let house = house(QUICK, "[[https.identity]]\nfrom = \"bearer\"\nclaim = \"email\"\n");
    let own = "192.0.2.7";
    assert!(house.login(own, ANNA, "secret").starts_with("a OK"));
    let payload = URL_SAFE_NO_PAD.encode(format!("{{\"email\":\"{ANNA}\"}}"));
    let token = format!("Authorization: Bearer e30.{payload}.c2ln\r\n");
    let mut client = house.from(own, true);
    let mut ask = |status: u16| {
        client.send(get(&format!("/status/{status}"), &token));
        client.http_answer().status
    };
    (0..2).for_each(|_| assert_eq!(ask(200), 200));
    (0..6).for_each(|_| assert_eq!(ask(401), 401));
    // Left before it is judged, too.
    for at in 0..6 {
        house.leave(house.from(own, true), &token.replace("c2ln", &format!("c2ln{at}")));
    }
    assert!(house.login(own, ANNA, "secret").starts_with("a OK"));
    // Where nobody is known, one counts once, however many requests had it.
    let elsewhere = "198.51.100.7";
    for _ in 0..6 {
        let other = token.replace("c2ln", "b3RoZXI");
        assert_eq!(house.request(elsewhere, &get("/status/401", &other)).status, 401);
    }
    let told = house.usher.did(&["explain", ANNA, "--from", elsewhere]);
    assert!(told.contains("198.51.100.7: 1 failed login"), "{told}");
}

#[test]
fn whoever_leaves_a_repeated_guess_has_failed_unless_it_was_proven() {
    let house = house(QUICK, "");
    let (guesser, own) = ("198.51.100.7", "192.0.2.7");
    let let_in = |address: &str, password: &str| {
        let mut client = house.from(address, true);
        let guess = credential(ANNA, password);
        client.send(get("/status/200", &guess));
        assert_eq!(client.http_answer().status, 200);
        (client, guess)
    };
    for at in 0..5 {
        // Nobody asks for a password there, and elsewhere nobody waits for what the host says.
        let (client, guess) = let_in(guesser, &at.to_string());
        house.leave(client, &guess);
    }
    house.usher.wait_for_log("too many failed logins");
    assert_eq!(house.request(guesser, &get("/status/200", &basic(ANNA))).status, 429);
    // Where others are refused, who is let in has proven who they are, and may leave what they like.
    let let_in_by_proof = || {
        let mut client = house.from(own, true);
        client.send(get("/guarded", &basic(ANNA)));
        assert_eq!(client.http_answer().status, 200);
        client
    };
    assert_eq!(house.request("203.0.113.1", &get("/guarded", &credential(BEN, "wrong"))).status, 401);
    house.leave(let_in_by_proof(), &basic(ANNA));
    house.usher.wait_until("/v1/sessions", |shown| shown["matching"] == 0);
    let told = house.usher.did(&["explain", ANNA, "--from", own]);
    assert!(told.contains("192.0.2.7: known there; no failed logins lately"), "{told}");
}

#[test]
fn a_body_that_is_never_sent_does_not_hide_a_guess() {
    let house = house(QUICK, "");
    for at in 0..5 {
        let before = house.web.asked().len();
        let mut client = house.from("198.51.100.7", true);
        let guess = credential(ANNA, &at.to_string());
        client.send(format!(
            "POST /slow/60000 HTTP/1.1\r\nHost: mail.test\r\n{guess}Content-Length: 5\r\n\r\n"
        ));
        assert_eq!(comes_to(before + 1, || house.web.asked().len()), before + 1);
        client.half_close();
        client.rest().1.unwrap();
    }
    assert_eq!(house.request("198.51.100.7", &get("/status/200", &basic(ANNA))).status, 429);
    assert_eq!(comes_to(5, || house.usher.log().matches("login refused").count()), 5);
}

#[test]
fn guesses_that_were_let_in_beforehand_are_refused_with_all_others() {
    let house = house(QUICK, "");
    let guesser = "198.51.100.7";
    let mut prepared: Vec<_> = (0..8)
        .map(|at| {
            let (mut client, guess) = (house.from(guesser, true), credential(ANNA, &at.to_string()));
            client.send(get("/status/200", &guess));
            assert_eq!(client.http_answer().status, 200);
            (client, guess)
        })
        .collect();
    // Another query or method is another thing.
    let ask = |(client, guess): &mut (Client, String)| {
        client.send(get("/guarded?which", guess));
        client.http_answer().status
    };
    let statuses: Vec<u16> = prepared.iter_mut().map(ask).collect();
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429, 429]);
    // Nor is it known there, by a method that lets in everybody.
    let mut client = house.from("192.0.2.7", true);
    client.send(get("/status/200", &credential(ANNA, "guess")));
    assert_eq!(client.http_answer().status, 200);
    let told = house.usher.did(&["explain", ANNA, "--from", "192.0.2.7"]);
    assert!(!told.contains("known there"), "{told}");
}

#[test]
fn a_form_with_a_credential_counts_for_both() {
    let identity = "[[https.identity]]\nfrom = \"form\"\npath = \"/login\"\nfield = \"username\"\n";
    let house = house(QUICK, identity);
    for at in 0..8 {
        let both = form(BEN, "wrong").replacen(
            "Host: mail.test\r\n",
            &format!("Host: mail.test\r\n{}", basic(ANNA)),
            1,
        );
        assert_eq!(house.request(&format!("198.51.100.{at}"), &both).status, 401);
    }
    for user in [ANNA, BEN] {
        assert_eq!(house.login("203.0.113.1", user, "secret"), LIMIT, "{user}");
    }
}

#[test]
fn many_requests_that_are_left_at_once_are_one_guess() {
    let house = house(QUICK, "");
    let pair = STANDARD.encode(format!("{ANNA}:secret"));
    let fields = frames::block(&[
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "mail.test"),
        (":path", "/slow/60000"),
        ("authorization", &format!("Basic {pair}")),
    ]);
    let request =
        |stream| frames::frame(frames::HEADERS, frames::END_STREAM | frames::END_HEADERS, stream, &fields);
    for connection in 1..3 {
        let mut client = house.connect("192.0.2.7", true, config_with_alpn(&["h2"]));
        client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        client.send(frames::frame(frames::SETTINGS, 0, 0, &[]));
        (1..8).step_by(2).for_each(|stream| client.send(request(stream)));
        assert_eq!(comes_to(4 * connection, || house.web.asked().len()), 4 * connection);
        drop(client);
        house.usher.wait_until("/v1/sessions", |shown| shown["matching"] == 0);
    }
    let told = house.usher.did(&["explain", ANNA, "--from", "192.0.2.7"]);
    assert!(told.contains("1 failed login"), "{told}");
}
