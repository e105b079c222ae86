//! Moves whose end usher cannot know when it should: nobody is sent to either host until the directory has said which.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use std::thread;
use std::time::{Duration, Instant};
use usher_tests::deadline::DEADLINE;
use usher_tests::store::{Kind, Mode, Site};
use usher_tests::usher::command;

/// usher is killed between the hold and the change, one of which has got through, and starts before PostgreSQL does.
#[test]
fn moves_that_were_cut_short_end_once_postgresql_can_be_asked() {
    let mut site = Site::filled(Kind::Postgres);
    let dir = site.store.dir.path().to_owned();
    let go = dir.join("go");
    let config = site.usher.config().to_str().unwrap().to_owned();
    thread::scope(|scope| {
        for (user, to) in [("anna@example.com", "two.test"), ("berta@example.com", "one.test")] {
            let begun = dir.join(user);
            let wait = format!("touch {begun:?}; while ! test -e {go:?}; do sleep 0.02; done");
            let config = &config;
            scope.spawn(move || command(&["move", "user", user, to, "--run", &wait, "--config", config]));
            let until = Instant::now() + DEADLINE;
            while !begun.exists() {
                assert!(Instant::now() < until, "{}", site.usher.log());
                thread::sleep(Duration::from_millis(5));
            }
        }
        site.usher.kill();
        std::fs::write(&go, "").unwrap();
    });
    site.store.put("berta@example.com", "one.test");
    site.store.kill();
    site.usher.restart();
    assert_eq!(site.usher.shows("/v1/holds")["keys"].as_array().unwrap().len(), 2);
    // Nobody knows where she is: an operator does not either.
    assert!(!site.usher.cli(&["user", "release", "anna@example.com"]).status.success());
    site.store.launch();
    site.usher.wait_until("/v1/holds", |shown| shown["keys"].as_array().unwrap().is_empty());
    for (user, outcome) in [("anna", "undone"), ("berta", "done")] {
        let moved = format!("a move is settled whose end was not known or not kept key={user}@example.com");
        let told = site.usher.wait_for_log(&moved);
        assert!(told.contains(&format!("outcome=\"{outcome}\"")), "{told}");
        site.at_home(&format!("{user}@example.com"), 0);
    }
}

/// Whoever changes an entry waits in its commit for as long as there is a row in `gate`.
const GATE: &str = "CREATE TABLE gate (is_closed boolean);
    GRANT SELECT ON gate TO usher;
    CREATE FUNCTION pass_gate() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        WHILE EXISTS (SELECT FROM gate) LOOP PERFORM pg_sleep(0.02); END LOOP;
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER gate AFTER INSERT OR UPDATE ON usher.entry DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION pass_gate();";
const WAITING: &str = "FROM pg_stat_activity WHERE query = 'COMMIT' AND state = 'active'";

/// The way to PostgreSQL is cut while it commits. Then it goes on with that, or gives it up.
#[test]
fn a_move_whose_commit_is_not_answered_is_neither_done_nor_undone_until_postgresql_says_so() {
    let site = Site::filled(Kind::Postgres);
    site.store.sql(GATE);
    for (user, to, is_given_up, outcome) in
        [("anna@example.com", "two.test", false, "done"), ("berta@example.com", "one.test", true, "undone")]
    {
        site.store.sql("INSERT INTO gate VALUES (true)");
        let said = thread::scope(|scope| {
            let moving = scope.spawn(|| site.usher.cli(&["move", "user", user, to]));
            let until = Instant::now() + DEADLINE;
            while site.store.sql(&format!("SELECT count(*) {WAITING}")).trim() != "1" {
                assert!(Instant::now() < until, "{}", site.usher.log());
                thread::sleep(Duration::from_millis(5));
            }
            site.door.be(Mode::Cut);
            site.door.close_all();
            moving.join().unwrap()
        });
        let told = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(!said.status.success() && told.contains("wait until that is known"), "{told}");
        assert!(site.tries(user, "secret").starts_with("a NO [UNAVAILABLE]"));
        let held = site.usher.cli(&["user", "release", user]);
        assert!(!held.status.success(), "{}", String::from_utf8_lossy(&held.stdout));
        if is_given_up {
            site.store.sql(&format!("SELECT pg_terminate_backend(pid) {WAITING}"));
        }
        site.door.be(Mode::Open);
        // It is asked, and if it has not been given up, it has not come to an end yet.
        assert!(is_given_up || site.tries(user, "secret").starts_with("a NO [UNAVAILABLE]"));
        site.store.sql("DELETE FROM gate");
        site.usher.wait_until("/v1/holds", |shown| shown["keys"].as_array().unwrap().is_empty());
        let settled = format!("a move is settled whose end was not known or not kept key={user}");
        let told = site.usher.wait_for_log(&settled);
        assert!(told.contains(&format!("outcome=\"{outcome}\"")), "{told}");
        site.at_home(user, 1);
        let moves = site.usher.shows("/v1/moves");
        let of_user = moves["moves"].as_array().unwrap().iter().find(|one| one["key"] == user);
        assert_eq!(of_user.unwrap()["phase"], outcome, "{moves:#}");
    }
}
