//! What is known of a connection before its login.

use super::server::Server;
use crate::active::ListenerContext;
use crate::id::Id;
use crate::log::{self, Timed};
use std::net::SocketAddr;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use usher_config::Snapshot;
use usher_config::snapshot::Protocol;

/// One connection before its login.
pub(crate) struct PreLogin {
    pub(crate) server: Arc<Server>,
    /// The configuration that it began with, and its listener in it.
    pub(crate) at: ListenerContext,
    pub(crate) id: Id,
    /// The client, as the PROXY header tells where one is demanded.
    pub(crate) client: SocketAddr,
    /// The address of usher's that it connected to.
    pub(crate) local: SocketAddr,
    pub(crate) begun: Instant,
    /// Whose login came to nothing last, and where.
    pub(crate) tried: Mutex<Option<Tried>>,
    /// How long the last login has waited for the client itself.
    pub(crate) waited: Mutex<Duration>,
    /// How many logins have been tried.
    pub(crate) attempts: AtomicU32,
}

/// A login that came to nothing.
#[derive(Clone)]
pub(crate) struct Tried {
    pub(crate) user: Arc<str>,
    pub(crate) host: Arc<str>,
}

impl PreLogin {
    /// The configuration.
    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.at.active.snapshot
    }

    /// What is spoken on its listener.
    pub(crate) fn protocol(&self) -> Protocol {
        self.at.listener().protocol()
    }

    /// Notes whose login has come to nothing, and where.
    pub(crate) fn note_tried(&self, user: &str, host: Arc<str>) {
        let tried = Tried { user: user.into(), host };
        *self.tried.lock().unwrap_or_else(PoisonError::into_inner) = Some(tried);
    }

    /// Logs a stage of a login that `took` so long, if it was slow.
    pub(crate) fn tell_if_slow(&self, stage: &'static str, host: &str, user: &str, took: Duration) {
        log::slow(&Timed { stage, host, user, session: &self.id, took });
    }

    /// Notes how long a login has waited for the client itself.
    pub(crate) fn note_waited(&self, waited: Duration) {
        *self.waited.lock().unwrap_or_else(PoisonError::into_inner) = waited;
    }

    /// How long that was.
    pub(crate) fn take_waited(&self) -> Duration {
        std::mem::take(&mut self.waited.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whose login came to nothing last.
    pub(crate) fn take_tried(&self) -> Option<Tried> {
        self.tried.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
