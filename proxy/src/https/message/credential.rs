//! What stands for the credential of a request without being it, and what is known of the last one of a connection: most
//! requests have that of the one before.

use super::named_by::Named;
use super::requested_host::RequestedHost;
use crate::active::ActiveConfig;
use siphasher::sip128::SipHasher13;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

/// A digest of a value of `Authorization`. Without the key, which is drawn at each start, nobody can make another value
/// with the same one: a guess would pass for what was accepted before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct CredentialDigest(u128);

/// Makes them.
pub(crate) struct CredentialDigester(SipHasher13);

impl CredentialDigester {
    /// One with a key of its own.
    pub(crate) fn new() -> Self {
        let drawn = || RandomState::new().hash_one(0);
        Self(SipHasher13::new_with_keys(drawn(), drawn()))
    }

    /// That of a value, its scheme included.
    pub(crate) fn digest(&self, value: &[u8]) -> CredentialDigest {
        CredentialDigest(self.0.hash(value).as_u128())
    }
}

/// What is known of the last credentials of a connection.
#[derive(Default)]
pub(crate) struct LastCredential(Mutex<Last>);

#[derive(Default)]
struct Last {
    /// What was accepted last, in no other place.
    accepted: Option<CredentialDigest>,
    /// Whom that of Basic named which was read last.
    read: Option<Box<Read>>,
}

/// What was read of a credential, and what that depends on.
struct Read {
    digest: CredentialDigest,
    /// By its domains.
    by: Arc<ActiveConfig>,
    asked: Arc<RequestedHost>,
    named: Named,
}

impl LastCredential {
    /// Whether this is the last one that was accepted.
    pub(crate) fn is_accepted(&self, digest: CredentialDigest) -> bool {
        self.with(|last| last.accepted == Some(digest))
    }

    /// This has been accepted; `None`: something without a digest.
    pub(crate) fn note_accepted(&self, digest: Option<CredentialDigest>) {
        self.with(|last| last.accepted = digest);
    }

    /// Whom it names with this configuration in a request for `asked`, by what was read last or else by `read`.
    pub(crate) fn named(
        &self,
        digest: CredentialDigest,
        by: &Arc<ActiveConfig>,
        asked: &Arc<RequestedHost>,
        read: impl FnOnce() -> Named,
    ) -> Named {
        self.with(|last| {
            let is_same = |read: &&Read| {
                read.digest == digest && Arc::ptr_eq(&read.by, by) && Arc::ptr_eq(&read.asked, asked)
            };
            if let Some(read) = last.read.as_deref().filter(is_same) {
                return read.named.clone();
            }
            let named = read();
            last.read =
                Some(Box::new(Read { digest, by: by.clone(), asked: asked.clone(), named: named.clone() }));
            named
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Last) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
