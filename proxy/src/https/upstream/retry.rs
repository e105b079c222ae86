//! How many requests may be sent a second time: a share of all requests, so that a backend in trouble does not get
//! twice the work.

use std::sync::atomic::{AtomicU32, Ordering};

/// Requests that earn one retry.
const REQUESTS_A_RETRY: u32 = 10;
/// Most retries that can be saved up.
const SAVED: u32 = 100;
/// Retries available at the start.
const FIRST: u32 = 10;

/// The budget, in requests.
pub(crate) struct RetryBudget(AtomicU32);

impl Default for RetryBudget {
    fn default() -> Self {
        Self(AtomicU32::new(FIRST * REQUESTS_A_RETRY))
    }
}

impl RetryBudget {
    /// A request is served.
    pub(crate) fn earn(&self) {
        let more = |now: u32| (now < SAVED * REQUESTS_A_RETRY).then_some(now + 1);
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// Takes one retry, if there is one.
    pub(crate) fn take(&self) -> bool {
        let less = |now: u32| now.checked_sub(REQUESTS_A_RETRY);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_all() {
        let budget = RetryBudget::default();
        assert_eq!((0..100).filter(|_| budget.take()).count(), FIRST as usize);
        (0..25).for_each(|_| budget.earn());
        assert_eq!((0..100).filter(|_| budget.take()).count(), 2);
        (0..10_000).for_each(|_| budget.earn());
        assert_eq!((0..1000).filter(|_| budget.take()).count(), SAVED as usize);
    }
}
