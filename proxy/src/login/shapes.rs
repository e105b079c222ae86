//! What hosts say first in a conversation looks like, so that usher can say the same where no host does.

use crate::whole_file;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use usher_wire::imap::sasl::Mechanism;
use usher_wire::imap::scram::ServerFirst;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Users of a host whose parameters are remembered, each once: nobody can make their own the usual ones.
const USERS: usize = 64;
/// Characters after which it is known how often each is used.
const ENOUGH: u32 = 4000;
/// Most characters of a nonce and bytes of a salt that are made up.
const LONGEST: usize = 256;

/// What a host's first messages look like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shape {
    /// Characters of the server's part of the nonce.
    nonce: usize,
    /// How often each character was seen in it.
    letters: BTreeMap<char, u32>,
    /// What is known of users, the latest last.
    users: Vec<Parameters>,
    /// A user's salt is another one each time.
    has_fresh_salts: bool,
}

/// How one user's password is kept, by digests of the name and of the salt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Parameters {
    user: u64,
    salt: u64,
    /// Bytes.
    length: usize,
    iterations: u32,
}

/// Kinds of characters that nonces are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Letters {
    Hexadecimal,
    Alphanumeric,
    Base64,
    Printable,
}

impl Letters {
    const ALL: [Self; 4] = [Self::Hexadecimal, Self::Alphanumeric, Self::Base64, Self::Printable];

    fn has(self, octet: u8) -> bool {
        match self {
            Self::Hexadecimal => matches!(octet, b'0'..=b'9' | b'a'..=b'f'),
            Self::Alphanumeric => octet.is_ascii_alphanumeric(),
            Self::Base64 => octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/' | b'='),
            Self::Printable => matches!(octet, 0x21..=0x7e) && octet != b',',
        }
    }
}

impl Default for Shape {
    /// As Dovecot's, before anything is known.
    fn default() -> Self {
        let letters =
            (0x21..=0x7e).filter(|b| Letters::Printable.has(*b)).map(|b| (char::from(b), 1)).collect();
        let users = vec![Parameters { user: 0, salt: 0, length: 16, iterations: 4096 }];
        Self { nonce: 64, letters, users, has_fresh_salts: false }
    }
}

impl Shape {
    /// Takes in another first message, in which `nonce` is the server's part.
    fn learn(&mut self, nonce: &[u8], of_user: Parameters) {
        self.nonce = nonce.len().min(LONGEST);
        for octet in nonce {
            let seen = self.letters.entry(char::from(*octet)).or_default();
            *seen = seen.saturating_add(1);
        }
        if let Some(at) = self.users.iter().position(|known| known.user == of_user.user) {
            let former = self.users.remove(at);
            self.has_fresh_salts = former.iterations == of_user.iterations && former.salt != of_user.salt;
        }
        self.users.push(of_user);
        if self.users.len() > USERS {
            self.users.remove(0);
        }
    }

    /// Bytes of the salt and count of iterations that most users have.
    fn usual(&self) -> (usize, u32) {
        let count = |wanted: &Parameters| {
            let is_same =
                |known: &&Parameters| (known.length, known.iterations) == (wanted.length, wanted.iterations);
            self.users.iter().filter(is_same).count()
        };
        // Of two that are as frequent, always the same.
        let usual = self.users.iter().max_by_key(|known| (count(known), known.length, known.iterations));
        usual.map_or((16, 4096), |known| (known.length.min(LONGEST), known.iterations))
    }

    /// A first message to a client that has said `nonce`, for somebody whose salt is made of the parts that `salt` gives.
    pub(super) fn make_up(&self, nonce: &[u8], salt: impl Fn(u8) -> [u8; 32]) -> Vec<u8> {
        let (length, iterations) = self.usual();
        let mut whole = nonce.to_vec();
        whole.extend_from_slice(&self.make_up_nonce());
        let salt: Vec<u8> = match self.has_fresh_salts {
            true => random(length),
            false => (0..=u8::MAX).flat_map(salt).take(length).collect(),
        };
        let salt = STANDARD.encode(salt);
        ServerFirst { nonce: &whole, salt: salt.as_bytes(), iterations }.written()
    }

    fn make_up_nonce(&self) -> Vec<u8> {
        let has = |kind: &Letters| self.letters.keys().all(|c| u8::try_from(*c).is_ok_and(|b| kind.has(b)));
        let kind = Letters::ALL.into_iter().find(has).unwrap_or(Letters::Printable);
        if kind == Letters::Base64 {
            return self.in_base64();
        }
        let seen: u32 = self.letters.values().fold(0, |sum, seen| sum.saturating_add(*seen));
        // Some hosts use some characters more often than others.
        let weights: Vec<(u8, u32)> = match seen >= ENOUGH {
            true => {
                self.letters.iter().filter_map(|(c, seen)| Some((u8::try_from(*c).ok()?, *seen))).collect()
            }
            false => (0x21..=0x7e).filter(|b| kind.has(*b)).map(|b| (b, 1)).collect(),
        };
        let all: u64 = weights.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let letter = |octets: &[u8]| {
            let mut at = octets.iter().fold(0_u64, |sum, b| sum << 8 | u64::from(*b)) % all.max(1);
            let mut weights = weights.iter();
            weights.find_map(|(letter, weight)| {
                let is_it = at < u64::from(*weight);
                at = at.saturating_sub(u64::from(*weight));
                is_it.then_some(*letter)
            })
        };
        random(self.nonce * 8).chunks(8).filter_map(letter).collect()
    }

    /// Random bytes in base64, as long as the host's.
    fn in_base64(&self) -> Vec<u8> {
        let pads = self.nonce.is_multiple_of(4) && self.letters.contains_key(&'=');
        let octets = if pads { (self.nonce / 4 * 3).saturating_sub(1) } else { self.nonce };
        let mut encoded = STANDARD.encode(random(octets)).into_bytes();
        encoded.truncate(self.nonce);
        encoded
    }
}

fn random(octets: usize) -> Vec<u8> {
    let mut random = vec![0; octets];
    // Without any, the login fails as it would in any case.
    let _ = aws_lc_rs::rand::fill(&mut random);
    random
}

/// The shapes of all hosts.
pub(crate) struct Shapes {
    known: Mutex<Known>,
    /// Where they are kept across restarts.
    file: PathBuf,
}

#[derive(Default)]
struct Known {
    /// By host and mechanism.
    shapes: BTreeMap<String, BTreeMap<String, Shape>>,
    has_changed: bool,
}

impl Shapes {
    /// Continues with what is in `file`.
    pub(crate) fn open(file: PathBuf) -> Self {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let shapes = serde_json::from_str(&text).unwrap_or_default();
        Self { known: Mutex::new(Known { shapes, has_changed: false }), file }
    }

    /// Takes in what `host` has said first to a client whose own first message, and the nonce in it, are these.
    pub(super) fn learn(
        &self,
        host: &str,
        mechanism: Mechanism,
        (client_first, nonce): (&[u8], &[u8]),
        message: &[u8],
    ) {
        let Some(first) = ServerFirst::parse(message) else { return };
        let Some(own) = first.of_server(nonce) else { return };
        let Ok(salt) = STANDARD.decode(first.salt) else { return };
        let user = client_first.split(|b| *b == b',').nth(2).unwrap_or_default();
        let parameters = Parameters {
            user: xxh3_64(&user.to_ascii_lowercase()),
            salt: xxh3_64(&salt),
            length: salt.len(),
            iterations: first.iterations,
        };
        let mut known = self.known();
        let of_host = known.shapes.entry(host.to_owned()).or_default();
        let empty =
            || Shape { nonce: 0, letters: BTreeMap::new(), users: Vec::new(), has_fresh_salts: false };
        of_host.entry(mechanism.name().to_owned()).or_insert_with(empty).learn(own, parameters);
        known.has_changed = true;
    }

    /// The host that would have somebody of this name: always the same one.
    pub(super) fn host_of(&self, name: &[u8], mechanism: Mechanism) -> Option<String> {
        let known = self.known();
        let whose = xxh3_64(name);
        let hosts = known.shapes.iter().filter(|(_, of)| of.contains_key(mechanism.name()));
        let chosen = hosts.max_by_key(|(host, _)| xxh3_64_with_seed(host.as_bytes(), whose));
        chosen.map(|(host, _)| host.clone())
    }

    /// The shape of `host`, if something is known of it.
    pub(super) fn of(&self, host: &str, mechanism: Mechanism) -> Option<Shape> {
        self.known().shapes.get(host)?.get(mechanism.name()).cloned()
    }

    /// Saves those of the hosts for which `is_known` holds, if something has changed.
    pub(crate) fn keep(&self, is_known: impl Fn(&str) -> bool) {
        let text = {
            let mut known = self.known();
            if !std::mem::take(&mut known.has_changed) {
                return;
            }
            known.shapes.retain(|host, _| is_known(host));
            serde_json::to_string(&known.shapes).unwrap_or_default()
        };
        if let Err(error) = whole_file::replace(&self.file, text.as_bytes()) {
            tracing::debug!(file = %self.file.display(), %error, "what hosts say first cannot be saved");
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BY: Mechanism = Mechanism::ScramSha256;

    fn said(shapes: &Shapes, user: &str, nonce: &str, salt: &[u8], iterations: u32) {
        let client = format!("n,,n={user},r=abc");
        let message = format!("r=abc{nonce},s={},i={iterations}", STANDARD.encode(salt));
        shapes.learn("one.test", BY, (client.as_bytes(), b"abc"), message.as_bytes());
    }

    #[test]
    fn what_is_made_up_looks_like_the_host() {
        let dir = tempfile::tempdir().unwrap();
        let printable = "0~!}$%&/()=?^'*+#-_.:;<>|{[]}@\"\\`AZaz09~!}$%&/()=?^'*+#-_.:;<>|";
        for (nonce, kind) in [
            ("0f9a8b7c6d5e4f3a0f9a8b7c6d5e4f3a", Letters::Hexadecimal),
            ("kX9kX9kXZ9kX9QkX9", Letters::Alphanumeric),
            ("kX9+kX9/kX9+kX9/kX9+kX9=", Letters::Base64),
            (printable, Letters::Printable),
        ] {
            let shapes = Shapes::open(dir.path().join("shapes"));
            said(&shapes, "anna", nonce, &[1; 12], 5000);
            let shape = shapes.of("one.test", BY).unwrap();
            let salt = |part| [7 + part; 32];
            let mut letters = String::new();
            for _ in 0..50 {
                let made = shape.make_up(b"client", salt);
                let first = ServerFirst::parse(&made).unwrap();
                let own = first.of_server(b"client").unwrap();
                assert_eq!(own.len(), nonce.len());
                assert!(kind != Letters::Base64 || own.ends_with(b"="));
                assert!(own.iter().all(|b| kind.has(*b)), "{kind:?} {}", String::from_utf8_lossy(own));
                assert_eq!((first.salt, first.iterations), (STANDARD.encode([7; 12]).as_bytes(), 5000));
                letters.push_str(std::str::from_utf8(own).unwrap());
            }
            // With all that its kind has.
            let mut seen: Vec<char> = letters.chars().collect();
            seen.sort_unstable();
            seen.dedup();
            assert!(seen.len() >= (0x21..=0x7e).filter(|b| kind.has(*b)).count() - 2, "{kind:?} {seen:?}");
        }
    }

    #[test]
    fn nobody_makes_their_own_parameters_the_usual_ones() {
        let dir = tempfile::tempdir().unwrap();
        let shapes = Shapes::open(dir.path().join("shapes"));
        said(&shapes, "anna", "xyz", &[1; 16], 4096);
        said(&shapes, "berta", "xyz", &[2; 16], 4096);
        (0..100).for_each(|_| said(&shapes, "mallory", "xyz", &[3; 40], 99));
        assert_eq!(shapes.of("one.test", BY).unwrap().usual(), (16, 4096));
        // Long salts do not repeat, and salts that change do so for everybody.
        (0..3).for_each(|at| said(&shapes, &format!("user{at}"), "xyz", &[4; 40], 4096));
        let long = |shape: &Shape| {
            let made = shape.make_up(b"c", |part| [part; 32]);
            STANDARD.decode(ServerFirst::parse(&made).unwrap().salt).unwrap()
        };
        let shape = shapes.of("one.test", BY).unwrap();
        assert_eq!(long(&shape), [[0; 32].as_slice(), &[1; 8]].concat());
        said(&shapes, "anna", "xyz", &[9; 16], 4096);
        let fresh = shapes.of("one.test", BY).unwrap();
        assert_ne!(long(&fresh), long(&fresh));
        shapes.keep(|_| true);
        let again = Shapes::open(dir.path().join("shapes"));
        assert_eq!(again.of("one.test", BY), Some(fresh));
        assert_eq!(again.host_of(b"x", BY).as_deref(), Some("one.test"));
    }
}
