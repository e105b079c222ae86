//! Background tasks that run while connections are served.

use super::sweep::sweep;
use crate::acme::{self, Keeper};
use crate::enforce::{self, Enforcer};
use crate::kept::{keep_what_is_learnt, keep_who_has_come};
use crate::listen::Acceptor;
use crate::moves::Mover;
use crate::service_manager;
use crate::succession::Formers;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::RwLock;
use usher_backends::sources::Sources;

/// Interval at which metrics are tidied up.
const TIDY: Duration = Duration::from_secs(5);
/// Interval at which memory is checked.
const MEMORY: Duration = Duration::from_millis(500);
/// Interval at which changes by other processes to the directory are checked.
const FOLLOW: Duration = Duration::from_millis(500);

/// Interval at which remembered logins are saved.
const SAVE: Duration = Duration::from_secs(60);

/// Interval at which moves are looked for whose mover has gone.
const ABANDONED: Duration = Duration::from_secs(1);

/// Starts all of it.
pub(super) fn start(
    acceptor: &Arc<Acceptor>,
    sources: Arc<Sources>,
    enforcer: Arc<Enforcer>,
    mover: Arc<Mover>,
    formers: Arc<Formers>,
    changes: Arc<RwLock<()>>,
    keeper: Arc<Keeper>,
) {
    let (router, sessions) = (acceptor.imap.router.clone(), acceptor.imap.sessions.clone());
    tokio::spawn(enforce::follow(enforcer.clone(), acceptor.config.clone(), router, sessions));
    tokio::spawn(sweep(acceptor.config.clone(), acceptor.https.clone(), acceptor.memory.clone()));
    tokio::spawn(keep_logins(acceptor.clone()));
    tokio::spawn(end_moves(acceptor.clone(), mover, formers, changes));
    tokio::spawn(service_manager::follow_watchdog(acceptor.workers.clone(), acceptor.shutdown.clone()));
    tokio::spawn(watch_memory(acceptor.clone()));
    tokio::spawn(tidy_up(acceptor.clone()));
    tokio::spawn(follow_directory(sources, enforcer));
    tokio::spawn(acme::keep(keeper));
}

async fn tidy_up(acceptor: Arc<Acceptor>) {
    loop {
        tokio::time::sleep(TIDY).await;
        let https = &acceptor.https;
        https.metrics.tidy_up();
        let active = https.config.load();
        https.web.pools().iter().for_each(|pool| pool.sweep(active.snapshot.limits.http_backend_idle));
        if acceptor.shutdown.is_retired() {
            // The files are a successor's.
            continue;
        }
        https.web.cookies.rotate(active.snapshot.https.cookie_age);
        let acceptor = acceptor.clone();
        let _ = tokio::task::spawn_blocking(move || keep_what_is_learnt(&acceptor)).await;
    }
}

/// Saves who has logged in from where, and forgets bans that are over.
async fn keep_logins(acceptor: Arc<Acceptor>) {
    loop {
        tokio::time::sleep(SAVE).await;
        if acceptor.shutdown.is_retired() {
            return;
        }
        let acceptor = acceptor.clone();
        let _ = tokio::task::spawn_blocking(move || keep_who_has_come(&acceptor)).await;
    }
}

/// Undoes the moves that nobody finishes, and ends those that a former process has left once the directory says how.
async fn end_moves(
    acceptor: Arc<Acceptor>,
    mover: Arc<Mover>,
    formers: Arc<Formers>,
    changes: Arc<RwLock<()>>,
) {
    loop {
        tokio::time::sleep(ABANDONED).await;
        // Those that are handed over are a successor's.
        let _changing = changes.read().await;
        if acceptor.shutdown.is_retired() {
            return;
        }
        let mover = mover.clone();
        let ending = move || {
            let are_settled = mover.settle_the_rest();
            mover.undo_abandoned() || are_settled
        };
        if let Ok(true) = tokio::task::spawn_blocking(ending).await {
            formers.look().await;
        }
    }
}

async fn watch_memory(acceptor: Arc<Acceptor>) {
    loop {
        acceptor.memory.look(acceptor.config.load().snapshot.limits.memory);
        tokio::time::sleep(MEMORY).await;
    }
}

/// Follows what other processes change in the directory, and forgets it.
async fn follow_directory(sources: Arc<Sources>, enforcer: Arc<Enforcer>) {
    loop {
        let followed = sources.clone();
        // A directory that cannot be read is reported where logins need it.
        let followed = tokio::task::spawn_blocking(move || followed.follow_changes()).await;
        if let Ok(Ok(true)) = followed {
            enforcer.look();
        }
        tokio::time::sleep(FOLLOW).await;
    }
}
