//! What stands for the credential of a request without being it, and what is known of the last one of a connection: most
//! requests have that of the one before.

use super::named_by::Named;
use super::requested_host::RequestedHost;
use crate::active::ActiveConfig;
use quick_cache::sync::Cache;
use siphasher::sip128::{Hasher128, SipHasher13};
use std::convert::Infallible;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Most that are remembered of those that are counted once.
const COUNTED: usize = 10_000;

/// A digest of a value of `Authorization`. Without the key, which is drawn at each start, nobody can make another value
/// with the same one: a guess would pass for what was accepted before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct CredentialDigest(u128);

/// Makes them, and knows which are counted already.
pub(crate) struct Credentials {
    digester: SipHasher13,
    counted: Cache<u128, ()>,
}

impl Credentials {
    /// With a key of their own.
    pub(crate) fn new() -> Self {
        let drawn = || RandomState::new().hash_one(0);
        Self { digester: SipHasher13::new_with_keys(drawn(), drawn()), counted: Cache::new(COUNTED) }
    }

    /// That of a value, its scheme included.
    pub(crate) fn digest(&self, value: &[u8]) -> CredentialDigest {
        CredentialDigest(self.digester.hash(value).as_u128())
    }

    /// A client leaves before this is judged, or it is a token that is refused. Returns whether that is news, as far as is
    /// remembered: browsers send many requests at once, each on a connection of its own, which are one guess.
    pub(crate) fn is_news(&self, claim: Claim<'_>) -> bool {
        let mut digester = self.digester;
        (claim.digest.0, claim.key, claim.users).hash(&mut digester);
        let mut is_news = false;
        let note = || {
            is_news = true;
            Ok::<_, Infallible>(())
        };
        let Ok(()) = self.counted.get_or_insert_with(&digester.finish128().as_u128(), note);
        is_news
    }
}

/// What is known of the last credentials of a connection.
#[derive(Default)]
pub(crate) struct LastCredential(Mutex<Last>);

#[derive(Default)]
struct Last {
    /// What was let in last, unless it has been refused since, and by what.
    accepted: Option<Box<(KeptClaim, LetIn)>>,
    /// What was read last.
    read: Option<Box<Read>>,
}

/// A credential, and whose it claims to be: the same letters are another user's for another host, or after a reload.
#[derive(Clone, Copy)]
pub(crate) struct Claim<'r> {
    pub(crate) digest: CredentialDigest,
    /// The key of the archive.
    pub(crate) key: &'r str,
    /// Whom it names, as failures are counted.
    pub(crate) users: &'r Arc<[String]>,
}

struct KeptClaim {
    digest: CredentialDigest,
    key: Box<str>,
    users: Arc<[String]>,
}

impl KeptClaim {
    fn of(claim: Claim<'_>) -> Self {
        Self { digest: claim.digest, key: claim.key.into(), users: claim.users.clone() }
    }

    fn is(&self, claim: Claim<'_>) -> bool {
        self.digest == claim.digest && &*self.key == claim.key && self.users == *claim.users
    }
}

/// What has let a credential in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LetIn {
    /// The digest of what was asked for.
    pub(crate) target: u64,
    /// What stands for that at its backend.
    pub(crate) guard: u64,
}

/// What was read of a credential, and what that depends on.
struct Read {
    digest: CredentialDigest,
    /// By its domains. A connection that says nothing new does not keep what was reloaded since.
    by: Weak<ActiveConfig>,
    asked: Arc<RequestedHost>,
    /// What failures are counted by, if that has been read; `Some(None)`: it is no login.
    login: Option<Option<CredentialLogin>>,
    /// Whom it names as Basic, if that has been read.
    named: Option<Named>,
}

/// A credential as failures are counted.
#[derive(Clone)]
pub(crate) struct CredentialLogin {
    /// Whom it names; empty: that cannot be told.
    pub(crate) users: Arc<[String]>,
    /// It is a token rather than a password.
    pub(crate) is_token: bool,
}

/// A credential, and what says how to read it.
#[derive(Clone, Copy)]
pub(crate) struct Given<'r> {
    pub(crate) digest: CredentialDigest,
    pub(crate) by: &'r Arc<ActiveConfig>,
    /// The host whose request it came with.
    pub(crate) asked: &'r Arc<RequestedHost>,
}

impl LastCredential {
    /// What has let this in, if it is the last one that was.
    pub(crate) fn accepted(&self, claim: Claim<'_>) -> Option<LetIn> {
        self.with(|last| last.accepted.as_ref().filter(|accepted| accepted.0.is(claim)).map(|last| last.1))
    }

    /// This has been let in.
    pub(crate) fn note_accepted(&self, claim: Claim<'_>, by: LetIn) {
        self.with(|last| last.accepted = Some(Box::new((KeptClaim::of(claim), by))));
    }

    /// This has been refused.
    pub(crate) fn note_refused(&self, claim: Claim<'_>) {
        self.with(|last| last.accepted.take_if(|accepted| accepted.0.is(claim)));
    }

    /// As what it is counted, by what was read last or else by `read`; `None`: it is no login.
    pub(crate) fn login(
        &self,
        given: Given<'_>,
        read: impl FnOnce() -> Option<CredentialLogin>,
    ) -> Option<CredentialLogin> {
        self.with(|last| last.of(given).login.get_or_insert_with(read).clone())
    }

    /// Whom it names, by what was read last or else by `read`.
    pub(crate) fn named(&self, given: Given<'_>, read: impl FnOnce() -> Named) -> Named {
        self.with(|last| last.of(given).named.get_or_insert_with(read).clone())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Last) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Last {
    /// What was read of a credential, which is nothing yet if it is another one.
    fn of(&mut self, given: Given<'_>) -> &mut Read {
        let is_same = |read: &mut Box<Read>| {
            read.digest == given.digest
                && read.by.as_ptr() == Arc::as_ptr(given.by)
                && Arc::ptr_eq(&read.asked, given.asked)
        };
        if !self.read.as_mut().is_some_and(is_same) {
            self.read = None;
        }
        self.read.get_or_insert_with(|| {
            let (by, asked) = (Arc::downgrade(given.by), given.asked.clone());
            Box::new(Read { digest: given.digest, by, asked, login: None, named: None })
        })
    }
}
