//! The halves of marks: keyed hashes of names and places, so that nobody who reads what is kept learns them.

use crate::digester::Digester;
use ipnet::IpNet;
use siphasher::sip::SipHasher24;
use std::hash::Hasher;

/// Half of a mark.
pub(super) type Half = [u8; 8];

/// Makes them. Every login needs some, which a digest of `Digester` would make noticeably dearer.
pub(super) struct Marker {
    users: SipHasher24,
    homes: SipHasher24,
    guards: SipHasher24,
}

impl Marker {
    /// One whose halves are the same wherever `digester` has the same key.
    pub(super) fn new(digester: &Digester) -> Self {
        let hasher = |of: &[u8]| {
            let mut key = [0; 16];
            key.copy_from_slice(&digester.digest(&[b"marks", of])[..16]);
            SipHasher24::new_with_key(&key)
        };
        Self { users: hasher(b"user"), homes: hasher(b"home"), guards: hasher(b"guard") }
    }

    /// That of a user.
    pub(super) fn user(&self, user: &str) -> Half {
        self.users.hash(user.as_bytes()).to_le_bytes()
    }

    /// That of the place where somebody is at home.
    pub(super) fn home(&self, home: &IpNet) -> Half {
        let octets = match home.network() {
            std::net::IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
            std::net::IpAddr::V6(address) => address.octets(),
        };
        self.homes.hash(&octets).to_le_bytes()
    }

    /// What stands for something that may refuse somebody, which is named by these `parts`: without the key, something open
    /// to everybody could be named so that it passes for it.
    pub(super) fn guard<'p>(&self, parts: impl IntoIterator<Item = &'p [u8]>) -> u64 {
        let mut hasher = self.guards;
        for part in parts {
            hasher.write_usize(part.len());
            hasher.write(part);
        }
        hasher.finish()
    }
}
