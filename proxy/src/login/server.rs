//! What is needed to serve mail logins.

use super::conversations::Conversations;
use super::whys::Whys;
use crate::guessing::Guessing;
use crate::id::Ids;
use crate::metrics::Metrics;
use crate::refusals::Refusals;
use crate::route::Router;
use crate::session::Table;
use crate::shutdown::Shutdown;
use std::sync::Arc;
use usher_backends::Observer;
use usher_backends::health::Health;
use usher_backends::roster::{AdmissionCounter, Fleet};

/// Shared by all connections.
pub(crate) struct Server {
    pub(crate) guessing: Arc<Guessing>,
    pub(crate) router: Arc<Router>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) health: Arc<Health>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) sessions: Arc<Table>,
    pub(crate) ids: Arc<Ids>,
    pub(crate) shutdown: Arc<Shutdown>,
    /// Counts the logins that wait for a host that is out.
    pub(crate) held_logins: Arc<AdmissionCounter>,
    /// Why tokens are refused.
    pub(crate) whys: Whys,
    /// Delays refusals.
    pub(crate) refusals: Refusals,
    /// How hosts talk to clients.
    pub(crate) conversations: Conversations,
    /// The same for tokens.
    pub(crate) token_refusals: Refusals,
}
