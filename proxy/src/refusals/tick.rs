//! A clock that ticks each millisecond for those who wait for it. Timers of a worker are rounded from the moment at
//! which they are set, which would tell how long somebody has waited for them.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Between two ticks.
const TICK: Duration = Duration::from_millis(1);

/// The clock. Stands still while nobody waits.
pub(super) struct Clock {
    begun: Instant,
    waiting: Arc<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// By the number of their tick.
    those: Mutex<BTreeMap<u64, Vec<oneshot::Sender<()>>>>,
    changed: Condvar,
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Vec<oneshot::Sender<()>>>> {
        self.those.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes whoever's tick has come, as long as the clock is there.
    fn run(self: &Arc<Self>, begun: Instant) {
        let mut those = self.lock();
        // The clock and this.
        while Arc::strong_count(self) > 1 {
            let due = those.keys().next().map(|tick| begun + at(*tick));
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

/// When the tick of this number is, from the beginning on.
fn at(tick: u64) -> Duration {
    Duration::from_millis(tick)
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

    /// Returns at the first tick behind `when`, or behind now where that is later.
    pub(super) async fn tick_after(&self, when: Instant) {
        let when = when.max(Instant::now());
        let tick = when.saturating_duration_since(self.begun).as_nanos() / TICK.as_nanos() + 1;
        let (ready, comes) = oneshot::channel();
        self.waiting.lock().entry(u64::try_from(tick).unwrap_or(u64::MAX)).or_default().push(ready);
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
