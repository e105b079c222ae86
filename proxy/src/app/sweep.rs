//! One coarse timer for the long deadlines of all sessions, instead of one timer each.

use crate::active::CurrentConfig;
use crate::https;
use crate::memory::MemoryPressure;
use crate::session::{Doing, Order, Why};
use std::sync::Arc;
use std::time::Duration;
use usher_config::snapshot::Protocol;

/// Time without a byte after which a session is ended whose client has closed but whose backend has not.
const LEFT: Duration = Duration::from_secs(30);

/// Looks at all sessions every now and then, for as long as the program runs.
pub(super) async fn sweep(
    config: Arc<CurrentConfig>,
    https: Arc<https::Server>,
    memory: Arc<MemoryPressure>,
) {
    loop {
        let (idle_limit, stalled_limit, http_idle) = {
            let active = config.load();
            let limits = &active.snapshot.limits;
            (limits.idle, limits.stalled, limits.http_idle)
        };
        // Often enough for a short limit, seldom enough to cost nothing.
        let shortest = idle_limit.min(stalled_limit).min(http_idle);
        tokio::time::sleep((shortest / 4).clamp(Duration::from_millis(250), Duration::from_secs(5))).await;
        https.web.idlers.sweep(http_idle, memory.level() > 0);
        https.sessions.for_each(|session| {
            if session.doing() == Doing::Connecting {
                return;
            }
            session.note_lasting();
            let idle = u64::from(session.idle_seconds());
            // On plain TCP, silence means nothing as long as both sides are there; the sockets' keepalive finds dead
            // peers. Requests have deadlines of their own.
            let tacit = matches!(session.about.protocol, Protocol::Tcp | Protocol::Https);
            let closing = session.doing() == Doing::Closing;
            let speaks = !tacit || closing;
            // Its client is gone, and the other side does not close. Only on plain TCP may somebody have said
            // everything and be waiting for an answer that takes its time.
            let abandoned = closing
                && session.about.protocol != Protocol::Tcp
                && idle > LEFT.min(stalled_limit).as_secs();
            // Idle in the middle of a response that has stopped: its end is not worth waiting for.
            let hung = idle > idle_limit.as_secs() + stalled_limit.as_secs();
            if abandoned || (speaks && hung) || u64::from(session.blocked_seconds()) > stalled_limit.as_secs()
            {
                session.tell(Order::end(Why::Stalled));
            } else if speaks && idle > idle_limit.as_secs() {
                session.tell(Order::goodbye(Why::Idle));
            }
        });
    }
}
