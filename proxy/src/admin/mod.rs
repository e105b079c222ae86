//! The admin API: JSON over HTTP, on a Unix socket for everything and on a TCP address for reading. Health and
//! metrics pages are part of it.
//!
//! It reads the roster and the session table like everything else, and changes things only through their owners.

#![allow(unused_qualifications)] // in what the attributes of utoipa expand to

mod audit;
mod backends;
mod bans;
mod caller;
mod certificates;
mod change;
mod changes;
mod console;
mod directory;
mod error;
mod explain;
mod guard;
mod hosts;
mod json_body;
mod keys;
mod log_level;
pub(crate) mod model;
mod moves;
mod openapi;
mod pages;
mod params;
mod rules;
mod scrape;
mod server;
mod sessions;
mod sources;
mod upgrade;

pub(crate) use error::Problem;
pub(crate) use server::{Admin, AdminError, Doors, Inherited};

use crate::acme::Keeper;
use crate::active::CurrentConfig;
use crate::drain::{Drainer, Drains};
use crate::enforce::Enforcer;
use crate::guessing::Guessing;
use crate::https;
use crate::listen::Admission;
use crate::memory::MemoryPressure;
use crate::metrics::Metrics;
use crate::moves::Mover;
use crate::parts::Parts;
use crate::reload;
use crate::route;
use crate::session::Table;
use crate::shutdown::Shutdown;
use crate::succession::{self, Answer, Formers, Program};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::Method;
use axum::middleware;
use axum::routing::{delete, get, post};
use changes::Changes;
use hyper::body::Bytes;
use keys::Keys;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::{RwLock, mpsc};
use tokio::time::Instant;
use usher_backends::directory::Ledger;
use usher_backends::health::Health;
use usher_backends::roster::{AdmissionCounter, Fleet};

/// Longest body of a request, in bytes.
pub(crate) const BODY_CAP: usize = 64 * 1024;
/// The same where it may contain a configuration.
const NEXT_CAP: usize = 8 * 1024 * 1024;

/// What all handlers share.
pub(crate) struct Context {
    config: Arc<CurrentConfig>,
    guessing: Arc<Guessing>,
    directory: Arc<dyn Ledger>,
    router: Arc<route::Router>,
    fleet: Arc<Fleet>,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    sessions: Arc<Table>,
    memory: Arc<MemoryPressure>,
    shutdown: Arc<Shutdown>,
    admission: Admission,
    held_logins: Arc<AdmissionCounter>,
    https: Arc<https::Server>,
    drainer: Arc<Drainer>,
    drains: Arc<Drains>,
    mover: Arc<Mover>,
    enforcer: Arc<Enforcer>,
    formers: Arc<Formers>,
    keeper: Arc<Keeper>,
    orders: Orders,
    keys: Arc<Keys>,
    changes: Changes,
    live: console::Live,
    begun: Instant,
}

/// How what is ordered here reaches whoever does it.
#[derive(Clone)]
pub(crate) struct Orders {
    pub(crate) reloads: mpsc::Sender<reload::Request>,
    pub(crate) upgrades: mpsc::Sender<succession::Request>,
    /// Whoever changes something holds it for reading, and whoever hands over for writing.
    pub(crate) changes: Arc<RwLock<()>>,
    /// What a successor would run.
    pub(crate) program: Arc<Program>,
}

impl Context {
    /// Collects what handlers need from `parts`.
    fn new(parts: &Parts, orders: Orders, keys: Arc<Keys>) -> Self {
        let Parts { acceptor, drainer, sources, mover, enforcer, formers, keeper, .. } = parts;
        let (imap, https) = (&acceptor.imap, acceptor.https.clone());
        Self {
            config: acceptor.config.clone(),
            guessing: imap.guessing.clone(),
            directory: sources.ledger(),
            router: imap.router.clone(),
            fleet: imap.fleet.clone(),
            health: imap.health.clone(),
            metrics: acceptor.metrics.clone(),
            sessions: imap.sessions.clone(),
            memory: acceptor.memory.clone(),
            shutdown: acceptor.shutdown.clone(),
            admission: acceptor.admission.clone(),
            held_logins: imap.held_logins.clone(),
            https,
            drains: drainer.drains.clone(),
            drainer: drainer.clone(),
            mover: mover.clone(),
            enforcer: enforcer.clone(),
            formers: formers.clone(),
            keeper: keeper.clone(),
            orders,
            keys,
            changes: Changes::default(),
            live: console::Live::default(),
            begun: Instant::now(),
        }
    }
}

impl Context {
    /// Asks the processes that this one has succeeded. One that has been succeeded itself asks nobody.
    async fn ask_formers<T: DeserializeOwned>(&self, method: Method, path: &str, by: &str) -> Vec<Answer<T>> {
        match self.shutdown.is_retired() {
            true => Vec::new(),
            false => self.formers.ask(method, path, &Bytes::new(), by).await,
        }
    }

    /// Tells the processes that this one has succeeded what it was told itself.
    async fn tell_formers(&self, path: &str, body: &impl Serialize, by: &str) {
        if !self.shutdown.is_retired() {
            let body = serde_json::to_vec(body).unwrap_or_default().into();
            let _: Vec<Answer<Value>> = self.formers.ask(Method::POST, path, &body, by).await;
        }
    }
}

type State = axum::extract::State<Arc<Context>>;

fn router(context: Arc<Context>) -> Router {
    Router::new()
        .route("/", get(console::page))
        .route("/console/{*name}", get(console::file))
        .route("/livez", get(pages::livez))
        .route("/readyz", get(pages::readyz))
        .route("/metrics", get(pages::metrics))
        .route("/openapi.json", get(openapi::document))
        .route("/v1/status", get(backends::status))
        .route("/v1/config", get(pages::config))
        .route("/v1/config/text", get(pages::config_text))
        .route("/v1/reload", post(change::reload))
        .route("/v1/upgrade", post(upgrade::upgrade))
        .route("/v1/look", post(upgrade::look))
        .route("/v1/hosts", get(backends::hosts).post(hosts::add))
        .route("/v1/hosts/{name}", get(backends::host).patch(hosts::set).delete(hosts::remove))
        .route("/v1/hosts/{name}/drain", post(change::drain))
        .route("/v1/hosts/{name}/stop", post(change::stop))
        .route("/v1/hosts/{name}/start", post(change::start))
        .route("/v1/holds", get(backends::holds))
        .route("/v1/sessions", get(sessions::list).delete(sessions::kick))
        .route("/v1/directory", get(directory::list))
        .route("/v1/directory/{key}", get(directory::show).put(directory::set).delete(directory::remove))
        .route("/v1/directory/{key}/hold", post(directory::hold).delete(directory::release))
        .route("/v1/duplicates", get(directory::duplicates))
        .route("/v1/changes", get(changes::list).post(directory::note))
        .route("/v1/sources", get(sources::list))
        .route("/v1/events", get(console::events))
        .route("/v1/me", get(keys::me))
        .route("/v1/moves", get(moves::list).post(moves::begin_many).delete(moves::stop_many))
        .route("/v1/moves/{key}", get(moves::show).post(moves::begin).delete(moves::undo))
        .route("/v1/moves/{key}/renew", post(moves::renew))
        .route("/v1/moves/{key}/finish", post(moves::finish))
        .route("/v1/moves/{key}/sessions", delete(moves::end_sessions))
        .route("/v1/rules", get(rules::list))
        .route("/v1/rules/test", post(rules::test).layer(DefaultBodyLimit::max(NEXT_CAP)))
        .route("/v1/rules/replay", post(rules::replay).layer(DefaultBodyLimit::max(NEXT_CAP)))
        .route("/v1/bans", get(bans::list).post(bans::ban).delete(bans::unban))
        .route("/v1/certificates", get(certificates::list))
        .route("/v1/log-level", get(log_level::show).post(log_level::raise).delete(log_level::lower))
        .route("/v1/explain", get(explain::explain))
        .layer(DefaultBodyLimit::max(BODY_CAP))
        .layer(middleware::from_fn_with_state(context.clone(), guard::guard))
        .fallback(error::no_such_page)
        .with_state(context)
}
