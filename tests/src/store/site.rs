//! usher with two hosts, and a directory that is elsewhere, on the way to which things can go wrong.

use super::{Door, Kind, Namespace, Store};
use crate::archive::{Archive, Event, Options};
use crate::client::Client;
use crate::deadline::DEADLINE;
use crate::runtime::archive;
use crate::usher::{Setup, Usher, command};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Who is on which host, and is asked about after everything that goes wrong.
pub const HOME: [(&str, usize); 2] = [("anna@example.com", 0), ("berta@example.com", 1)];

/// So that nothing that was said is used without asking.
pub const FORGETFUL: &str = "cache = { positive = \"100ms\", negative = \"100ms\" }\ndeadline = \"2s\"\n";

/// The port of the way to the directory.
const DOOR: u16 = 15433;

pub struct Site {
    pub usher: Usher,
    pub store: Store,
    pub door: Door,
    pub archives: [Arc<Archive>; 2],
    /// How the store names the two.
    pub addresses: [String; 2],
}

impl Site {
    pub fn new(kind: Kind) -> Self {
        Self::with(kind, FORGETFUL, "", |section| section)
    }

    /// `cache` are keys of `[directory]`, `more` sections; `change` may change the section of the store.
    pub fn with(kind: Kind, cache: &str, more: &str, change: impl FnOnce(String) -> String) -> Self {
        let setup = Setup::new();
        let store = Store::start(kind, setup.at(15432));
        Self::around(setup, store, cache, more, change)
    }

    /// One whose directory is reached by TLS, from the beginning or after a word.
    pub fn secure(kind: Kind, starttls: bool) -> Self {
        let setup = Setup::new();
        let store = Store::start(kind, setup.at(15432));
        let section = match starttls {
            // The certificate is for the address that the door does not change.
            true => store.trusting(&format!("{}\nstarttls = true", store.section(setup.at(DOOR)))),
            false => store.secure_section(),
        };
        Self::around(setup, store, FORGETFUL, "", |_| section)
    }

    /// One whose directory is in another network.
    pub fn beyond(namespace: &Arc<Namespace>, kind: Kind) -> Self {
        let store = Store::start_in(Some(namespace.clone()), kind, SocketAddr::new(namespace.inside, 15432));
        let secure = store.secure_section();
        let site = Self::around(Setup::new(), store, FORGETFUL, "", |_| secure);
        site.fill();
        site
    }

    fn around(
        setup: Setup,
        store: Store,
        cache: &str,
        more: &str,
        change: impl FnOnce(String) -> String,
    ) -> Self {
        let kind = store.kind;
        let setup = setup.server("login_wait = \"300ms\"\noutage_reply = \"no\"\ndrain_deadline = \"1s\"");
        let hosts = [("one.test", setup.at(10143)), ("two.test", setup.at(10144))];
        let archives = hosts.map(|(name, at)| archive(Options::named(name), at));
        let door_at = setup.at(DOOR);
        let door = Door::open(door_at, store.address);
        // Nobody is another's master, so that every name is one.
        let setup = setup
            .environment("RUST_LOG", "info,usher_backends::sources=debug")
            .imap("plaintext_from = [\"127.0.0.0/8\"]")
            .section("[login]\nmaster_separator = \"\"")
            .section(more);
        let mut setup = setup.section(&format!("[directory]\n{cache}{}", change(store.section(door_at))));
        for (name, at) in hosts {
            setup = setup.host(name, at, "tls = \"none\"", "");
        }
        if kind == Kind::Postgres {
            let config = setup.write();
            let made = command(&["directory", "init", "--config", config.to_str().unwrap()]);
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
        let usher = setup.start();
        let addresses =
            hosts.map(|(name, at)| if kind == Kind::AuthHttp { at.to_string() } else { name.to_owned() });
        Self { usher, store, door, archives, addresses }
    }

    /// Everybody is where they are.
    pub fn filled(kind: Kind) -> Self {
        let site = Self::new(kind);
        site.fill();
        site
    }

    fn fill(&self) {
        for (user, at) in HOME {
            self.put(user, at);
        }
    }

    /// Puts a user on a host, both of which let everybody in who is put somewhere.
    pub fn put(&self, user: &str, at: usize) {
        self.store.put(user, &self.addresses[at]);
        self.let_in(user);
    }

    pub fn let_in(&self, user: &str) {
        self.archives.iter().for_each(|archive| archive.add_user(user, "secret"));
    }

    pub fn tries(&self, user: &str, password: &str) -> String {
        let mut client = Client::tls(self.usher.imaps());
        let quoted = user.replace('\\', "\\\\").replace('"', "\\\"");
        client.command(&format!("a LOGIN \"{quoted}\" {password}")).pop().unwrap()
    }

    /// How often a user has been let in at each host.
    pub fn logins(&self, user: &str) -> [usize; 2] {
        let is_theirs = |event: &Event| *event == Event::LoggedIn(user.to_owned());
        [0, 1].map(|at| self.archives[at].events().into_iter().filter(is_theirs).count())
    }

    /// Logs `user` in, and checks at which host.
    pub fn at_home(&self, user: &str, at: usize) {
        let before = self.logins(user);
        let said = self.tries(user, "secret");
        assert!(said.starts_with("a OK"), "{user}: {said}\n{}\n{}", self.usher.log(), self.store.log());
        let now = self.logins(user);
        assert_eq!(now[1 - at], before[1 - at], "{user} is at the wrong host");
        assert_eq!(now[at], before[at] + 1, "{user} is at the wrong host");
    }

    /// Logs `user` in until that is at the host where it ought to be.
    pub fn moves_home(&self, user: &str, at: usize) {
        let until = Instant::now() + DEADLINE;
        loop {
            let before = self.logins(user);
            let said = self.tries(user, "secret");
            if said.starts_with("a OK") && self.logins(user)[at] > before[at] {
                return;
            }
            assert!(Instant::now() < until, "{user}: {said}\n{}", self.usher.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whoever is known logs in although the source is out, soon; whoever is not is told of an outage.
    pub fn survives(&self, what: &str) {
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
    pub fn recovers(&self, what: &str, new: &str) {
        let begun = Instant::now();
        while !self.tries(new, "secret").starts_with("a OK") {
            assert!(begun.elapsed() < DEADLINE, "{what}: {}\n{}", self.usher.log(), self.store.log());
            thread::sleep(Duration::from_millis(50));
        }
        println!("{:?}, {what}: recovered within {:?}", self.store.kind, begun.elapsed());
    }
}
