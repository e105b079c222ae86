//! The table of live sessions. An entry is made before its backend is contacted, so that whoever ends
//! sessions misses none that is just being set up.

use crate::shared::Id;
use atomic_waker::AtomicWaker;
use dashmap::DashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::task::Waker;
use tokio::time::Instant;

/// What a session can be told. Later ones outrank earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    /// Go on.
    None,
    /// End between two responses: no octet for too long.
    Idle,
    /// End between two responses: usher stops.
    Goodbye,
    /// End at once: the peer does not read.
    Stalled,
    /// End at once: the time for a goodbye is over.
    End,
}

/// One session, as far as others may see it.
pub(crate) struct Session {
    id: Id,
    /// Where seconds count from.
    epoch: Instant,
    order: AtomicU8,
    waker: AtomicWaker,
    /// The second of the last octet, counted from the table's beginning.
    active: AtomicU32,
    /// The second since which octets wait for a peer, plus one; 0: none wait.
    blocked: AtomicU32,
}

impl Session {
    /// Tells the session; what outranks it stays.
    pub(crate) fn tell(&self, order: Order) {
        if self.order.fetch_max(order as u8, Ordering::AcqRel) < order as u8 {
            self.waker.wake();
        }
    }

    /// What it has been told. `waker` is woken at the next order.
    pub(crate) fn order(&self, waker: &Waker) -> Order {
        self.waker.register(waker);
        let told = self.order.load(Ordering::Acquire);
        [Order::Idle, Order::Goodbye, Order::Stalled, Order::End]
            .into_iter()
            .find(|order| *order as u8 == told)
            .unwrap_or(Order::None)
    }

    /// Notes that octets came or went.
    pub(crate) fn note_activity(&self) {
        self.active.store(self.second(), Ordering::Relaxed);
    }

    /// Notes whether octets wait for a peer, and whether a peer has taken some since the last time: one that
    /// reads slowly is not one that does not read.
    pub(crate) fn note_blocked(&self, blocked: bool, moved: bool) {
        let since = self.blocked.load(Ordering::Relaxed);
        match (blocked, since) {
            (true, 0) => self.blocked.store(self.second() + 1, Ordering::Relaxed),
            (true, _) if moved => self.blocked.store(self.second() + 1, Ordering::Relaxed),
            (false, 1..) => self.blocked.store(0, Ordering::Relaxed),
            _ => {}
        }
    }

    /// Seconds without an octet.
    pub(crate) fn idle_seconds(&self) -> u32 {
        self.second().saturating_sub(self.active.load(Ordering::Relaxed))
    }

    /// Seconds for which octets have been waiting.
    pub(crate) fn blocked_seconds(&self) -> u32 {
        match self.blocked.load(Ordering::Relaxed) {
            0 => 0,
            since => (self.second() + 1).saturating_sub(since),
        }
    }

    fn second(&self) -> u32 {
        u32::try_from(self.epoch.elapsed().as_secs()).unwrap_or(u32::MAX - 1)
    }
}

/// All sessions of this process.
pub(crate) struct Table {
    epoch: Instant,
    sessions: DashMap<Id, Arc<Session>>,
}

/// A session's place in the table, which it leaves when this is dropped, however it ends.
pub(crate) struct Entry {
    table: Arc<Table>,
    session: Arc<Session>,
}

impl std::ops::Deref for Entry {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.table.sessions.remove(&self.session.id);
    }
}

impl Table {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self { epoch: Instant::now(), sessions: DashMap::new() }
    }

    /// Enters a session.
    pub(crate) fn enter(self: &Arc<Self>, id: Id) -> Entry {
        let session = Arc::new(Session {
            id,
            epoch: self.epoch,
            order: AtomicU8::new(Order::None as u8),
            waker: AtomicWaker::new(),
            active: AtomicU32::new(0),
            blocked: AtomicU32::new(0),
        });
        session.note_activity();
        self.sessions.insert(id, session.clone());
        Entry { table: self.clone(), session }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// All of them at this moment.
    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        self.sessions.iter().map(|entry| entry.value().clone()).collect()
    }

    /// Shows each to `visit`, which must not block.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&Session)) {
        self.sessions.iter().for_each(|entry| visit(entry.value()));
    }
}
