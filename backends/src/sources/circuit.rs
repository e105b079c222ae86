//! Whether a source is asked at all: after several failures in a row it is left alone until it answers somebody again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use usher_policy::ArchiveKey;

/// Failures in a row after which nobody waits for it any longer.
const FAILURES: u32 = 3;

/// How a source has done lately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Nobody has asked it yet.
    Unknown,
    /// It answers.
    Up,
    /// It does not.
    Down {
        /// Since when.
        since: SystemTime,
        /// How it failed last.
        why: String,
    },
}

/// Closed while a source answers.
pub(super) struct Circuit(Mutex<State>);

struct State {
    health: Health,
    failures: u32,
    /// Whose question failed last, and whether others' have failed too since it last answered: what one name brings about
    /// says nothing of the source.
    failed: Option<ArchiveKey>,
    are_several: bool,
    /// How often it was opened.
    openings: u64,
}

impl State {
    fn is_open(&self) -> bool {
        self.failures >= FAILURES && self.are_several
    }
}

/// What a result has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    None,
    /// For the time of this number.
    Opened(u64),
    Closed,
}

impl Circuit {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State {
            health: Health::Unknown,
            failures: 0,
            failed: None,
            are_several: false,
            openings: 0,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it failed, if it is left alone.
    pub(super) fn is_open(&self) -> Option<String> {
        let state = self.state();
        match &state.health {
            Health::Down { why, .. } if state.is_open() => Some(why.clone()),
            _ => None,
        }
    }

    pub(super) fn health(&self) -> Health {
        self.state().health.clone()
    }

    /// Whether it is still open for the time of this number.
    pub(super) fn is_open_for(&self, opening: u64) -> bool {
        let state = self.state();
        state.is_open() && state.openings == opening
    }

    /// It has answered a question about `key`, or failed because of `failure`; at a start one failure is enough.
    pub(super) fn note(&self, key: &ArchiveKey, failure: Option<String>, is_first: bool) -> Turn {
        let mut state = self.state();
        let was_open = state.is_open();
        let Some(why) = failure else {
            (state.failures, state.failed, state.are_several) = (0, None, false);
            state.health = Health::Up;
            return if was_open { Turn::Closed } else { Turn::None };
        };
        state.failures = if is_first { FAILURES } else { state.failures.saturating_add(1) };
        state.are_several |= is_first || state.failed.as_ref().is_some_and(|failed| failed != key);
        state.failed = Some(key.clone());
        let since = match state.health {
            Health::Down { since, .. } => since,
            Health::Unknown | Health::Up => SystemTime::now(),
        };
        state.health = Health::Down { since, why };
        if was_open || !state.is_open() {
            return Turn::None;
        }
        state.openings += 1;
        Turn::Opened(state.openings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ArchiveKey {
        ArchiveKey::User(name.to_owned())
    }

    #[test]
    fn several_failures_in_a_row_open_it_and_an_answer_closes_it() {
        let circuit = Circuit::new();
        let fail = |name| circuit.note(&key(name), Some("refused".to_owned()), false);
        assert_eq!((fail("a"), fail("b"), circuit.is_open()), (Turn::None, Turn::None, None));
        assert_eq!(circuit.note(&key("a"), None, false), Turn::None);
        assert_eq!((fail("a"), fail("b")), (Turn::None, Turn::None));
        assert_eq!(fail("a"), Turn::Opened(1));
        assert_eq!(circuit.is_open().as_deref(), Some("refused"));
        assert!(circuit.is_open_for(1));
        assert_eq!(fail("a"), Turn::None);
        assert_eq!(circuit.note(&key("a"), None, false), Turn::Closed);
        assert_eq!((circuit.is_open(), circuit.health()), (None, Health::Up));
        assert_eq!(circuit.note(&key("a"), Some("refused".to_owned()), true), Turn::Opened(2));
        assert!(!circuit.is_open_for(1) && circuit.is_open_for(2));
    }

    #[test]
    fn what_one_name_brings_about_does_not_open_it() {
        let circuit = Circuit::new();
        for _ in 0..10 {
            assert_eq!(circuit.note(&key("odd"), Some("500".to_owned()), false), Turn::None);
        }
        assert_eq!(circuit.is_open(), None);
        assert!(matches!(circuit.health(), Health::Down { .. }));
    }
}
