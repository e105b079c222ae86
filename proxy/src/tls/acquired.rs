//! Certificates that usher has ordered, and what it answers to those who want to see that a name is its own. They come and
//! go while the configuration stays as it is.

use super::loaded::Loaded;
use arc_swap::ArcSwap;
use dashmap::DashMap;
use rustls::sign::CertifiedKey;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Certificates by the names that they were ordered for, and proofs that are asked for.
#[derive(Default)]
pub(crate) struct Acquired {
    certificates: ArcSwap<BTreeMap<String, Arc<Loaded>>>,
    /// Certificates that prove something by TLS-ALPN-01 (RFC 8737), by name.
    proofs: DashMap<String, Arc<CertifiedKey>>,
    /// Answers that prove something by HTTP-01 (RFC 8555 section 8.3), by token.
    answers: DashMap<String, String>,
}

impl std::fmt::Debug for Acquired {
    /// Only names: answers are for authorities alone.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.certificates.load().keys()).finish()
    }
}

impl Acquired {
    /// Serves `certificate` to those who ask for `name` from now on.
    pub(crate) fn put(&self, name: &str, certificate: Loaded) {
        let certificate = Arc::new(certificate);
        self.certificates.rcu(|all| {
            let mut all = BTreeMap::clone(all);
            all.insert(name.to_owned(), certificate.clone());
            all
        });
    }

    /// The certificate for `name`, which is in lower case.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Loaded>> {
        self.certificates.load().get(name).cloned()
    }

    /// The key of the certificate for `name`.
    pub(super) fn key(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.certificates.load().get(name).map(|loaded| loaded.key.clone())
    }

    /// The key of any of them.
    pub(super) fn first_key(&self) -> Option<Arc<CertifiedKey>> {
        self.certificates.load().values().next().map(|loaded| loaded.key.clone())
    }

    /// Forgets the certificates for names that are not `wanted` any longer.
    pub(crate) fn keep(&self, wanted: impl Fn(&str) -> bool) {
        if self.certificates.load().keys().all(|name| wanted(name)) {
            return;
        }
        self.certificates.rcu(|all| {
            let mut all = BTreeMap::clone(all);
            all.retain(|name, _| wanted(name));
            all
        });
    }

    /// The files of the certificates and when they end, in seconds since 1970.
    pub(crate) fn ends(&self) -> Vec<(String, i64)> {
        let all = self.certificates.load();
        all.values().map(|loaded| (loaded.chain.display().to_string(), loaded.not_after)).collect()
    }

    /// Shows `proof` to the authority that asks for it by TLS, as long as the returned guard lasts.
    pub(crate) fn prove(self: &Arc<Self>, name: &str, proof: Arc<CertifiedKey>) -> Proof {
        self.proofs.insert(name.to_owned(), proof);
        Proof { at: self.clone(), what: Shown::Certificate(name.to_owned()) }
    }

    /// Answers `answer` to the authority that asks for `token` by HTTP, as long as the returned guard lasts.
    pub(crate) fn answer(self: &Arc<Self>, token: &str, answer: &str) -> Proof {
        self.answers.insert(token.to_owned(), answer.to_owned());
        Proof { at: self.clone(), what: Shown::Answer(token.to_owned()) }
    }

    /// The certificate that proves that `name` is usher's, if somebody is to be shown one.
    pub(super) fn proof(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.proofs.get(name).map(|proof| proof.clone())
    }

    /// The answer to `token`, if somebody is to be given one.
    pub(crate) fn answer_to(&self, token: &str) -> Option<String> {
        self.answers.get(token).map(|answer| answer.clone())
    }
}

/// Something that is shown for as long as this lasts.
pub(crate) struct Proof {
    at: Arc<Acquired>,
    what: Shown,
}

enum Shown {
    Certificate(String),
    Answer(String),
}

impl Drop for Proof {
    fn drop(&mut self) {
        match &self.what {
            Shown::Certificate(name) => drop(self.at.proofs.remove(name)),
            Shown::Answer(token) => drop(self.at.answers.remove(token)),
        }
    }
}
