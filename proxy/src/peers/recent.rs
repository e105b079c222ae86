//! What hosts have said lately of users whom none, or several, have: nobody makes usher ask them over and over.

use super::Told;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use usher_policy::ArchiveKey;

/// Most answers that are remembered.
const MOST: usize = 10_000;

pub(super) struct Recent {
    answers: Mutex<HashMap<ArchiveKey, (Told, Instant)>>,
    lasts: Duration,
}

impl Recent {
    pub(super) fn new(lasts: Duration) -> Self {
        Self { answers: Mutex::default(), lasts }
    }

    pub(super) fn get(&self, key: &ArchiveKey) -> Option<Told> {
        let answers = self.lock();
        let (told, until) = answers.get(key)?;
        (Instant::now() < *until).then(|| told.clone())
    }

    /// Remembers an answer that is no entry and no outage.
    pub(super) fn put(&self, key: &ArchiveKey, told: &Told) {
        if !matches!(told, Told::Nobody | Told::Twice(_)) {
            return;
        }
        let (now, mut answers) = (Instant::now(), self.lock());
        if answers.len() >= MOST {
            answers.retain(|_, (_, until)| now < *until);
        }
        if answers.len() < MOST {
            answers.insert(key.clone(), (told.clone(), now + self.lasts));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ArchiveKey, (Told, Instant)>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
