//! Users whom the directory does not know: the hosts are asked. And entries that are out of date: hosts refer to others.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};
use usher_tests::client::Client;
use usher_tests::deadline::DEADLINE;
use usher_tests::dovecot::{Dovecot, Mode, PASSWORD};
use usher_tests::http::{ask, basic, get};
use usher_tests::usher::{Setup, Usher, command};

const NO: &str = "a NO [AUTHENTICATIONFAILED] Authentication failed.";
const PORTS: [u16; 3] = [10145, 10146, 10147];

fn name(at: usize) -> String {
    format!("u{at}@example.com")
}

/// Three Dovecots with these users each, and usher in front of them, which knows none.
fn three(peers: &str, users: usize, http: &[SocketAddr]) -> (Usher, Vec<Dovecot>) {
    let setup = Setup::new().server("login_wait = \"300ms\"\noutage_reply = \"no\"");
    let mut setup = setup.https("").section("[https]").section(peers);
    let mut dovecots = Vec::new();
    for (at, port) in PORTS.into_iter().enumerate() {
        let (host, address) = (format!("d{at}.test"), setup.at(port));
        let dovecot = Dovecot::with_users_of_its_own(&host, address, Mode::Plain);
        (0..users).filter(|user| user % PORTS.len() == at).for_each(|user| dovecot.let_in(&name(user)));
        let imap = "tls = \"none\", client_address = \"proxy-v2\"";
        let http = http.get(at).map(|http| format!("http = {{ address = \"{http}\", tls = \"none\" }}"));
        setup = setup.host(&host, address, imap, &http.unwrap_or_default());
        dovecots.push(dovecot);
    }
    (setup.start(), dovecots)
}

fn master() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("master.secret");
    std::fs::write(&file, PASSWORD).unwrap();
    let peers = format!("master_user = \"admin\"\nmaster_password_file = {file:?}\n");
    (dir, format!("[directory]\non_miss = \"peers\"\n[directory.peers]\n{peers}"))
}

fn logs_in(usher: &Usher, user: &str, password: &str) -> String {
    let mut client = Client::tls(usher.imaps());
    client.command(&format!("a LOGIN {user} {password}")).pop().unwrap()
}

/// Logs in everybody, and checks that each is at home.
fn everybody_is_found(usher: &Usher, users: usize, how: &str) {
    for at in 0..users {
        let mut client = Client::tls(usher.imaps());
        client.login(&name(at), PASSWORD);
        client.command("s SELECT INBOX");
        let said = client.command("f FETCH 1 BODY.PEEK[TEXT]").join(" ");
        assert!(said.contains(&format!("This is d{}.test", at % PORTS.len())), "{at}: {said}");
    }
    let shown = usher.shows(&format!("/v1/directory/{}", name(0)));
    assert_eq!((shown["host"].as_str(), shown["set_by"].as_str()), (Some("d0.test"), Some(how)));
}

/// Waits until so many logins have failed at all of them; more is a fault. Dovecot notes them when their clients have gone.
fn wait_for_failures(dovecots: &[Dovecot], wanted: usize) {
    let until = Instant::now() + DEADLINE;
    loop {
        let failures: usize = dovecots.iter().map(Dovecot::failures).sum();
        if failures == wanted {
            return;
        }
        assert!(failures < wanted && Instant::now() < until, "{failures} failures instead of {wanted}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn users_are_found_by_a_master_login() {
    let (_dir, peers) = master();
    let (usher, mut dovecots) = three(&peers, 12, &[]);
    // Before anybody is asked: a list is read again only after a second.
    for (at, user) in [(0, "twin"), (2, "twin"), (1, "late"), (2, "early")] {
        dovecots[at].let_in(&format!("{user}@example.com"));
    }
    assert_eq!(logs_in(&usher, "nobody@example.com", PASSWORD), NO);
    everybody_is_found(&usher, 12, "peers (master login)");
    // The user's own password is never asked about elsewhere.
    assert_eq!(logs_in(&usher, &name(1), "wrong"), NO);
    wait_for_failures(&dovecots, 1);
    assert_eq!(dovecots[1].failures(), 1);
    // Two hosts have the same user: nobody is served until somebody decides.
    assert!(logs_in(&usher, "twin", PASSWORD).starts_with("a NO [UNAVAILABLE]"));
    assert_eq!(usher.did(&["user", "duplicates"]), "twin@example.com: d0.test, d2.test\n");
    usher.wait_for_log("several hosts have this user");
    usher.user(&["set", "twin@example.com", "d2.test"]);
    assert!(logs_in(&usher, "twin@example.com", PASSWORD).starts_with("a OK"));
    assert!(usher.did(&["user", "duplicates"]).starts_with("no user is on several hosts"));
    // One is down: whoever is elsewhere is found; of the others it cannot be said that their password is wrong.
    dovecots[1].kill();
    assert!(logs_in(&usher, "early@example.com", PASSWORD).starts_with("a OK"));
    assert!(logs_in(&usher, "late@example.com", PASSWORD).starts_with("a NO [UNAVAILABLE]"));
    assert!(logs_in(&usher, "stranger@example.com", PASSWORD).starts_with("a NO [UNAVAILABLE]"));
    dovecots[1].start_again();
    assert!(logs_in(&usher, "late@example.com", PASSWORD).starts_with("a OK"));
    let explained = usher.did(&["explain", "unheard-of"]);
    assert!(explained.contains("the hosts are asked who has it"), "{explained}");
}

#[test]
fn users_are_found_by_their_own_login_with_one_failure_at_each_other_host() {
    let (usher, mut dovecots) =
        three("[directory]\non_miss = \"peers\"\n[directory.peers]\nask = \"login\"\n", 9, &[]);
    everybody_is_found(&usher, 9, "peers (own login)");
    // Each has refused those of the two others, once.
    wait_for_failures(&dovecots, 18);
    // They are known now.
    everybody_is_found(&usher, 9, "peers (own login)");
    assert_eq!(logs_in(&usher, "nobody@example.com", PASSWORD), NO);
    wait_for_failures(&dovecots, 21);
    assert_eq!(dovecots.iter().map(Dovecot::failures).collect::<Vec<_>>(), [7, 7, 7]);
    dovecots[0].kill();
    assert!(logs_in(&usher, "nobody@example.com", PASSWORD).starts_with("a NO [UNAVAILABLE]"));
    wait_for_failures(&dovecots[1..], 16);
}

/// Answers 204 for users whose number is of this host, and 404 for others.
fn answering(address: SocketAddr, own: usize) {
    let listener = TcpListener::bind(address).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let asked = lines.next().unwrap_or_default();
            let number =
                asked.strip_prefix("GET /users/u").and_then(|rest| rest.split('%').next()?.parse().ok());
            let is_own = number.is_some_and(|number: usize| number % PORTS.len() == own);
            while lines.next().is_some_and(|line| !line.is_empty()) {}
            let status = if is_own { "204 No Content" } else { "404 Not Found" };
            let mut stream = stream;
            let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
}

#[test]
fn users_are_found_by_a_request() {
    let ip = usher_tests::address::own();
    let https: Vec<SocketAddr> = [8441, 8442, 8443].map(|port| SocketAddr::new(ip, port)).to_vec();
    https.iter().enumerate().for_each(|(own, address)| answering(*address, own));
    let peers = "[directory]\non_miss = \"peers\"\npeers = { path = \"/users/{user}\", hosts = [\"d2.test\", \"d1.test\", \"d0.test\"] }\n";
    let (usher, dovecots) = three(peers, 30, &https);
    everybody_is_found(&usher, 30, "peers (HTTP look-up)");
    assert_eq!(dovecots.iter().map(Dovecot::failures).sum::<usize>(), 0);
    assert_eq!(logs_in(&usher, "nobody@example.com", PASSWORD), NO);
    // Requests find them too.
    assert_eq!(ask(usher.https(), get("/", &basic("u33@example.com"))).status, 404);
    assert_eq!(usher.shows("/v1/directory/u33@example.com")["host"], "d0.test");
    assert_eq!(ask(usher.https(), get("/", &basic("nobody@example.com"))).status, 401);
}

#[test]
#[ignore = "a proof: takes minutes"]
fn three_hundred_users_are_found_in_each_way() {
    let (_dir, peers) = master();
    let (usher, dovecots) = three(&peers, 300, &[]);
    everybody_is_found(&usher, 300, "peers (master login)");
    drop((usher, dovecots));
    let own = "[directory]\non_miss = \"peers\"\n[directory.peers]\nask = \"login\"\n";
    let (usher, dovecots) = three(own, 300, &[]);
    everybody_is_found(&usher, 300, "peers (own login)");
    wait_for_failures(&dovecots, 600);
    drop((usher, dovecots));
    let ip = usher_tests::address::own();
    let https: Vec<SocketAddr> = [8441, 8442, 8443].map(|port| SocketAddr::new(ip, port)).to_vec();
    https.iter().enumerate().for_each(|(own, address)| answering(*address, own));
    let by_http = "[directory]\non_miss = \"peers\"\npeers = { path = \"/users/{user}\" }\n";
    let (usher, dovecots) = three(by_http, 300, &https);
    everybody_is_found(&usher, 300, "peers (HTTP look-up)");
    assert_eq!(dovecots.iter().map(Dovecot::failures).sum::<usize>(), 0);
}

/// An IMAP server that answers each login with what `answer` says.
fn scripted(address: SocketAddr, answer: impl Fn(&str) -> String + Send + 'static) {
    let listener = TcpListener::bind(address).unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(b"* OK [CAPABILITY IMAP4rev1] ready\r\n");
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            for line in lines {
                let tag = line.split(' ').next().unwrap_or_default();
                let reply = match line.contains(" LOGIN ") {
                    true => format!("{tag} {}\r\n", answer(&line)),
                    false => format!("* CAPABILITY IMAP4rev1\r\n{tag} OK done\r\n"),
                };
                if stream.write_all(reply.as_bytes()).is_err() {
                    break;
                }
            }
        }
    });
}

#[test]
fn referrals_are_followed_to_hosts_that_are_configured_and_learnt() {
    let setup = Setup::new().server("login_wait = \"300ms\"\noutage_reply = \"no\"");
    let at = [10145, 10146, 10147, 10148, 10149].map(|port| setup.at(port));
    let refer = |to: String| move |_: &str| format!("NO [REFERRAL imap://x@{to}/] Not here.");
    scripted(at[0], refer("h1.test".to_owned()));
    scripted(at[1], refer(at[2].to_string()));
    scripted(at[2], |line| match line.contains("loop") {
        true => "NO [REFERRAL imap://h0.test/] Not here.".to_owned(),
        false => match line.contains("secret") {
            true => "OK Welcome.".to_owned(),
            false => "NO [AUTHENTICATIONFAILED] Wrong.".to_owned(),
        },
    });
    scripted(at[3], refer("elsewhere.test".to_owned()));
    scripted(at[4], refer("h0.test".to_owned()));
    let mut setup = setup.section("[directory]\nlearn_referrals = false\n");
    for (number, address) in at.iter().enumerate() {
        setup = setup.host(&format!("h{number}.test"), *address, "tls = \"none\"", "");
    }
    let users = [
        ("anna@example.com", "h0.test"),
        ("loop@example.com", "h0.test"),
        ("lost@example.com", "h3.test"),
        ("far@example.com", "h4.test"),
    ];
    let usher = setup.users(&users).start();
    assert!(logs_in(&usher, "anna", "secret").starts_with("a OK"));
    usher.wait_for_log("the directory's entry is out of date");
    assert_eq!(usher.shows("/v1/directory/anna@example.com")["host"], "h0.test");
    assert_eq!(logs_in(&usher, "anna", "wrong"), NO);
    assert!(logs_in(&usher, "loop", "secret").starts_with("a NO [UNAVAILABLE]"));
    usher.wait_for_log("hosts refer to each other");
    // The host has refused it, and nobody else can be asked.
    assert_eq!(logs_in(&usher, "lost", "secret"), NO);
    usher.wait_for_log("refers to one that is not configured");
    // From h4 by h0 and h1 to h2 are three.
    assert!(logs_in(&usher, "far", "secret").starts_with("a OK"));
    usher.rewrite(|text| text.replace("learn_referrals = false", "learn_referrals = true"));
    usher.did(&["reload"]);
    assert!(logs_in(&usher, "anna", "secret").starts_with("a OK"));
    assert_eq!(usher.shows("/v1/directory/anna@example.com")["host"], "h2.test");
    assert_eq!(usher.shows("/v1/directory/anna@example.com")["set_by"], "referral of h0.test");
}

#[test]
fn how_hosts_are_asked_has_to_be_said() {
    for (keys, says) in [
        ("on_miss = \"peers\"", "has no `peers`"),
        ("on_miss = \"peers\"\npeers = {}", "has no `ask`"),
        ("on_miss = \"peers\"\npeers = { ask = \"http\" }", "has no `path`"),
        ("on_miss = \"peers\"\npeers = { path = \"users\" }", "not a path with a user in it"),
        ("on_miss = \"peers\"\npeers = { master_user = \"admin\" }", "has no `master_password_file`"),
        (
            "on_miss = \"peers\"\npeers = { ask = \"login\", hosts = [\"x.test\"] }",
            "there is no [[instance_host]]",
        ),
    ] {
        let setup = Setup::new().section(&format!("[directory]\n{keys}"));
        let config = setup.write();
        let output = command(&["check", "--config", config.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{keys}");
        assert!(said.contains(says), "{keys}: {said}");
    }
}
