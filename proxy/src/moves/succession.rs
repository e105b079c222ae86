//! Moves that go on in another process.

use super::{BulkOrder, Mover};
use crate::succession::{BulkUnderWay, MoveUnderWay};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use usher_policy::access::Pattern;

/// Interval at which a move of many keys is asked whether it has come to rest.
const LOOK: Duration = Duration::from_millis(20);
/// Longest time for the keys that are just being moved.
const LAST: Duration = Duration::from_secs(25);

impl Mover {
    /// Lets a move of many keys rest. Returns what is left of it.
    pub(crate) async fn pause(&self) -> Option<BulkUnderWay> {
        let bulk = self.bulk().filter(|bulk| !bulk.is_over())?;
        bulk.stop();
        let until = Instant::now() + LAST;
        while !bulk.is_over() && Instant::now() < until {
            sleep(LOOK).await;
        }
        Some(bulk.rest())
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
