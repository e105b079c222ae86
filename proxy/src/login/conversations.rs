//! What is known of hosts' conversations with clients.

use super::shapes::Shapes;
use crate::refusals::Refusals;
use quick_cache::sync::Cache;
use std::path::Path;

/// Most who are remembered.
const TALKERS: usize = 100_000;

/// How hosts talk, so that usher can talk like them.
pub(crate) struct Conversations {
    /// How long hosts take to say something first.
    pub(crate) firsts: Refusals,
    /// How long they take to refuse a proof.
    pub(crate) finals: Refusals,
    pub(crate) shapes: Shapes,
    /// Who has talked, by digests of their names: their hosts are waited for.
    pub(super) talkers: Cache<u64, ()>,
}

impl Conversations {
    /// Continues with what is kept in `state_dir`.
    ///
    /// # Errors
    /// The system's, when it gives no thread.
    pub(crate) fn open(state_dir: &Path) -> std::io::Result<Self> {
        Ok(Self {
            firsts: Refusals::open(state_dir.join("refusals.scram-first"))?,
            finals: Refusals::open(state_dir.join("refusals.scram"))?,
            shapes: Shapes::open(state_dir.join("scram.shapes")),
            talkers: Cache::new(TALKERS),
        })
    }
}
