//! What hosts say first in a conversation looks like, so that usher can say the same where no host does.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use usher_wire::imap::sasl::Mechanism;
use usher_wire::imap::scram::ServerFirst;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Latest counts of iterations, of which the most frequent is the usual one.
const LATEST: usize = 16;

/// What a host's first messages look like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shape {
    /// Characters of the server's part of the nonce.
    nonce: usize,
    /// All that were seen in it.
    alphabet: String,
    /// Bytes of the salt.
    salt: usize,
    iterations: Vec<u32>,
}

impl Default for Shape {
    /// As Dovecot's, before anything is known.
    fn default() -> Self {
        let alphabet = ('!'..='~').filter(|c| *c != ',').collect();
        Self { nonce: 64, alphabet, salt: 16, iterations: vec![4096] }
    }
}

impl Shape {
    /// Takes in another first message, in which `nonce` is the server's part.
    fn learn(&mut self, nonce: &[u8], salt: usize, iterations: u32) {
        self.nonce = nonce.len();
        self.salt = salt;
        let mut seen: Vec<char> = self.alphabet.chars().chain(nonce.iter().map(|b| char::from(*b))).collect();
        seen.sort_unstable();
        seen.dedup();
        self.alphabet = seen.into_iter().collect();
        self.iterations.insert(0, iterations);
        self.iterations.truncate(LATEST);
    }

    /// The count of iterations that most users have.
    fn usual(&self) -> u32 {
        let count = |wanted: &u32| self.iterations.iter().filter(|known| *known == wanted).count();
        self.iterations.iter().copied().max_by_key(count).unwrap_or(4096)
    }

    /// Characters that the host's nonces may have: the smallest usual alphabet with all that were seen.
    fn letters(&self) -> Vec<u8> {
        let is = |kind: fn(&u8) -> bool| self.alphabet.bytes().all(|b| kind(&b));
        let all = |kind: fn(&u8) -> bool| (0x21..=0x7e).filter(kind).collect();
        let lower: fn(&u8) -> bool = |b| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        let alphanumeric: fn(&u8) -> bool = u8::is_ascii_alphanumeric;
        let base64: fn(&u8) -> bool = |b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
        let printable: fn(&u8) -> bool = |b| *b != b',';
        let kind = [lower, alphanumeric, base64].into_iter().find(|kind| is(*kind)).unwrap_or(printable);
        all(kind)
    }

    /// A first message for somebody whom `seed` stands for, to a client that has said `nonce`.
    pub(super) fn make_up(&self, nonce: &[u8], seed: &[u8]) -> Vec<u8> {
        let mut whole = nonce.to_vec();
        let letters = self.letters();
        if letters.contains(&b'=') {
            whole.extend_from_slice(&self.in_base64());
        } else {
            let mut random = vec![0; self.nonce * 2];
            // If there is none, the login fails in either case.
            let _ = aws_lc_rs::rand::fill(&mut random);
            let letter = |pair: &[u8]| {
                let at = pair.iter().fold(0, |sum, b| sum << 8 | usize::from(*b)) % letters.len().max(1);
                letters.get(at).copied()
            };
            whole.extend(random.chunks(2).filter_map(letter));
        }
        let salt: Vec<u8> = seed.iter().copied().cycle().take(self.salt).collect();
        let salt = STANDARD.encode(salt);
        ServerFirst { nonce: &whole, salt: salt.as_bytes(), iterations: self.usual() }.written()
    }

    /// Random bytes in base64, as long as the host's.
    fn in_base64(&self) -> Vec<u8> {
        let pads = self.nonce.is_multiple_of(4) && self.alphabet.contains('=');
        let octets = if pads { self.nonce / 4 * 3 - 1 } else { self.nonce };
        let mut random = vec![0; octets];
        let _ = aws_lc_rs::rand::fill(&mut random);
        let mut encoded = STANDARD.encode(random).into_bytes();
        encoded.truncate(self.nonce);
        encoded
    }
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

    /// Takes in what `host` has said first to a client that has said `nonce`.
    pub(super) fn learn(&self, host: &str, mechanism: Mechanism, nonce: &[u8], message: &[u8]) {
        let Some(first) = ServerFirst::parse(message) else { return };
        let Some(own) = first.nonce.strip_prefix(nonce) else { return };
        let Ok(salt) = STANDARD.decode(first.salt) else { return };
        let mut known = self.known();
        let of_host = known.shapes.entry(host.to_owned()).or_default();
        let empty = || Shape { nonce: 0, alphabet: String::new(), salt: 0, iterations: Vec::new() };
        let shape = of_host.entry(mechanism.name().to_owned()).or_insert_with(empty);
        let former = shape.clone();
        shape.learn(own, salt.len(), first.iterations);
        let has_changed = *shape != former;
        known.has_changed |= has_changed;
    }

    /// The shape of the host that would have somebody of this name: always the same host for the same name.
    pub(super) fn of(&self, name: &[u8], mechanism: Mechanism) -> Shape {
        let known = self.known();
        let whose = xxh3_64(name);
        let shapes = known.shapes.iter().filter_map(|(host, of)| Some((host, of.get(mechanism.name())?)));
        let chosen = shapes.max_by_key(|(host, _)| xxh3_64_with_seed(host.as_bytes(), whose));
        chosen.map(|(_, shape)| shape.clone()).unwrap_or_default()
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
        let next = self.file.with_extension("next");
        if let Err(error) = std::fs::write(&next, text).and_then(|()| std::fs::rename(&next, &self.file)) {
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

    #[test]
    fn what_is_made_up_looks_like_the_host() {
        let dir = tempfile::tempdir().unwrap();
        let shapes = Shapes::open(dir.path().join("shapes"));
        let shape_of = |message: &[u8]| {
            shapes.learn("one.test", Mechanism::ScramSha256, b"abc", message);
            shapes.of(b"nobody", Mechanism::ScramSha256)
        };
        for (nonce, letters) in [
            ("0f9a8b7c6d5e4f3a0f9a8b7c6d5e4f3a", "0123456789abcdef"),
            ("kX9+kX9/kX9+kX9/kX9+kX9=", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="),
        ] {
            let shape = shape_of(format!("r=abc{nonce},s=AAECAwQFBgcICQoL,i=5000").as_bytes());
            let made = shape.make_up(b"client", &[7; 32]);
            let first = ServerFirst::parse(&made).unwrap();
            let own = first.nonce.strip_prefix(b"client").unwrap();
            assert_eq!(own.len(), nonce.len());
            assert_eq!(own.ends_with(b"="), nonce.ends_with('='));
            assert!(own.iter().all(|b| letters.as_bytes().contains(b)), "{}", String::from_utf8_lossy(own));
            assert_eq!((first.salt, first.iterations), (STANDARD.encode([7; 12]).as_bytes(), 5000));
            assert_ne!(made, shape.make_up(b"client", &[7; 32]), "another nonce each time");
        }
        shapes.keep(|_| true);
        let again = Shapes::open(dir.path().join("shapes"));
        assert_eq!(again.of(b"x", Mechanism::ScramSha256), shapes.of(b"x", Mechanism::ScramSha256));
    }
}
