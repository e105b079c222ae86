//! Whether the checker itself is at fault: if most backends stop answering at once, this machine's own network is a
//! more likely cause than all of theirs. Pure.

use std::collections::HashMap;
use std::hash::Hash;

/// With fewer backends, a majority says too little.
const FEWEST: usize = 5;

/// Which backends timed out when they were last asked.
#[derive(Debug)]
pub(super) struct Suspicion<K> {
    timing_out: HashMap<K, bool>,
    count: usize,
}

impl<K> Default for Suspicion<K> {
    fn default() -> Self {
        Self { timing_out: HashMap::new(), count: 0 }
    }
}

impl<K: Hash + Eq> Suspicion<K> {
    /// Records the latest result of asking `backend`. Every backend is asked once per interval, so these results lie
    /// within one interval.
    pub(super) fn note(&mut self, backend: K, timed_out: bool) {
        let before = self.timing_out.insert(backend, timed_out).unwrap_or(false);
        self.count = self.count - usize::from(before) + usize::from(timed_out);
    }

    /// Forgets a backend.
    pub(super) fn forget(&mut self, backend: &K) {
        if self.timing_out.remove(backend) == Some(true) {
            self.count -= 1;
        }
    }

    /// Whether the checker is in doubt.
    pub(super) fn holds(&self) -> bool {
        self.timing_out.len() >= FEWEST && self.count * 2 > self.timing_out.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_half_of_at_least_five() {
        let mut suspicion = Suspicion::default();
        for backend in 0..4 {
            suspicion.note(backend, true);
        }
        assert!(!suspicion.holds(), "four are too few");
        suspicion.note(4, false);
        assert!(suspicion.holds());
        suspicion.note(0, false);
        assert!(suspicion.holds(), "three of five");
        suspicion.note(1, false);
        assert!(!suspicion.holds());
        suspicion.forget(&4);
        suspicion.forget(&0);
        assert!(!suspicion.holds());
    }
}
