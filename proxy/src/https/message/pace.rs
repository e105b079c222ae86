//! How long a peer may keep others waiting for the bytes of a body: it must make progress, and overall keep to a
//! minimum rate. Only time during which somebody is waiting counts.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};
use usher_config::https::PathPolicy;
use usher_config::snapshot::Limits;

/// How long to wait for a peer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Longest time without a byte.
    stalled: Duration,
    /// Minimum bytes per second, once the wait has lasted for `stalled`; 0: no minimum.
    rate: u64,
}

impl Patience {
    /// A path's policy takes precedence over `[limits]`.
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
    /// Total time that it has been waited for, before the current wait.
    waited: Duration,
    since: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    pub(crate) fn new(patience: Patience) -> Self {
        Self { patience, octets: 0, waited: Duration::ZERO, since: None, sleep: None }
    }

    /// Changes how long to wait from now on.
    pub(crate) fn allow(&mut self, patience: Patience) {
        self.patience = patience;
    }

    /// This many bytes have come, or have been sent.
    pub(crate) fn progress(&mut self, octets: usize) {
        self.octets += octets as u64;
        if let Some(since) = self.since.take() {
            self.waited += since.elapsed();
        }
    }

    /// Nothing is moving for now. Ready once that has lasted too long.
    pub(crate) fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let due = since + self.left();
        poll_due(&mut self.sleep, due, cx)
    }

    /// How long this wait may last.
    fn left(&self) -> Duration {
        let Patience { stalled, rate } = self.patience;
        if rate == 0 {
            return stalled;
        }
        let earned = Duration::from_secs_f64(self.octets as f64 / rate as f64);
        stalled.min((stalled + earned).saturating_sub(self.waited))
    }
}

/// Ready at `due`. The timer is kept from one wait to the next. One that is set too early is reset only when it fires,
/// so that most waits touch no timer.
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
