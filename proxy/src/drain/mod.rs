//! Stopping: no new connections, goodbye to those before login, time for the sessions, then goodbye to them.

use crate::session::Order;
use crate::shared::Shared;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// Between two looks at how many sessions are left.
const LOOK: Duration = Duration::from_millis(50);
/// For responses that are under way when a session is told goodbye.
const GRACE: Duration = Duration::from_secs(5);

/// Waits until no session is left: by itself until the drain deadline, then by goodbyes spread over the
/// goodbye window, then by force.
pub(crate) async fn drain(shared: &Arc<Shared>) {
    let deadline = shared.snapshot.server.drain_deadline;
    let limits = &shared.snapshot.limits;
    // Those before login hear of it by themselves; they get the time that a goodbye takes.
    until(Instant::now() + limits.farewell + LOOK * 4, || shared.doors.count() == 0).await;
    tracing::info!(
        sessions = shared.sessions.len(),
        seconds = deadline.as_secs_f64(),
        "stopping: waiting for sessions"
    );
    if emptied(shared, Instant::now() + deadline).await {
        return;
    }
    let sessions = shared.sessions.all();
    tracing::info!(sessions = sessions.len(), "stopping: the drain deadline has passed, saying goodbye");
    let begun = Instant::now();
    let gap = limits.goodbye_window.checked_div(u32::try_from(sessions.len()).unwrap_or(u32::MAX));
    for (at, session) in sessions.iter().enumerate() {
        let wait = gap.unwrap_or_default().saturating_mul(u32::try_from(at).unwrap_or(u32::MAX));
        sleep_until(begun + wait).await;
        session.tell(Order::Goodbye);
    }
    if emptied(shared, Instant::now() + GRACE + limits.farewell).await {
        return;
    }
    tracing::warn!(sessions = shared.sessions.len(), "stopping: ending the rest");
    shared.sessions.for_each(|session| session.tell(Order::End));
    emptied(shared, Instant::now() + limits.farewell + LOOK * 4).await;
}

/// Whether no session is left at some moment before `deadline`.
async fn emptied(shared: &Shared, deadline: Instant) -> bool {
    until(deadline, || shared.sessions.len() == 0).await
}

/// Whether `is_so` becomes true before `deadline`.
async fn until(deadline: Instant, is_so: impl Fn() -> bool) -> bool {
    loop {
        if is_so() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        sleep(LOOK).await;
    }
}
