//! Why hosts refuse tokens, as they say it to clients: a refusal under a name that nobody has says the same.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use usher_wire::imap::sasl::Mechanism;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// What the hosts have said last.
#[derive(Default)]
pub(crate) struct Whys(Mutex<BTreeMap<String, BTreeMap<&'static str, Vec<u8>>>>);

impl Whys {
    /// Notes what `host` says.
    pub(super) fn note(&self, host: &str, mechanism: Mechanism, why: &[u8]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_host = known.entry(host.to_owned()).or_default();
        if of_host.get(mechanism.name()).is_none_or(|former| former != why) {
            of_host.insert(mechanism.name(), why.to_vec());
        }
    }

    /// What a host would say that had this name, always the same host for the same name.
    pub(super) fn made_up(&self, name: &[u8], mechanism: Mechanism) -> Vec<u8> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let whose = xxh3_64(name);
        let said = known.iter().filter_map(|(host, said)| Some((host, said.get(mechanism.name())?)));
        let chosen = said.max_by_key(|(host, _)| xxh3_64_with_seed(host.as_bytes(), whose));
        match (chosen, mechanism) {
            (Some((_, why)), _) => why.clone(),
            (None, Mechanism::XOAuth2) => br#"{"status":"401","schemes":"bearer","scope":"mail"}"#.to_vec(),
            (None, _) => br#"{"status":"invalid_token"}"#.to_vec(),
        }
    }
}
