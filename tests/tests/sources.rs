//! Directories that sites have already: each kind by its real server, with one set of questions, and with everything that
//! can go wrong on the way to it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use rustix::process::Signal;
use std::sync::Arc;
use usher_tests::store::{HOME, Kind, Mode, Namespace, SECRET, Site};

const REFUSED: &str = "a NO [AUTHENTICATIONFAILED] Authentication failed.";
/// Names that mean something to one kind of directory or another, all on the second host.
const STRANGE: [&str; 5] = [
    "o'hara@example.com",
    "a*b@example.com",
    "a)(uid=*@example.com",
    "per%20cent@example.com",
    "{user}{domain}@example.com",
];
/// Names that nobody has, unless somebody takes them for something else.
const NOBODY: [&str; 5] = [
    "nobody@example.com",
    "*@example.com",
    "' or '1'='1@example.com",
    "a\\2ab@example.com",
    "../users/anna@example.com",
];

fn answers(kind: Kind) {
    let site = Site::filled(kind);
    for (user, at) in HOME {
        site.at_home(user, at);
    }
    for user in STRANGE {
        site.put(user, 1);
        site.at_home(user, 1);
    }
    for user in NOBODY {
        assert_eq!(site.tries(user, "secret"), REFUSED, "{user}");
    }
    if site.store.has_domains() {
        site.put("@wide.test", 1);
        site.let_in("x@wide.test");
        site.at_home("x@wide.test", 1);
    }
    // A host that usher does not have.
    site.store.put("lost@example.com", "elsewhere.test");
    assert!(site.tries("lost@example.com", "secret").starts_with("a NO [UNAVAILABLE]"));
    site.usher.wait_for_log("host=\"elsewhere.test\"");
    let told = site.usher.did(&["explain", "anna@example.com"]);
    assert!(told.contains(source_of(kind)), "{told}");
    let shown = site.usher.shows("/v1/sources");
    assert_eq!(shown["sources"][0]["error"], serde_json::Value::Null, "{shown:#}");
    assert_eq!(shown["sources"][0]["is_writable"], kind == Kind::Postgres);
    assert!(shown["sources"][0]["remembered"].as_u64().unwrap() >= 1);
}

fn source_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Postgres | Kind::PostgresQuery => "postgres",
        Kind::Ldap => "ldap",
        Kind::Redis | Kind::RedisHash => "redis",
        Kind::Json | Kind::AuthHttp => "http",
    }
}

fn whatever_goes_wrong(kind: Kind) {
    let mut site = Site::filled(kind);
    for (user, at) in HOME {
        site.at_home(user, at);
    }
    let mut new = (0..).map(|at| format!("new{at}@example.com"));
    let mut next = |site: &Site| {
        let user = new.next().unwrap();
        site.put(&user, 0);
        user
    };
    for mode in [Mode::Cut, Mode::Garbage] {
        let user = next(&site);
        site.door.be(mode);
        site.survives(&format!("{mode:?}"));
        site.door.be(Mode::Open);
        site.recovers(&format!("{mode:?}"), &user);
    }
    let user = next(&site);
    site.door.be(Mode::Slow);
    for (user, at) in HOME {
        site.at_home(user, at);
    }
    site.door.be(Mode::Open);
    site.recovers("Slow", &user);
    let user = next(&site);
    site.store.freeze();
    site.survives("frozen");
    let shown = site.usher.shows("/v1/status");
    assert!(shown["sources"][0]["error"].is_string(), "{shown:#}");
    assert!(site.usher.did(&["status"]).contains("is out"));
    site.store.thaw();
    site.recovers("frozen", &user);
    let user = next(&site);
    site.store.kill();
    site.door.close_all();
    site.survives("killed");
    site.store.launch();
    site.recovers("killed", &user);
    let user = next(&site);
    site.store.forget_secret();
    site.door.close_all();
    site.survives("wrong password");
    assert!(!site.usher.log().contains(SECRET));
    site.store.remember_secret();
    site.recovers("wrong password", &user);
    // Who was known before usher was started.
    site.usher.did(&["explain", "anna@example.com"]);
    site.store.kill();
    site.usher.signal(Signal::TERM);
    site.usher.wait();
    site.usher.restart();
    site.survives("down at start");
    site.store.launch();
    let user = next(&site);
    site.recovers("down at start", &user);
}

macro_rules! for_each_kind {
    ($($module:ident: $kind:expr),* $(,)?) => {$(
        mod $module {
            use super::*;

            #[test]
            fn answers_as_the_others_do() {
                answers($kind);
            }

            #[test]
            fn is_missed_by_nobody_who_is_known() {
                whatever_goes_wrong($kind);
            }
        }
    )*};
}

for_each_kind! {
    postgres: Kind::Postgres,
    postgres_query: Kind::PostgresQuery,
    ldap: Kind::Ldap,
    redis: Kind::Redis,
    redis_hash: Kind::RedisHash,
    json: Kind::Json,
    auth_http: Kind::AuthHttp,
}

/// Not by a program that takes what comes and passes nothing on, as above, but by the system itself.
#[test]
fn a_cable_that_is_pulled_is_missed_by_nobody_who_is_known() {
    let Some(cable) = Namespace::new().map(Arc::new) else {
        eprintln!("not run: whoever runs this may not make networks");
        return;
    };
    let kinds = [Kind::Postgres, Kind::PostgresQuery, Kind::Ldap, Kind::Redis, Kind::Json, Kind::AuthHttp];
    for kind in kinds {
        let site = Site::beyond(&cable, kind);
        for (user, at) in HOME {
            site.at_home(user, at);
        }
        site.put("carl@example.com", 0);
        cable.pull();
        site.survives("cable pulled");
        assert!(cable.plug_in());
        site.recovers("cable pulled", "carl@example.com");
    }
}
