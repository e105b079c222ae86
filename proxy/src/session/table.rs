//! The table of live sessions. An entry is made before its host is looked up, so that whoever ends sessions misses none
//! that is just being set up.

use super::order::{Order, Why};
use crate::id::Id;
use crate::shutdown::Shutdown;
use atomic_waker::AtomicWaker;
use dashmap::DashMap;
use foldhash::fast::RandomState;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;
use tokio::time::Instant;
use usher_backends::roster::BackendId;
use usher_config::snapshot::Protocol;
use usher_policy::access::Name;
use usher_wire::follow::Rest;

/// What is known of a session from its beginning.
pub(crate) struct About {
    pub(crate) id: Id,
    pub(crate) protocol: Protocol,
    /// The listener's address, as it is configured.
    pub(crate) listener: Arc<str>,
    pub(crate) client: SocketAddr,
    /// The key that was looked up; empty on plain TCP.
    pub(crate) user: Box<str>,
    /// The version of TLS, or "none".
    pub(crate) tls: &'static str,
    /// Everybody whom the login shows, if that is not just `user`.
    pub(crate) names: Option<Box<[Name]>>,
    /// How the client has logged in, or where its request names the user.
    pub(crate) mechanism: Option<&'static str>,
    /// The client has shown a certificate that is trusted.
    pub(crate) has_certificate: bool,
}

/// What a session is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Doing {
    /// Its backend is being contacted.
    Connecting,
    /// Its backend has let it in, and it is about to be joined with it.
    Joining,
    /// A command is running; always the case for plain TCP.
    Busy,
    /// Every command has its answer.
    Between,
    /// It waits for news, in IDLE.
    Idle,
    /// One side of plain TCP has ended, and the other has not yet.
    Closing,
}

impl Doing {
    /// A word of a closed set, for people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Connecting | Self::Joining => "connecting",
            Self::Busy => "busy",
            Self::Between => "between commands",
            Self::Idle => "idle",
            Self::Closing => "closing",
        }
    }
}

impl From<Rest> for Doing {
    fn from(rest: Rest) -> Self {
        match rest {
            Rest::Idle => Self::Idle,
            Rest::Between => Self::Between,
            Rest::Busy => Self::Busy,
        }
    }
}

/// One session, as far as others may see it.
pub(crate) struct Session {
    pub(crate) about: About,
    backend: Mutex<Option<BackendId>>,
    /// The origin of the times below.
    epoch: Instant,
    /// When it began, in seconds.
    begun: u32,
    order: AtomicU8,
    lasts: AtomicBool,
    waker: AtomicWaker,
    doing: AtomicU8,
    /// When the last byte passed, in seconds.
    active: AtomicU32,
    /// Since when bytes have been waiting for a peer, in seconds, plus one; 0: none are waiting.
    blocked: AtomicU32,
}

impl Session {
    /// Notes where it is going, before it goes there.
    pub(crate) fn goes_to(&self, backend: &BackendId) {
        *self.lock_backend() = Some(backend.clone());
    }

    /// Where it is going, once that is known.
    pub(crate) fn backend(&self) -> Option<BackendId> {
        self.lock_backend().clone()
    }

    fn lock_backend(&self) -> MutexGuard<'_, Option<BackendId>> {
        self.backend.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is going to the machine called `name`.
    pub(crate) fn is_at(&self, name: &str) -> bool {
        self.lock_backend().as_ref().is_some_and(|backend| &*backend.name == name)
    }

    /// Gives it an order; one that outranks this stays in place. Returns whether it is new.
    pub(crate) fn tell(&self, order: Order) -> bool {
        let news = self.order.fetch_max(order.rank(), Ordering::AcqRel) < order.rank();
        if news {
            self.waker.wake();
        }
        news
    }

    /// Lets it know, the first time, that it is one of those that last.
    pub(crate) fn note_lasting(&self) {
        if !self.lasts.load(Ordering::Relaxed) && !self.lasts.swap(true, Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    /// Whether it is one of those that last: most are over in less than a second.
    pub(crate) fn is_lasting(&self) -> bool {
        self.lasts.load(Ordering::Acquire)
    }

    /// The order that it has been given.
    pub(crate) fn told(&self) -> Option<Order> {
        Order::ranked(self.order.load(Ordering::Acquire))
    }

    /// The order that it has been given. `waker` is woken by the next one.
    pub(crate) fn order(&self, waker: &Waker) -> Option<Order> {
        self.waker.register(waker);
        self.told()
    }

    /// Returns once it is to end before it has begun: it is told so, or usher stops, of which all are woken.
    pub(crate) async fn called_off(&self, shutdown: &Shutdown) -> Why {
        std::future::poll_fn(|cx| match self.order(cx.waker()) {
            _ if shutdown.has_begun() => Poll::Ready(Why::Stopping),
            Some(order) => Poll::Ready(order.why),
            None => Poll::Pending,
        })
        .await
    }

    /// Lets it look again at what concerns all.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    /// Notes that bytes came or went.
    pub(crate) fn note_activity(&self) {
        self.active.store(self.second(), Ordering::Relaxed);
    }

    /// Notes whether it is about to be joined with its backend.
    pub(crate) fn note_joined(&self, joined: bool) {
        let doing = if joined { Doing::Joining } else { Doing::Connecting };
        self.doing.store(doing as u8, Ordering::SeqCst);
        std::sync::atomic::fence(Ordering::SeqCst);
    }

    /// Notes what it is doing.
    pub(crate) fn note_doing(&self, doing: Doing) {
        self.doing.store(doing as u8, Ordering::Relaxed);
    }

    /// What it is doing.
    pub(crate) fn doing(&self) -> Doing {
        let doing = self.doing.load(Ordering::Relaxed);
        let all =
            [Doing::Connecting, Doing::Joining, Doing::Busy, Doing::Between, Doing::Idle, Doing::Closing];
        all.into_iter().find(|one| *one as u8 == doing).unwrap_or(Doing::Busy)
    }

    /// Whether it can be ended without cutting anything off: it is in IDLE, or nothing is running and no byte has
    /// passed for `quiet`.
    pub(crate) fn is_quiet(&self, quiet: Duration) -> bool {
        match self.doing() {
            Doing::Idle => true,
            Doing::Between => u64::from(self.idle_seconds()) >= quiet.as_secs(),
            Doing::Connecting | Doing::Joining | Doing::Busy | Doing::Closing => false,
        }
    }

    /// Notes whether bytes are waiting for a peer, and whether a peer has taken some since the last time: reading
    /// slowly is not the same as not reading.
    pub(crate) fn note_blocked(&self, blocked: bool, moved: bool) {
        let since = self.blocked.load(Ordering::Relaxed);
        match (blocked, since) {
            (true, 0) => self.blocked.store(self.second() + 1, Ordering::Relaxed),
            (true, _) if moved => self.blocked.store(self.second() + 1, Ordering::Relaxed),
            (false, 1..) => self.blocked.store(0, Ordering::Relaxed),
            _ => {}
        }
    }

    /// Seconds since it began.
    pub(crate) fn seconds(&self) -> u32 {
        self.second().saturating_sub(self.begun)
    }

    /// Seconds without a byte.
    pub(crate) fn idle_seconds(&self) -> u32 {
        self.second().saturating_sub(self.active.load(Ordering::Relaxed))
    }

    /// Seconds for which bytes have been waiting.
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
    sessions: DashMap<Id, Arc<Session>, RandomState>,
}

/// A session's place in the table. The session is removed when this is dropped, however it ends.
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
        self.table.sessions.remove(&self.session.about.id);
    }
}

impl Table {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self { epoch: Instant::now(), sessions: DashMap::default() }
    }

    /// Enters a session.
    pub(crate) fn enter(self: &Arc<Self>, about: About) -> Entry {
        let id = about.id;
        let mut session = Session {
            about,
            backend: Mutex::new(None),
            epoch: self.epoch,
            begun: 0,
            order: AtomicU8::new(0),
            lasts: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            doing: AtomicU8::new(Doing::Connecting as u8),
            active: AtomicU32::new(0),
            blocked: AtomicU32::new(0),
        };
        session.begun = session.second();
        session.active = AtomicU32::new(session.begun);
        let session = Arc::new(session);
        self.sessions.insert(id, session.clone());
        Entry { table: self.clone(), session }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// The current sessions that `chosen` selects.
    pub(crate) fn select(&self, chosen: impl Fn(&Session) -> bool) -> Vec<Arc<Session>> {
        let all = self.sessions.iter();
        all.filter(|entry| chosen(entry.value())).map(|entry| entry.value().clone()).collect()
    }

    /// Shows each to `visit`, which must not block.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&Session)) {
        self.sessions.iter().for_each(|entry| visit(entry.value()));
    }
}
