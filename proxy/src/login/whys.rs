//! Why hosts refuse tokens, as they say it to clients: a refusal under a name that nobody has says the same.

use crate::whole_file;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use usher_wire::imap::sasl::Mechanism;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// What the hosts have said last, by host and mechanism.
type Said = BTreeMap<String, BTreeMap<String, String>>;

/// What the hosts have said last, kept across restarts.
pub(crate) struct Whys {
    known: Mutex<Known>,
    file: PathBuf,
}

#[derive(Default)]
struct Known {
    said: Said,
    has_changed: bool,
}

impl Whys {
    /// Continues with what is in `file`.
    pub(crate) fn open(file: PathBuf) -> Self {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let said = serde_json::from_str(&text).unwrap_or_default();
        Self { known: Mutex::new(Known { said, has_changed: false }), file }
    }

    /// Notes what `host` says.
    pub(super) fn note(&self, host: &str, mechanism: Mechanism, why: &[u8]) {
        let Ok(why) = std::str::from_utf8(why) else { return };
        let mut known = self.known();
        let of_host = known.said.entry(host.to_owned()).or_default();
        if of_host.get(mechanism.name()).is_none_or(|former| former != why) {
            of_host.insert(mechanism.name().to_owned(), why.to_owned());
            known.has_changed = true;
        }
    }

    /// What a host would say that had this name, always the same host for the same name.
    pub(super) fn made_up(&self, name: &[u8], mechanism: Mechanism) -> Vec<u8> {
        let known = self.known();
        let whose = xxh3_64(name);
        let said = known.said.iter().filter_map(|(host, said)| Some((host, said.get(mechanism.name())?)));
        let chosen = said.max_by_key(|(host, _)| xxh3_64_with_seed(host.as_bytes(), whose));
        match (chosen, mechanism) {
            (Some((_, why)), _) => why.clone().into_bytes(),
            (None, Mechanism::XOAuth2) => br#"{"status":"401","schemes":"bearer","scope":"mail"}"#.to_vec(),
            (None, _) => br#"{"status":"invalid_token"}"#.to_vec(),
        }
    }

    /// Saves what the hosts have said for which `is_known` holds, if something has changed.
    pub(crate) fn keep(&self, is_known: impl Fn(&str) -> bool) {
        let text = {
            let mut known = self.known();
            if !std::mem::take(&mut known.has_changed) {
                return;
            }
            known.said.retain(|host, _| is_known(host));
            serde_json::to_string(&known.said).unwrap_or_default()
        };
        if let Err(error) = whole_file::replace(&self.file, text.as_bytes()) {
            tracing::debug!(file = %self.file.display(), %error, "the hosts' reasons cannot be saved");
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
