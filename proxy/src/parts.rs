//! What usher consists of while it runs.

use crate::acme::Keeper;
use crate::drain::Drainer;
use crate::enforce::Enforcer;
use crate::listen::Acceptor;
use crate::moves::Mover;
use crate::succession::Formers;
use std::sync::Arc;
use usher_backends::health::Health;
use usher_backends::roster::Fleet;
use usher_backends::sources::Sources;

/// What runs.
pub(crate) struct Parts {
    pub(crate) enforcer: Arc<Enforcer>,
    pub(crate) acceptor: Arc<Acceptor>,
    pub(crate) drainer: Arc<Drainer>,
    pub(crate) mover: Arc<Mover>,
    pub(crate) sources: Arc<Sources>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) health: Arc<Health>,
    pub(crate) formers: Arc<Formers>,
    pub(crate) keeper: Arc<Keeper>,
}
