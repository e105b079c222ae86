//! Archives that move from host to host while their users are there.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use std::sync::Arc;
use std::thread;
use std::time::Duration;
use usher_tests::archive::{Archive, Event, Options};
use usher_tests::client::Client;
use usher_tests::dovecot::{Dovecot, Mode};
use usher_tests::http::{basic, connect, get};
use usher_tests::runtime::archive;
use usher_tests::scripted::Scripted;
use usher_tests::usher::{Setup, Usher};

/// usher in front of two archives that both know everybody; all are on `one`.
fn two() -> (Usher, [Arc<Archive>; 2]) {
    let setup = Setup::new().server("login_wait = \"20s\"\ndrain_deadline = \"1s\"");
    let (one, two) = (setup.at(10143), setup.at(10144));
    let archives = [("one.test", one), ("two.test", two)].map(|(name, at)| archive(Options::named(name), at));
    for archive in &archives {
        for user in ["anna@example.com", "berta@example.com", "carl@other.test", "dora@other.test"] {
            archive.add_user(user, "secret");
        }
    }
    let keys = "login_as = \"canonical\"";
    let setup =
        setup.host("one.test", one, "tls = \"none\"", keys).host("two.test", two, "tls = \"none\"", keys);
    let users = [
        ("anna@example.com", "one.test"),
        ("berta@example.com", "one.test"),
        ("@other.test", "one.test"),
        ("dora@other.test", "one.test"),
    ];
    (setup.users(&users).start(), archives)
}

fn logged_in(usher: &Usher, user: &str) -> Client {
    let mut client = Client::tls(usher.imaps());
    client.login(user, "secret");
    client
}

fn let_in(archive: &Archive) -> Vec<String> {
    let name = |event| match event {
        Event::LoggedIn(name) => Some(name),
        _ => None,
    };
    archive.events().into_iter().filter_map(name).collect()
}

fn host_of(usher: &Usher, user: &str) -> String {
    usher.shows(&format!("/v1/directory/{user}"))["host"].as_str().unwrap().to_owned()
}

#[test]
fn a_user_moves_and_sessions_end_with_a_goodbye() {
    let (usher, [one, two]) = two();
    usher.user(&["set", "anna@example.com", "--attribute", "city=Bonn"]);
    let (mut anna, mut berta) = (logged_in(&usher, "anna"), logged_in(&usher, "berta"));
    let said = usher.did(&["move", "user", "anna@example.com", "two.test", "--wait"]);
    assert_eq!(said, "anna@example.com: moved from one.test to two.test; 1 sessions ended\n");
    let goodbye = anna.rest().0;
    assert!(goodbye.starts_with("* BYE ") && goodbye.ends_with("\r\n"), "{goodbye:?}");
    usher.wait_for_log("cause=\"moved\"");
    assert!(berta.command("n NOOP").pop().unwrap().starts_with("n OK"), "nobody else is disturbed");
    logged_in(&usher, "anna");
    assert_eq!((let_in(&one).len(), let_in(&two)), (2, vec!["anna@example.com".to_owned()]));
    assert!(usher.did(&["user", "get", "anna@example.com"]).contains("city = Bonn"));
    // There is nothing to move.
    let again = usher.cli(&["move", "user", "anna@example.com", "two.test"]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("is on two.test already"));
    for (key, host, why) in
        [("nobody@example.com", "two.test", "not on any host"), ("anna", "three.test", "no instance host")]
    {
        let refused = usher.cli(&["move", "user", key, host]);
        assert!(String::from_utf8_lossy(&refused.stderr).contains(why), "{refused:?}");
    }
}

#[test]
fn a_domain_moves_without_those_who_have_an_entry() {
    let (usher, [_one, two]) = two();
    let (mut carl, mut dora) = (logged_in(&usher, "carl@other.test"), logged_in(&usher, "dora@other.test"));
    usher.did(&["move", "domain", "other.test", "two.test"]);
    assert!(carl.rest().0.starts_with("* BYE "));
    assert!(dora.command("n NOOP").pop().unwrap().starts_with("n OK"));
    logged_in(&usher, "carl@other.test");
    assert_eq!(let_in(&two), ["carl@other.test"]);
    // One of its users gets an entry by moving.
    usher.did(&["move", "user", "carl@other.test", "one.test"]);
    assert_eq!(
        (host_of(&usher, "carl@other.test"), host_of(&usher, "@other.test")),
        ("one.test".into(), "two.test".into())
    );
}

#[test]
fn logins_wait_while_a_command_runs_and_its_failure_undoes_the_move() {
    let (usher, [one, two]) = two();
    let dir = usher.config().parent().unwrap().to_owned();
    let (begun, go) = (dir.join("begun"), dir.join("go"));
    let command = format!(
        "test \"$USHER_KEY $USHER_FROM $USHER_TO\" = 'anna@example.com one.test two.test' || exit 9; \
         touch {begun:?}; while ! test -e {go:?}; do sleep 0.02; done"
    );
    thread::scope(|scope| {
        let moving = scope.spawn(|| usher.did(&["move", "user", "anna", "two.test", "--run", &command]));
        while !begun.exists() {
            thread::sleep(Duration::from_millis(5));
        }
        let mut waiting = Client::tls(usher.imaps());
        waiting.send("a LOGIN anna secret\r\n");
        usher.wait_until("/v1/sessions", |shown| shown["matching"] == 1);
        assert_eq!((let_in(&one).len(), let_in(&two).len()), (0, 0));
        std::fs::write(&go, "").unwrap();
        assert!(waiting.answer("a").pop().unwrap().starts_with("a OK"));
        moving.join().unwrap();
    });
    assert_eq!((let_in(&one).len(), let_in(&two).len()), (0, 1));
    let failed = usher.cli(&["move", "user", "anna", "one.test", "--run", "exit 3"]);
    let said = String::from_utf8_lossy(&failed.stderr);
    assert!(!failed.status.success() && said.contains("undone") && said.contains("exit status: 3"), "{said}");
    assert_eq!(host_of(&usher, "anna"), "two.test");
    logged_in(&usher, "anna");
    assert_eq!(let_in(&two).len(), 2);
}

#[test]
fn a_test_login_decides() {
    let (usher, [_one, two]) = two();
    two.add_user("tester", "test-password");
    let password = usher.config().with_file_name("password");
    let file = password.to_str().unwrap().to_owned();
    let check = |written: &str| {
        std::fs::write(&password, written).unwrap();
        usher.cli(&["move", "user", "anna", "two.test", "--check-login", "tester", "--password-file", &file])
    };
    let refused = check("wrong\n");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("the test login at two.test fails: refused with AUTHENTICATIONFAILED"), "{said}");
    assert_eq!(host_of(&usher, "anna"), "one.test");
    logged_in(&usher, "anna");
    assert!(check("test-password\n").status.success());
    assert_eq!(host_of(&usher, "anna"), "two.test");
    assert!(!usher.log().contains("test-password"));
    // A host that is out of service is not fit.
    usher.did(&["stop", "one.test"]);
    let unfit = usher.cli(&["move", "user", "anna", "one.test"]);
    assert!(String::from_utf8_lossy(&unfit.stderr).contains("its imap is stopped"), "{unfit:?}");
}

#[test]
fn a_hold_on_a_domain_is_on_those_whom_it_places() {
    let (usher, [one, _two]) = two();
    usher.user(&["hold", "@other.test"]);
    logged_in(&usher, "dora@other.test");
    let mut waiting = Client::tls(usher.imaps());
    waiting.send("a LOGIN carl@other.test secret\r\n");
    usher.wait_until("/v1/sessions", |shown| shown["matching"] == 1);
    assert_eq!(let_in(&one), ["dora@other.test"]);
    usher.user(&["release", "@other.test"]);
    assert!(waiting.answer("a").pop().unwrap().starts_with("a OK"));
}

#[test]
fn a_drained_host_can_be_emptied() {
    let (usher, [_one, two]) = two();
    let mut busy = logged_in(&usher, "anna");
    busy.send("b APPEND INBOX {10}\r\n");
    assert!(busy.line().starts_with("+ "));
    usher.did(&["drain", "one.test", "--deadline", "1h"]);
    // It is in the middle of a command, and would stay for an hour.
    usher.did(&["move", "user", "anna", "two.test"]);
    logged_in(&usher, "anna");
    assert_eq!(let_in(&two), ["anna@example.com"]);
}

#[test]
fn a_move_is_only_its_movers_to_end() {
    let (usher, _archives) = two();
    let dir = usher.config().parent().unwrap().to_owned();
    let (begun, go) = (dir.join("begun"), dir.join("go"));
    let command = format!("touch {begun:?}; while ! test -e {go:?}; do sleep 0.02; done");
    thread::scope(|scope| {
        let moving = scope.spawn(|| usher.did(&["move", "user", "anna", "two.test", "--run", &command]));
        while !begun.exists() {
            thread::sleep(Duration::from_millis(5));
        }
        for what in ["release", "hold"] {
            let refused = usher.user(&[what, "anna@example.com"]);
            assert!(String::from_utf8_lossy(&refused.stderr).contains("is being moved"), "{refused:?}");
        }
        let again = usher.cli(&["move", "user", "anna", "two.test"]);
        assert!(String::from_utf8_lossy(&again.stderr).contains("are held already"), "{again:?}");
        std::fs::write(&go, "").unwrap();
        moving.join().unwrap();
    });
    assert_eq!(host_of(&usher, "anna"), "two.test");
    let (status, _) = usher.ask("POST", "/v1/moves/anna@example.com/finish", None).unwrap();
    assert_eq!(status, 404, "it is over");
}

#[test]
fn a_websocket_ends_with_a_frame_between_two_frames() {
    let setup = Setup::new().https("");
    let at = [8441, 8442].map(|port| setup.at(port));
    let _backend = Scripted::start(at[0], |mut conn| {
        while conn.line().is_some_and(|line| !line.is_empty()) {}
        conn.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
        // A frame, and the beginning of another.
        conn.send(b"\x82\x03abc\x82\x05de");
        conn.line();
        conn.send(b"fgh\x82\x03ijk");
        conn.rest();
    });
    let usher = setup
        .section("[https]")
        .web_host(
            "one.test",
            at[0],
            "tls = \"none\"",
            "health = { imap = { probe = \"none\" }, http = { probe = \"none\" } }",
        )
        .web_host(
            "two.test",
            at[1],
            "tls = \"none\"",
            "health = { imap = { probe = \"none\" }, http = { probe = \"none\" } }",
        )
        .users(&[("anna@example.com", "one.test")])
        .start();
    let mut client = connect(usher.https());
    client.send(get(
        "/",
        &format!("Connection: Upgrade\r\nUpgrade: websocket\r\n{}", basic("anna@example.com")),
    ));
    assert_eq!(client.one_answer(true).status, 101);
    assert_eq!(client.octets(9), b"\x82\x03abc\x82\x05de");
    thread::scope(|scope| {
        let moving = scope.spawn(|| usher.did(&["move", "user", "anna@example.com", "two.test"]));
        usher.wait_until("/v1/moves", |shown| shown["moves"][0]["phase"] == "held");
        client.send("go\n");
        // The frame is finished, the goodbye is said, and what would follow is not sent.
        assert_eq!(client.octets(7), b"fgh\x88\x02\x03\xe9");
        assert_eq!(client.rest().0, "");
        moving.join().unwrap();
    });
}

/// Kills usher while it moves somebody, until that was so many times in the middle of a move; each time the next start
/// finishes or undoes the move, and says so.
fn killed(times: usize) {
    let (mut usher, archives) = two();
    let (mut finished, mut undone) = (0, 0);
    for round in 0.. {
        if finished + undone >= times {
            break;
        }
        assert!(round < 20 * times, "{finished} finished, {undone} undone");
        let (from, to) = match host_of(&usher, "anna").as_str() {
            "one.test" => ("one.test", "two.test"),
            _ => ("two.test", "one.test"),
        };
        let session = (round % 2 == 0).then(|| logged_in(&usher, "anna"));
        let before = usher.log().len();
        let socket = usher.socket();
        let order = serde_json::json!({ "to": to });
        thread::scope(|scope| {
            let asking = scope.spawn(|| {
                usher_tests::usher::ask(&socket, "POST", "/v1/moves/anna@example.com", Some(&order))
            });
            // From before it begins until after it ends.
            thread::sleep(Duration::from_micros(400 * (round as u64 % 40)));
            usher.kill();
            let _ = asking.join();
        });
        drop(session);
        usher.restart();
        let now = host_of(&usher, "anna");
        let log = usher.log()[before..].to_owned();
        let told =
            log.lines().find(|line| line.contains("a move is settled whose end was not known or not kept"));
        if let Some(told) = told {
            let outcome = if now == to { "done" } else { "undone" };
            assert!(told.contains(&format!("outcome=\"{outcome}\"")), "{told} {now}");
            if outcome == "done" { finished += 1 } else { undone += 1 }
        }
        assert!(now == from || now == to);
        assert!(usher.shows("/v1/holds")["keys"].as_array().unwrap().is_empty());
        let at = usize::from(now == "two.test");
        let logins = let_in(&archives[at]).len();
        logged_in(&usher, "anna");
        assert_eq!(let_in(&archives[at]).len(), logins + 1, "round {round}: served by {now}");
    }
    println!("{times} kills in the middle: {finished} moves finished, {undone} undone by the next start");
}

#[test]
fn a_crash_leaves_nothing_half_moved() {
    killed(6);
}

#[test]
#[ignore = "a proof: takes minutes"]
fn two_hundred_crashes_leave_nothing_half_moved() {
    killed(200);
}

/// Moves and logins of some users at random. Each login is served by a host that the directory named at some moment
/// between its beginning and its end, and no session stays on a host that its user has left.
fn interleaved(moves: usize, movers: usize) {
    let (usher, archives) = two();
    let users: Vec<String> = (0..movers * 4).map(|at| format!("u{at}@example.com")).collect();
    for user in &users {
        archives.iter().for_each(|archive| archive.add_user(user, "secret"));
        let host = serde_json::json!({ "host": "one.test" });
        assert_eq!(usher.ask("PUT", &format!("/v1/directory/{user}"), Some(&host)).unwrap().0, 200);
    }
    let done = std::sync::atomic::AtomicUsize::new(0);
    let logins = std::sync::atomic::AtomicUsize::new(0);
    let relaxed = std::sync::atomic::Ordering::Relaxed;
    thread::scope(|scope| {
        for mine in users.chunks(4) {
            let (usher, done, logins) = (&usher, &done, &logins);
            // Of each user: how often it has begun to move, and how often that was over.
            let counts: Arc<Vec<[std::sync::atomic::AtomicUsize; 2]>> =
                Arc::new(mine.iter().map(|_| Default::default()).collect());
            let seen = counts.clone();
            scope.spawn(move || {
                for round in 0.. {
                    if done.fetch_add(1, relaxed) >= moves {
                        return;
                    }
                    let at = round * 7 % mine.len();
                    let to = if (round / mine.len()) % 2 == 0 { "two.test" } else { "one.test" };
                    counts[at][0].fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    let order = serde_json::json!({ "to": to });
                    let (status, said) =
                        usher.ask("POST", &format!("/v1/moves/{}", mine[at]), Some(&order)).unwrap();
                    assert!(status == 200 || said["error"].as_str().unwrap().contains("already"), "{said}");
                    counts[at][1].fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                }
            });
            scope.spawn(move || {
                let mut at = 0;
                while done.load(relaxed) < moves {
                    at = (at + 1) % mine.len();
                    let counted = |which: usize| seen[at][which].load(std::sync::atomic::Ordering::SeqCst);
                    // Moves that were over before, and had begun after: what the directory may have said between.
                    let before = counted(1);
                    let mut client = Client::tls(usher.imaps());
                    let all = "b SELECT INBOX\r\nc FETCH 1 BODY.PEEK[]\r\nd LOGOUT\r\n";
                    client.send(format!("a LOGIN {} secret\r\n{all}", mine[at]));
                    let said = client.rest().0;
                    let after = counted(0);
                    assert!(said.starts_with("a OK") || said.starts_with("* BYE"), "{said}");
                    if let Some(rest) = said.split("is held by ").nth(1) {
                        logins.fetch_add(1, relaxed);
                        let is_two = rest.starts_with("two.test");
                        let may = (before..=after).any(|moves| (moves % 2 == 1) == is_two);
                        assert!(may, "{} {before}..={after}: {said}", mine[at]);
                    }
                }
            });
        }
    });
    // Everybody is where the directory says.
    for session in usher.shows("/v1/sessions?limit=100000")["sessions"].as_array().unwrap() {
        let user = session["user"].as_str().unwrap();
        assert_eq!(session["host"].as_str().unwrap(), host_of(&usher, user), "{user}");
    }
    println!("{moves} moves, {} logins meanwhile", logins.load(relaxed));
}

#[test]
fn moves_and_logins_at_random() {
    interleaved(300, 4);
}

#[test]
#[ignore = "a proof: takes many minutes"]
fn a_hundred_thousand_moves_and_logins_at_random() {
    interleaved(100_000, 16);
}

/// Moves so many users from one Dovecot to another while some of them are logged in.
fn many(users: usize, sessions: usize, rate: usize) {
    let setup = Setup::new().server("login_wait = \"20s\"\ndrain_deadline = \"1s\"");
    let at = [setup.at(10145), setup.at(10146)];
    let [one, two] = [("one.test", at[0]), ("two.test", at[1])]
        .map(|(name, address)| Dovecot::start(name, address, Mode::Plain));
    let name = |at: usize| format!("u{at}@example.com");
    let lines: String = (0..users).map(|at| format!("{},one.test\n", name(at))).collect();
    for at in 0..sessions {
        one.add_user(&name(at));
        two.add_user(&name(at));
    }
    let imap = "tls = \"none\", client_address = \"proxy-v2\"";
    let setup = setup.host("one.test", at[0], imap, "").host("two.test", at[1], imap, "");
    let usher = setup.start();
    let file = usher.config().with_file_name("users.csv");
    std::fs::write(&file, lines).unwrap();
    assert!(usher.user(&["import", file.to_str().unwrap()]).status.success());
    let mut clients: Vec<_> = (0..sessions).map(|at| logged_in(&usher, &name(at))).collect();
    let begun = std::time::Instant::now();
    // On a terminal, to see the bar.
    let command = format!(
        "{} move --config {} --from one.test --to two.test --rate {rate} --wait",
        usher_tests::usher::binary().display(),
        usher.config().display()
    );
    let output = std::process::Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .env("COLUMNS", "80")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let all = format!("moved {users} of {users} keys from one.test to two.test; 0 could not be moved");
    assert!(output.status.success() && said.contains(&all), "{said}: {}", usher.log());
    assert!(said.contains("moving ["), "{said}");
    println!("{users} users in {:?}, {sessions} of them logged in", begun.elapsed());
    for (at, client) in clients.iter_mut().enumerate() {
        let goodbye = client.rest().0;
        assert!(goodbye.starts_with("* BYE "), "{at}: {goodbye:?}");
        let mut again = logged_in(&usher, &name(at));
        let held = again.command("b SELECT INBOX");
        assert!(held.last().unwrap().starts_with("b OK"));
        assert!(again.command("c FETCH 1 BODY.PEEK[TEXT]").join(" ").contains("This is two.test"), "{at}");
    }
    assert!(usher.shows("/v1/directory?host=one.test")["entries"].as_array().unwrap().is_empty());
    // Back again, as many as match.
    let back =
        usher.did(&["move", "--from", "two.test", "--to", "one.test", "--match", "u1@*", "--run", "true"]);
    assert!(back.starts_with("moved 1 of 1 keys"), "{back}");
    let unfit = usher.cli(&["move", "--from", "two.test", "--to", "nowhere.test"]);
    assert!(!unfit.status.success());
}

#[test]
fn everybody_moves_from_one_dovecot_to_another() {
    many(300, 10, 1000);
}

#[test]
#[ignore = "a proof: takes minutes"]
fn ten_thousand_move_from_one_dovecot_to_another() {
    many(10_000, 200, 200);
}
