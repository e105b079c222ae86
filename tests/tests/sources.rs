//! Directories that sites have already: each kind by its real server, with one set of questions, and with everything that
//! can go wrong on the way to it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // helpers of tests fail by panicking

use rustix::process::Signal;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use usher_tests::archive::{Archive, Event, Options};
use usher_tests::client::Client;
use usher_tests::deadline::DEADLINE;
use usher_tests::runtime::archive;
use usher_tests::store::{Door, Kind, Mode, Store};
use usher_tests::usher::{Setup, Usher};

const REFUSED: &str = "a NO [AUTHENTICATIONFAILED] Authentication failed.";
/// Who is on which host, and is asked about after everything that goes wrong.
const HOME: [(&str, usize); 2] = [("anna@example.com", 0), ("berta@example.com", 1)];
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

struct Site {
    usher: Usher,
    store: Store,
    door: Door,
    archives: [Arc<Archive>; 2],
    addresses: [String; 2],
}

impl Site {
    fn new(kind: Kind) -> Self {
        Self::with(kind, "")
    }

    fn with(kind: Kind, more: &str) -> Self {
        let setup =
            Setup::new().server("login_wait = \"300ms\"\noutage_reply = \"no\"\ndrain_deadline = \"1s\"");
        let hosts = [("one.test", setup.at(10143)), ("two.test", setup.at(10144))];
        let archives = hosts.map(|(name, at)| archive(Options::named(name), at));
        let (store, door_at) = (Store::start(kind, setup.at(15432)), setup.at(15433));
        let door = Door::open(door_at, store.address);
        let cache = "cache = { positive = \"100ms\", negative = \"100ms\" }\ndeadline = \"2s\"\n";
        // Nobody is another's master, so that every name is one.
        let setup = setup
            .environment("RUST_LOG", "info,usher_backends::sources=debug")
            .section("[login]\nmaster_separator = \"\"");
        let mut setup = setup.section(&format!("[directory]\n{cache}{more}{}", store.section(door_at)));
        for (name, at) in hosts {
            setup = setup.host(name, at, "tls = \"none\"", "");
        }
        if kind == Kind::Postgres {
            let config = setup.write();
            let made =
                usher_tests::usher::command(&["directory", "init", "--config", config.to_str().unwrap()]);
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
        let usher = setup.start();
        let addresses =
            hosts.map(|(name, at)| if kind == Kind::AuthHttp { at.to_string() } else { name.to_owned() });
        Self { usher, store, door, archives, addresses }
    }

    /// Everybody is where they are.
    fn filled(kind: Kind) -> Self {
        let site = Self::new(kind);
        for (user, at) in HOME {
            site.put(user, at);
        }
        site
    }

    fn put(&self, user: &str, at: usize) {
        self.store.put(user, &self.addresses[at]);
        self.archives.iter().for_each(|archive| archive.add_user(user, "secret"));
    }

    fn tries(&self, user: &str, password: &str) -> String {
        let mut client = Client::tls(self.usher.imaps());
        let quoted = user.replace('\\', "\\\\").replace('"', "\\\"");
        client.command(&format!("a LOGIN \"{quoted}\" {password}")).pop().unwrap()
    }

    /// Logs `user` in, and checks at which host.
    fn at_home(&self, user: &str, at: usize) {
        let said = self.tries(user, "secret");
        assert!(said.starts_with("a OK"), "{user}: {said}\n{}\n{}", self.usher.log(), self.store.log());
        let is_there = |archive: &Archive| archive.events().contains(&Event::LoggedIn(user.to_owned()));
        assert!(is_there(&self.archives[at]), "{user} is at the wrong host");
        assert!(!is_there(&self.archives[1 - at]), "{user} is at the wrong host");
    }

    /// Whoever is known logs in although the source is out, soon; whoever is not is told of an outage.
    fn survives(&self, what: &str) {
        let begun = Instant::now();
        for (user, at) in HOME {
            let one = Instant::now();
            self.at_home(user, at);
            println!("{:?}, {what}: {user} logs in within {:?}", self.store.kind, one.elapsed());
        }
        assert!(begun.elapsed() < DEADLINE / 4, "{what}: {:?}", begun.elapsed());
        let said = self.tries("stranger@example.com", "secret");
        assert!(said.starts_with("a NO [UNAVAILABLE]"), "{what}: {said}");
    }

    /// Somebody who is new is found.
    fn recovers(&self, what: &str, new: &str) {
        let begun = Instant::now();
        while !self.tries(new, "secret").starts_with("a OK") {
            assert!(begun.elapsed() < DEADLINE, "{what}: {}\n{}", self.usher.log(), self.store.log());
            thread::sleep(Duration::from_millis(50));
        }
        println!("{:?}, {what}: recovered within {:?}", self.store.kind, begun.elapsed());
    }
}

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
        site.archives.iter().for_each(|archive| archive.add_user("x@wide.test", "secret"));
        site.at_home("x@wide.test", 1);
    }
    // A host that usher does not have.
    site.store.put("lost@example.com", "elsewhere.test");
    assert!(site.tries("lost@example.com", "secret").starts_with("a NO [UNAVAILABLE]"));
    site.usher.wait_for_log("host=\"elsewhere.test\"");
    let told = site.usher.did(&["explain", "anna@example.com"]);
    assert!(told.contains(&format!("{}", source_of(kind))), "{told}");
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
    assert!(!site.usher.log().contains(usher_tests::store::SECRET));
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
