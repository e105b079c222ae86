//! A clock that ticks each millisecond for those who wait for it, and releases them after a short random delay. The
//! timers of a worker are rounded relative to the moment when they are set, which would reveal how long somebody has
//! been waiting.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Between two ticks.
const TICK: Duration = Duration::from_millis(1);
/// Most microseconds by which a refusal is randomly delayed after its tick: this masks how long an idle worker takes to
/// wake.
const LATER: u64 = 2000;

/// The clock. Stops while nobody waits.
pub(super) struct Clock {
    begun: Instant,
    waiting: Arc<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// By due time, in microseconds since the beginning.
    those: Mutex<BTreeMap<u64, Vec<oneshot::Sender<()>>>>,
    changed: Condvar,
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Vec<oneshot::Sender<()>>>> {
        self.those.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes those whose time has come, for as long as the clock exists.
    fn run(self: &Arc<Self>, begun: Instant) {
        let mut those = self.lock();
        // One reference is the clock's, the other this thread's.
        while Arc::strong_count(self) > 1 {
            let due = those.keys().next().map(|moment| begun + Duration::from_micros(*moment));
            let left = due.map(|due| due.saturating_duration_since(Instant::now()));
            match left {
                Some(left) if left.is_zero() => {
                    if let Some((_, ready)) = those.pop_first() {
                        drop(those);
                        for one in ready {
                            // One that waits no more is gone.
                            let _ = one.send(());
                        }
                        those = self.lock();
                    }
                }
                left => {
                    let left = left.unwrap_or(Duration::from_secs(1));
                    those = self.changed.wait_timeout(those, left).unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }
}

impl Clock {
    /// Starts a thread for it.
    ///
    /// # Errors
    /// The system's, when it gives none.
    pub(super) fn start() -> std::io::Result<Self> {
        let (begun, waiting) = (Instant::now(), Arc::new(Waiting::default()));
        let those = waiting.clone();
        std::thread::Builder::new().name("refusals".to_owned()).spawn(move || those.run(begun))?;
        Ok(Self { begun, waiting })
    }

    /// Returns a random moment after the first tick following `when`, or following now if that is later.
    pub(super) async fn tick_after(&self, when: Instant) {
        let when = when.max(Instant::now());
        let tick = when.saturating_duration_since(self.begun).as_nanos() / TICK.as_nanos() + 1;
        let tick = u64::try_from(tick * TICK.as_micros()).unwrap_or(u64::MAX / 2);
        let mut octets = [0; 8];
        // If this fails, the refusal is sent right on the tick.
        let _ = aws_lc_rs::rand::fill(&mut octets);
        let moment = tick + u64::from_be_bytes(octets) % LATER;
        let (ready, comes) = oneshot::channel();
        self.waiting.lock().entry(moment).or_default().push(ready);
        self.waiting.changed.notify_one();
        let _ = comes.await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // tests fail by panicking

    use super::*;

    #[tokio::test]
    async fn nobody_is_early_and_everybody_comes() {
        let clock = Clock::start().unwrap();
        for wait in [0, 1, 500, 2000, 12_345] {
            let when = Instant::now() + Duration::from_micros(wait);
            clock.tick_after(when).await;
            assert!(Instant::now() > when);
        }
        let when = Instant::now();
        tokio::join!(clock.tick_after(when), clock.tick_after(when), clock.tick_after(when + TICK * 5));
        assert!(when.elapsed() >= TICK * 5);
    }
}
