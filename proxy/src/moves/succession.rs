//! Moves that go on in another process.

use super::{Bulk, BulkOrder, Mover, PATIENCE};
use crate::succession::{BulkUnderWay, MoveUnderWay};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use usher_policy::access::Pattern;

/// Interval at which a move of many keys is asked whether it has come to rest.
const LOOK: Duration = Duration::from_millis(20);
/// Longest time for the keys that are just being moved.
const LAST: Duration = Duration::from_secs(25);

/// Keys are still being moved.
pub(crate) struct StillMoving;

/// Whether nothing is moved any more before `patience` is over.
async fn over(bulk: &Bulk, patience: Duration) -> bool {
    let until = Instant::now() + patience;
    while !bulk.is_over() && Instant::now() < until {
        sleep(LOOK).await;
    }
    bulk.is_over()
}

impl Mover {
    /// Lets a move of many keys rest. Returns what is left of it, unless an operator has stopped it.
    ///
    /// # Errors
    /// Keys are still being moved; it goes on once they have been.
    pub(crate) async fn pause(self: &Arc<Self>) -> Result<Option<BulkUnderWay>, StillMoving> {
        let Some(bulk) = self.bulk().filter(|bulk| !bulk.is_over()) else { return Ok(None) };
        let rest = (!bulk.stop()).then(|| bulk.rest());
        if over(&bulk, LAST).await {
            return Ok(rest);
        }
        let mover = self.clone();
        tokio::spawn(async move {
            while !over(&bulk, LAST).await {}
            rest.into_iter().for_each(|rest| mover.go_on(rest));
        });
        Err(StillMoving)
    }

    /// Gives everybody who has begun a move time to say that they are still there.
    pub(crate) fn wait_anew(&self) {
        self.moves.wait_anew(Instant::now() + PATIENCE);
    }

    /// Goes on with a move of many keys.
    pub(crate) fn go_on(self: &Arc<Self>, bulk: BulkUnderWay) {
        let BulkUnderWay { from, to, matching, rate, by } = bulk;
        let matching = matching.map(|matching| Pattern::new(&matching));
        if let Err(error) = self.begin_bulk(BulkOrder { from, to, matching, rate, by }) {
            tracing::error!(%error, "the rest of many keys is not moved");
        }
    }

    /// The keys that are held for a move, whose movers will finish it.
    pub(crate) fn under_way(&self) -> Vec<MoveUnderWay> {
        self.moves.held()
    }
}
