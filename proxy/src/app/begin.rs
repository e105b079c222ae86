//! From what is prepared to what serves.

use super::{Prepared, RunError};
use crate::admin::{Admin, Doors, Orders};
use crate::listen::{self, Sockets};
use crate::lookup::{self, Lookups};
use crate::parts::Parts;
use crate::reload::{self, Content, Reloader};
use crate::succession::BulkUnderWay;
use crate::takeover::{Predecessor, Successor, Unfinished, attend};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::sync::{RwLock, mpsc};
use tokio::task::JoinHandle;

/// Reloads and upgrades that may be queued; senders of further ones have to wait.
const QUEUED: usize = 16;

/// What serves now.
pub(super) struct Begun {
    pub(super) orders: Orders,
    pub(super) admin: Arc<Admin>,
    pub(super) lookups: Arc<Lookups>,
    /// Reloads, until usher stops.
    pub(super) reloading: JoinHandle<Sockets>,
    /// Whether changes of the configuration are put in force by themselves.
    pub(super) watched: bool,
    /// What it and its files held.
    pub(super) loaded: Content,
    pub(super) path: PathBuf,
    /// What is still to be moved, once this process is the one that serves.
    pub(super) bulk: Option<BulkUnderWay>,
    /// Where a predecessor or the service manager listened, and nobody does any longer.
    pub(super) unwanted: Vec<SocketAddr>,
}

/// Lets everybody in: clients at the listeners, operators at the admin API.
pub(super) async fn begin(
    parts: &Parts,
    prepared: Prepared,
    successor: &mut Option<Successor>,
) -> Result<Begun, RunError> {
    let Parts { enforcer, acceptor, mover, sources, fleet, health, .. } = parts;
    let Prepared { path, watched, loaded, lasting, bound, lookups, state_dir, program, admin, unwanted } =
        prepared;
    let bound = listen::watch(&acceptor.workers, bound)?;
    let doors = Doors::open(&acceptor.config.load().snapshot.admin, admin)?;
    // From here on, nothing fails.
    let unfinished = match successor {
        Some(successor) => successor.ready()?,
        None => Unfinished::default(),
    };
    acceptor.imap.guessing.go_on_with(&unfinished.guesses);
    // Before anybody is let in.
    mover.recover(&unfinished.moves);
    let formers = parts.formers.clone();
    tokio::spawn(async move { formers.look().await });
    let (reloads, requests) = mpsc::channel(QUEUED);
    let (upgrades, successions) = mpsc::channel(QUEUED);
    let changes = Arc::new(RwLock::default());
    let program = Arc::new(program);
    let orders = Orders { reloads, upgrades, changes: changes.clone(), program: program.clone() };
    // Before anybody can be served, so that whoever sees usher serving can query it.
    let admin = Arc::new(Admin::serve(parts, orders.clone(), doors));
    let mut sockets = Sockets::default();
    let listeners = acceptor.config.load().snapshot.listeners.clone();
    sockets.follow(acceptor, bound, &listeners).await;
    let server = lookup::Server {
        config: acceptor.config.clone(),
        router: acceptor.imap.router.clone(),
        metrics: acceptor.metrics.clone(),
        shutdown: acceptor.shutdown.clone(),
    };
    let lookups = Arc::new(lookup::serve(lookups, &Arc::new(server)));
    if unfinished.reload {
        // Its result is logged.
        let _ = orders.reloads.try_send(reload::Request::new().0);
    }
    let predecessor = Predecessor {
        program,
        acceptor: acceptor.clone(),
        admin: admin.clone(),
        lookups: lookups.clone(),
        mover: mover.clone(),
        fleet: fleet.clone(),
        tickets: lasting.tickets.clone(),
        changes,
        state_dir: Mutex::new(Some(state_dir)),
    };
    let reloader = Reloader {
        acceptor: acceptor.clone(),
        directory: sources.ledger(),
        enforcer: enforcer.clone(),
        fleet: fleet.clone(),
        health: health.clone(),
        path: path.clone(),
        lasting,
        sockets,
        formers: parts.formers.clone(),
    };
    let reloading = tokio::spawn(attend(reloader, predecessor, requests, successions));
    Ok(Begun { orders, admin, lookups, reloading, watched, loaded, path, bulk: unfinished.bulk, unwanted })
}
