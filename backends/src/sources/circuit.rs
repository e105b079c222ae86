//! Whether a source is asked at all: after several failures in a row it is left alone until it answers somebody again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

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
}

/// What a result has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    None,
    Opened,
    Closed,
}

impl Circuit {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State { health: Health::Unknown, failures: 0 }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it failed, if it is left alone.
    pub(super) fn is_open(&self) -> Option<String> {
        let state = self.state();
        match &state.health {
            Health::Down { why, .. } if state.failures >= FAILURES => Some(why.clone()),
            _ => None,
        }
    }

    pub(super) fn health(&self) -> Health {
        self.state().health.clone()
    }

    /// It has answered, or failed because of `failure`; at a start one failure is enough.
    pub(super) fn note(&self, failure: Option<String>, is_first: bool) -> Turn {
        let mut state = self.state();
        let was_open = state.failures >= FAILURES;
        let Some(why) = failure else {
            state.failures = 0;
            state.health = Health::Up;
            return if was_open { Turn::Closed } else { Turn::None };
        };
        state.failures = if is_first { FAILURES } else { state.failures.saturating_add(1) };
        let since = match state.health {
            Health::Down { since, .. } => since,
            Health::Unknown | Health::Up => SystemTime::now(),
        };
        state.health = Health::Down { since, why };
        if !was_open && state.failures >= FAILURES { Turn::Opened } else { Turn::None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_failures_in_a_row_open_it_and_an_answer_closes_it() {
        let circuit = Circuit::new();
        let fail = || circuit.note(Some("refused".to_owned()), false);
        assert_eq!((fail(), fail(), circuit.is_open()), (Turn::None, Turn::None, None));
        assert_eq!(circuit.note(None, false), Turn::None);
        assert_eq!((fail(), fail()), (Turn::None, Turn::None));
        assert_eq!(fail(), Turn::Opened);
        assert_eq!(circuit.is_open().as_deref(), Some("refused"));
        assert_eq!(fail(), Turn::None);
        assert_eq!(circuit.note(None, false), Turn::Closed);
        assert_eq!((circuit.is_open(), circuit.health()), (None, Health::Up));
    }
}
