//! What is needed to serve HTTPS.

use super::http2::idle::Idlers;
use super::message::body::RequestBody;
use super::message::cookies::Cookies;
use super::message::credential::Credentials;
use super::upstream::retry::RetryBudget;
use crate::active::CurrentConfig;
use crate::guessing::Guessing;
use crate::id::Ids;
use crate::memory::MemoryPressure;
use crate::metrics::Metrics;
use crate::refusals::Refusals;
use crate::route::Router;
use crate::session::Table;
use crate::shutdown::Shutdown;
use crate::workers::Workers;
use std::path::Path;
use std::sync::Arc;
use usher_backends::Observer;
use usher_backends::connect::HttpTarget;
use usher_backends::health::Health;
use usher_backends::http::Pool;
use usher_backends::roster::Fleet;

/// Shared by all connections.
pub(crate) struct Server {
    pub(crate) config: Arc<CurrentConfig>,
    pub(crate) guessing: Arc<Guessing>,
    pub(crate) router: Arc<Router>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) health: Arc<Health>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) sessions: Arc<Table>,
    pub(crate) ids: Arc<Ids>,
    pub(crate) memory: Arc<MemoryPressure>,
    pub(crate) workers: Workers,
    pub(crate) shutdown: Arc<Shutdown>,
    /// Delays refusals.
    pub(crate) refusals: Refusals,
    pub(crate) web: Web,
}

/// What outlasts a single request.
pub(crate) struct Web {
    /// Idle connections to backends, separate for each worker.
    pools: Box<[Pool<RequestBody>]>,
    /// Seals usher's own cookies.
    pub(crate) cookies: Cookies,
    /// Makes what stands for credentials, and knows which of them are counted.
    pub(crate) credentials: Credentials,
    /// How many requests may be sent a second time.
    pub(crate) retries: RetryBudget,
    /// HTTP/2 connections that may be idle.
    pub(crate) idlers: Idlers,
}

impl Web {
    /// With the keys of cookies that are in `state_dir`.
    pub(crate) fn open(state_dir: &Path, workers: &Workers) -> Self {
        Self {
            pools: (0..workers.count()).map(|_| Pool::default()).collect(),
            cookies: Cookies::open(state_dir),
            credentials: Credentials::new(),
            retries: RetryBudget::default(),
            idlers: Idlers::default(),
        }
    }

    /// The pool of connections to `target` for the caller: that of its worker or, if connections are limited, one for
    /// all workers.
    pub(crate) fn pool(&self, target: &HttpTarget) -> Option<&Pool<RequestBody>> {
        self.pools.get(if target.bound.is_some() { 0 } else { Workers::here() })
    }

    /// All connections that wait.
    pub(crate) fn pools(&self) -> &[Pool<RequestBody>] {
        &self.pools
    }
}
