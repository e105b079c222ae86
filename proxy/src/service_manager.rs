//! What the service manager is told, and what it keeps for the next process: by systemd's protocol, and nothing where
//! nobody has asked for it.

use crate::shutdown::Shutdown;
use crate::workers::Workers;
use listenfd::ListenFd;
use sd_notify::NotifyState;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Most workers' answers that are waited for.
const ANSWERS: usize = 1024;

/// What the variables of the environment are called that are meant for one process alone.
pub(crate) const OF_ONE_PROCESS: [&str; 4] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID"];

/// Whether there is one that listens.
pub(crate) fn is_there() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// The listening sockets that it has opened for usher, or has kept for it; what is none of TCP is left alone.
pub(crate) fn sockets() -> Vec<TcpListener> {
    let mut passed = ListenFd::from_env();
    (0..passed.len()).filter_map(|at| passed.take_tcp_listener(at).ok().flatten()).collect()
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

/// usher serves; whatever process it was that did so before, it is this one now.
pub(crate) fn ready() {
    tell(&[NotifyState::MainPid(std::process::id()), NotifyState::Ready, NotifyState::Status("serving")]);
}

/// usher stops.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping: waiting for sessions")]);
}

/// Leaves the sockets of `address` with it, so that whoever comes after a crash waits instead of being refused.
pub(crate) fn keep(address: SocketAddr, sockets: &[Arc<tokio::net::TcpListener>]) {
    if !is_there() {
        return;
    }
    let name = name(address);
    // As many as one message may carry.
    for some in sockets.chunks(64) {
        let some: Vec<BorrowedFd<'_>> = some.iter().map(|socket| socket.as_fd()).collect();
        let state = [NotifyState::FdStore, NotifyState::FdName(&name)];
        if let Err(error) = sd_notify::notify_with_fds(&state, &some) {
            tracing::warn!(%address, %error, "the service manager does not keep a listening socket");
        }
    }
}

/// It need not keep the sockets of `address` any longer.
pub(crate) fn forget(address: SocketAddr) {
    if is_there() {
        tell(&[NotifyState::FdStoreRemove, NotifyState::FdName(&name(address))]);
    }
}

/// Names may not contain a colon.
fn name(address: SocketAddr) -> String {
    format!("usher-{address}").replace(':', "_")
}

/// Tells it that usher is alive, twice as often as it wants to hear it, and only while every worker answers. Of a process that
/// has been succeeded, nobody wants to know.
pub(crate) async fn follow_watchdog(workers: Workers, shutdown: Arc<Shutdown>) {
    let Some(every) = sd_notify::watchdog_enabled() else { return };
    while !shutdown.is_retired() {
        tokio::time::sleep(every / 2).await;
        if all_answer(&workers, every / 4).await {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

async fn all_answer(workers: &Workers, patience: Duration) -> bool {
    let (answer, mut answers) = mpsc::channel(ANSWERS);
    for at in 0..workers.count() {
        let answer = answer.clone();
        drop(workers.on(at, async move {
            // There is room for all.
            let _ = answer.try_send(());
        }));
    }
    drop(answer);
    let mut count = 0;
    let counting = async {
        while answers.recv().await.is_some() {
            count += 1;
        }
    };
    let _ = tokio::time::timeout(patience, counting).await;
    count == workers.count()
}
