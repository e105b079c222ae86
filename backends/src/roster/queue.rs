//! The queue for a home that has come back: logins are served in order of arrival, as many at a time as the host has
//! proved able to take.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How many logins a host is given at a time at first. Each success makes room for one more, so that the number doubles
/// with every round.
const FIRST: u32 = 32;

/// The logins of one host.
#[derive(Default)]
pub struct Logins(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    under_way: u32,
    most: u32,
    /// By time of arrival; the number distinguishes those that arrived together.
    waiting: BTreeMap<(Instant, u64), oneshot::Sender<()>>,
    next: u64,
}

/// A login that is under way.
pub struct UnderWay(Arc<Logins>);

/// Leaves the queue when dropped, even if the waiting task is gone.
struct Waiting<'l> {
    logins: &'l Arc<Logins>,
    at: (Instant, u64),
    is_served: bool,
}

impl Logins {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The host has come back: it is given only a few logins at first.
    pub(super) fn begin(&self) {
        self.inner().most = FIRST;
    }

    /// Waits for a turn. Earlier arrivals, by `come`, are served first.
    pub async fn turn(self: &Arc<Self>, come: Instant) -> UnderWay {
        let (mut waiting, told) = {
            let mut inner = self.inner();
            let at = (come, inner.next);
            inner.next += 1;
            let (tell, told) = oneshot::channel();
            inner.waiting.insert(at, tell);
            inner.let_in();
            (Waiting { logins: self, at, is_served: false }, told)
        };
        // The sender belongs to this queue, which is kept alive.
        let _ = told.await;
        waiting.is_served = true;
        UnderWay(self.clone())
    }
}

impl Inner {
    fn let_in(&mut self) {
        while self.under_way < self.most.max(FIRST)
            && let Some((_, tell)) = self.waiting.pop_first()
        {
            self.under_way += 1;
            // A waiter that is gone gives up its place when it is dropped.
            let _ = tell.send(());
        }
    }
}

impl UnderWay {
    /// The host has accepted the login, so it can take more.
    pub fn taken(&self) {
        let mut inner = self.0.inner();
        inner.most = inner.most.max(FIRST).saturating_add(1);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut inner = self.0.inner();
        inner.under_way = inner.under_way.saturating_sub(1);
        inner.let_in();
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.is_served {
            return;
        }
        let mut inner = self.logins.inner();
        // It was served at the very moment it gave up.
        if inner.waiting.remove(&self.at).is_none() {
            inner.under_way = inner.under_way.saturating_sub(1);
            inner.let_in();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn in_the_order_of_coming_and_no_more_than_it_bears() {
        let logins = Arc::new(Logins::default());
        logins.begin();
        let now = Instant::now();
        let mut first = Vec::new();
        for _ in 0..FIRST {
            first.push(logins.turn(now).await);
        }
        let order = Arc::new(Mutex::new(Vec::new()));
        let tasks: Vec<_> = [3_u64, 1, 2]
            .into_iter()
            .map(|at| {
                let (logins, order) = (logins.clone(), order.clone());
                tokio::spawn(async move {
                    let turn = logins.turn(now + Duration::from_secs(at)).await;
                    order.lock().unwrap().push(at);
                    turn
                })
            })
            .collect();
        while logins.inner().waiting.len() < 3 {
            tokio::task::yield_now().await;
        }
        let gone = tokio::time::timeout(Duration::ZERO, logins.turn(now)).await;
        assert!(gone.is_err(), "there is no room");
        for turn in first.drain(..3) {
            turn.taken();
            drop(turn);
            tokio::task::yield_now().await;
        }
        for task in tasks {
            drop(task.await.unwrap());
        }
        assert_eq!(*order.lock().unwrap(), [1, 2, 3]);
        drop(first);
        assert_eq!(logins.inner().under_way, 0);
        assert_eq!(logins.inner().most, FIRST + 3);
    }
}
