//! What looks after things while connections are served.

use super::sweep::sweep;
use crate::https;
use crate::listen::Acceptor;
use crate::login;
use std::sync::Arc;
use std::time::Duration;
use usher_backends::directory::Directory;

/// Between two times at which metrics are tidied up.
const TIDY: Duration = Duration::from_secs(5);
/// Between two looks at the memory that is left.
const MEMORY: Duration = Duration::from_millis(500);
/// Between two looks at what other processes have changed in the directory.
const FOLLOW: Duration = Duration::from_millis(500);

/// Starts all of it.
pub(super) fn start(acceptor: &Arc<Acceptor>, directory: Arc<Directory>) {
    tokio::spawn(sweep(acceptor.config.clone(), acceptor.https.clone(), acceptor.memory.clone()));
    tokio::spawn(watch_memory(acceptor.clone()));
    tokio::spawn(tidy_up(acceptor.imap.clone(), acceptor.https.clone()));
    tokio::spawn(follow_directory(directory));
}

async fn tidy_up(imap: Arc<login::Server>, https: Arc<https::Server>) {
    loop {
        tokio::time::sleep(TIDY).await;
        https.metrics.tidy_up();
        let active = https.config.load();
        https.web.pools().iter().for_each(|pool| pool.sweep(active.snapshot.limits.http_backend_idle));
        https.web.cookies.rotate(active.snapshot.https.cookie_age);
        let roster = https.fleet.roster();
        for refusals in [&imap.refusals, &https.refusals] {
            refusals.keep(|host| roster.standings(host).next().is_some());
        }
    }
}

async fn watch_memory(acceptor: Arc<Acceptor>) {
    loop {
        acceptor.memory.look(acceptor.config.load().snapshot.limits.memory);
        tokio::time::sleep(MEMORY).await;
    }
}

/// Forgets what other processes change in the directory.
async fn follow_directory(directory: Arc<Directory>) {
    loop {
        let followed = directory.clone();
        // One that cannot be read is told where logins ask it.
        let _ = tokio::task::spawn_blocking(move || followed.follow_changes()).await;
        tokio::time::sleep(FOLLOW).await;
    }
}
