//! How long a peer may keep others waiting for octets of a body: it must make progress, and on the whole keep
//! to a least rate. Only the time counts in which somebody waits for it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};
use usher_config::https::PathPolicy;
use usher_config::snapshot::Limits;

/// How long it may be waited for somebody.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Without an octet.
    stalled: Duration,
    /// Octets a second, as soon as it has been waited for as long as that; 0: any.
    rate: u64,
}

impl Patience {
    /// What a path says goes before what `[limits]` say.
    pub(crate) fn of(limits: &Limits, policy: Option<&PathPolicy>) -> Self {
        Self {
            stalled: policy.and_then(|policy| policy.stalled).unwrap_or(limits.http_stalled),
            rate: policy.and_then(|policy| policy.min_rate).unwrap_or(limits.http_min_rate),
        }
    }
}

/// The waiting for one peer.
pub(crate) struct Pace {
    patience: Patience,
    octets: u64,
    /// Waited for it in all, before now.
    waited: Duration,
    since: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    pub(crate) fn new(patience: Patience) -> Self {
        Self { patience, octets: 0, waited: Duration::ZERO, since: None, sleep: None }
    }

    /// From now on it is waited for so long.
    pub(crate) fn allow(&mut self, patience: Patience) {
        self.patience = patience;
    }

    /// So many octets have come, or gone.
    pub(crate) fn progress(&mut self, octets: usize) {
        self.octets += octets as u64;
        if let Some(since) = self.since.take() {
            self.waited += since.elapsed();
        }
    }

    /// Nothing comes or goes for now. Ready when that has lasted too long.
    pub(crate) fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let due = since + self.left();
        poll_due(&mut self.sleep, due, cx)
    }

    /// How long it may be waited for this time.
    fn left(&self) -> Duration {
        let Patience { stalled, rate } = self.patience;
        if rate == 0 {
            return stalled;
        }
        let earned = Duration::from_secs_f64(self.octets as f64 / rate as f64);
        stalled.min((stalled + earned).saturating_sub(self.waited))
    }
}

/// Ready at `due`. The timer is kept from one wait to the next: one that is set too early is set anew when it
/// fires, so that most waits touch no timer.
pub(crate) fn poll_due(sleep: &mut Option<Pin<Box<Sleep>>>, due: Instant, cx: &mut Context<'_>) -> Poll<()> {
    let sleep = sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
    if sleep.deadline() > due {
        sleep.as_mut().reset(due);
    }
    while sleep.as_mut().poll(cx).is_ready() {
        if Instant::now() >= due {
            return Poll::Ready(());
        }
        sleep.as_mut().reset(due);
    }
    Poll::Pending
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_peers_use_up_their_patience_and_steady_ones_do_not() {
        let mut pace = Pace::new(Patience { stalled: Duration::from_secs(30), rate: 1000 });
        assert_eq!(pace.left(), Duration::from_secs(30));
        pace.waited = Duration::from_secs(29);
        pace.progress(1);
        assert!(pace.left() < Duration::from_millis(1100), "an octet earns next to nothing");
        pace.progress(10_000);
        assert!(pace.left() > Duration::from_secs(10));
        pace.progress(10_000_000);
        assert_eq!(pace.left(), Duration::from_secs(30), "past speed buys no standstill");
    }
}
