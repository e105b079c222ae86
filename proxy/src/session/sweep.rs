//! One coarse clock for all sessions' long deadlines, in place of a timer each.

use super::Order;
use crate::shared::Shared;
use std::sync::Arc;
use std::time::Duration;

/// Looks at all sessions every now and then, for as long as the program runs.
pub(crate) async fn sweep(shared: Arc<Shared>) {
    let limits = &shared.snapshot.limits;
    // Often enough to keep a short limit, seldom enough to cost nothing.
    let shortest = limits.idle.min(limits.stalled);
    let mut ticks =
        tokio::time::interval((shortest / 4).clamp(Duration::from_millis(250), Duration::from_secs(5)));
    loop {
        ticks.tick().await;
        shared.sessions.for_each(|session| {
            let idle = u64::from(session.idle_seconds());
            // Idle in the middle of a response that does not go on: no end of it is worth waiting for.
            let hung = idle > limits.idle.as_secs() + limits.stalled.as_secs();
            if hung || u64::from(session.blocked_seconds()) > limits.stalled.as_secs() {
                session.tell(Order::Stalled);
            } else if idle > limits.idle.as_secs() {
                session.tell(Order::Idle);
            }
        });
    }
}
