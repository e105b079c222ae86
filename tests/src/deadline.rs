//! How long anything is waited for.

use std::time::{Duration, Instant};

/// Longer than anything here takes on a slow machine; a test that waits so long has failed.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// What `count` counts, once that is as many as are `wanted`, or in the end: a server writes its log behind its answers.
pub fn comes_to(wanted: usize, count: impl Fn() -> usize) -> usize {
    let until = Instant::now() + DEADLINE;
    loop {
        let counted = count();
        if counted >= wanted || Instant::now() > until {
            return counted;
        }
        std::thread::yield_now();
    }
}
