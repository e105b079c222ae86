//! TLS tickets, whose keys go to a successor: whoever has a ticket of one process resumes at the next.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use rustls::server::ProducesTickets;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

/// How long one key makes tickets, in seconds. Those of the key before it are still accepted.
const ROTATION: u64 = 6 * 60 * 60;
/// Octets of a key, and of the name by which its tickets are known.
const KEY: usize = 32;
const NAME: usize = 16;
/// Octets of a key as it is handed over: when it was made, its name, itself.
const WRITTEN: usize = 8 + NAME + KEY;

/// Makes tickets and reads them: the name of a key, a nonce, and what that key seals.
pub(crate) struct Tickets(RwLock<Keys>);

struct Keys {
    now: Key,
    before: Option<Key>,
}

struct Key {
    /// In seconds since 1970.
    made: u64,
    name: [u8; NAME],
    secret: Zeroizing<[u8; KEY]>,
    sealing: LessSafeKey,
}

impl Key {
    fn new(made: u64, name: [u8; NAME], secret: Zeroizing<[u8; KEY]>) -> Option<Self> {
        let sealing = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &*secret).ok()?);
        Some(Self { made, name, secret, sealing })
    }

    fn random(made: u64) -> Option<Self> {
        let (mut name, mut secret) = ([0; NAME], Zeroizing::new([0; KEY]));
        rand::fill(&mut name).ok()?;
        rand::fill(&mut *secret).ok()?;
        Self::new(made, name, secret)
    }

    fn read(written: &[u8]) -> Option<Self> {
        let (made, rest) = written.split_first_chunk::<8>()?;
        let (name, secret) = rest.split_first_chunk::<NAME>()?;
        Self::new(u64::from_be_bytes(*made), *name, Zeroizing::new(secret.try_into().ok()?))
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.made.to_be_bytes());
        out.extend(self.name);
        out.extend(*self.secret);
    }
}

impl Tickets {
    /// With a key of its own; `None`: the system gives no randomness.
    pub(crate) fn new() -> Option<Self> {
        Some(Self(RwLock::new(Keys { now: Key::random(now())?, before: None })))
    }

    /// With the keys of a predecessor; `None`: these are none.
    pub(crate) fn continuing(keys: &[u8]) -> Option<Self> {
        let mut keys = keys.chunks_exact(WRITTEN).map(Key::read);
        let now = keys.next()??;
        Some(Self(RwLock::new(Keys { now, before: keys.next().flatten() })))
    }

    /// The keys, for a successor.
    pub(crate) fn keys(&self) -> Zeroizing<Vec<u8>> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut out = Zeroizing::new(Vec::with_capacity(2 * WRITTEN));
        keys.now.write(&mut out);
        keys.before.iter().for_each(|key| key.write(&mut out));
        out
    }

    /// Begins with another key if it is time.
    fn rotate(&self) {
        let at = now();
        let is_due = |keys: &Keys| at.saturating_sub(keys.now.made) >= ROTATION;
        if !is_due(&self.0.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if is_due(&keys)
            && let Some(next) = Key::random(at)
        {
            let last = std::mem::replace(&mut keys.now, next);
            // One that has not been used for so long accepts nothing any more.
            keys.before = Some(last).filter(|last| at.saturating_sub(last.made) < 2 * ROTATION);
        }
    }
}

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        (2 * ROTATION) as u32
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.rotate();
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut ticket = Vec::with_capacity(NAME + NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
        ticket.extend(keys.now.name);
        ticket.extend(nonce);
        ticket.extend(plain);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealed = &mut ticket[NAME + NONCE_LEN..];
        let tag =
            keys.now.sealing.seal_in_place_separate_tag(nonce, Aad::from(keys.now.name), sealed).ok()?;
        ticket.extend(tag.as_ref());
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.rotate();
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (name, rest) = ticket.split_first_chunk::<NAME>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let key =
            [Some(&keys.now), keys.before.as_ref()].into_iter().flatten().find(|key| key.name == *name)?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = key.sealing.open_in_place(nonce, Aad::from(name), &mut sealed).ok()?.len();
        sealed.truncate(length);
        Some(sealed)
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successor_reads_them_and_nobody_else() {
        let tickets = Tickets::new().unwrap();
        let ticket = tickets.encrypt(b"session").unwrap();
        let successor = Tickets::continuing(&tickets.keys()).unwrap();
        assert_eq!(successor.decrypt(&ticket).unwrap(), b"session");
        assert_eq!(Tickets::new().unwrap().decrypt(&ticket), None);
        for at in 0..ticket.len() {
            let mut other = ticket.clone();
            other[at] ^= 1;
            assert_eq!(tickets.decrypt(&other), None, "{at}");
            assert_eq!(tickets.decrypt(&ticket[..at]), None);
        }
        assert!(Tickets::continuing(&[0; WRITTEN - 1]).is_none());
    }

    #[test]
    fn keys_rotate_and_the_former_one_is_read() {
        let tickets = Tickets::new().unwrap();
        let first = tickets.encrypt(b"1").unwrap();
        let age = |by| tickets.0.write().unwrap().now.made -= by;
        age(ROTATION);
        let second = tickets.encrypt(b"2").unwrap();
        assert_ne!(first[..NAME], second[..NAME]);
        assert_eq!(tickets.decrypt(&first).unwrap(), b"1");
        let successor = Tickets::continuing(&tickets.keys()).unwrap();
        assert_eq!(successor.decrypt(&first).unwrap(), b"1");
        age(2 * ROTATION);
        assert_eq!(tickets.decrypt(&second), None);
        assert_eq!(tickets.decrypt(&first), None);
    }
}
