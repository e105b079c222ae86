//! Background tasks that run while connections are served.

use super::sweep::sweep;
use crate::enforce::{self, Enforcer};
use crate::guessing::Guessing;
use crate::https;
use crate::listen::Acceptor;
use crate::login;
use crate::moves::Mover;
use crate::remembered;
use std::sync::Arc;
use std::time::Duration;
use usher_backends::directory::Directory;

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
    directory: Arc<Directory>,
    enforcer: Arc<Enforcer>,
    mover: Arc<Mover>,
) {
    let (router, sessions) = (acceptor.imap.router.clone(), acceptor.imap.sessions.clone());
    tokio::spawn(enforce::follow(enforcer.clone(), acceptor.config.clone(), router, sessions));
    tokio::spawn(sweep(acceptor.config.clone(), acceptor.https.clone(), acceptor.memory.clone()));
    tokio::spawn(keep_guesses(acceptor.imap.guessing.clone()));
    tokio::spawn(remembered::keep(acceptor.imap.router.remembered.clone(), SAVE));
    tokio::spawn(undo_abandoned(mover));
    tokio::spawn(watch_memory(acceptor.clone()));
    tokio::spawn(tidy_up(acceptor.imap.clone(), acceptor.https.clone()));
    tokio::spawn(follow_directory(directory, enforcer));
}

async fn tidy_up(imap: Arc<login::Server>, https: Arc<https::Server>) {
    loop {
        tokio::time::sleep(TIDY).await;
        https.metrics.tidy_up();
        let active = https.config.load();
        https.web.pools().iter().for_each(|pool| pool.sweep(active.snapshot.limits.http_backend_idle));
        https.web.cookies.rotate(active.snapshot.https.cookie_age);
        let (imap, https) = (imap.clone(), https.clone());
        let _ = tokio::task::spawn_blocking(move || keep_what_is_learnt(&imap, &https)).await;
    }
}

/// Saves what has been learnt of hosts.
fn keep_what_is_learnt(imap: &login::Server, https: &https::Server) {
    let roster = https.fleet.roster();
    let is_known = |host: &str| roster.standings(host).next().is_some();
    let conversations = &imap.conversations;
    let of_imap = [&imap.refusals, &imap.token_refusals, &conversations.firsts, &conversations.finals];
    of_imap.into_iter().chain([&https.refusals]).for_each(|refusals| refusals.keep(is_known));
    conversations.shapes.keep(is_known);
    imap.whys.keep(is_known);
}

/// Saves who has logged in from where, and forgets bans that are over.
async fn keep_guesses(guessing: Arc<Guessing>) {
    loop {
        tokio::time::sleep(SAVE).await;
        let guessing = guessing.clone();
        let _ = tokio::task::spawn_blocking(move || guessing.tidy_up()).await;
    }
}

/// Undoes the moves that nobody finishes.
async fn undo_abandoned(mover: Arc<Mover>) {
    loop {
        tokio::time::sleep(ABANDONED).await;
        let mover = mover.clone();
        let _ = tokio::task::spawn_blocking(move || mover.undo_abandoned()).await;
    }
}

async fn watch_memory(acceptor: Arc<Acceptor>) {
    loop {
        acceptor.memory.look(acceptor.config.load().snapshot.limits.memory);
        tokio::time::sleep(MEMORY).await;
    }
}

/// Follows what other processes change in the directory, and forgets it.
async fn follow_directory(directory: Arc<Directory>, enforcer: Arc<Enforcer>) {
    loop {
        let followed = directory.clone();
        // A directory that cannot be read is reported where logins need it.
        let followed = tokio::task::spawn_blocking(move || followed.follow_changes()).await;
        if let Ok(Ok(true)) = followed {
            enforcer.look();
        }
        tokio::time::sleep(FOLLOW).await;
    }
}
