//! Serves those who want the configuration to be read again, and those who want another process to take over: one after the
//! other, because both are about the listening sockets.

use super::Predecessor;
use crate::listen::Sockets;
use crate::reload::{self, Reloader};
use crate::succession::{Request, Upgraded};
use std::time::Duration;
use tokio::sync::mpsc;

/// Serves both until usher stops. Returns the sockets.
pub(crate) async fn attend(
    mut reloader: Reloader,
    predecessor: Predecessor,
    mut reloads: mpsc::Receiver<reload::Request>,
    mut upgrades: mpsc::Receiver<Request>,
) -> Sockets {
    let shutdown = reloader.acceptor.shutdown.clone();
    loop {
        tokio::select! {
            biased;
            () = shutdown.stopped() => return reloader.sockets,
            Some(Request { patience, answer }) = upgrades.recv() => {
                let upgraded = Box::pin(upgrade(&mut reloader, &predecessor, patience, &reloads)).await;
                let _ = answer.send(upgraded);
            }
            Some(first) = reloads.recv() => reloader.answer(first, &mut reloads).await,
            else => return reloader.sockets,
        }
    }
}

/// Lets a successor take over.
async fn upgrade(
    reloader: &mut Reloader,
    predecessor: &Predecessor,
    patience: Option<Duration>,
    reloads: &mpsc::Receiver<reload::Request>,
) -> Upgraded {
    if reloader.acceptor.shutdown.is_retired() {
        return Err("another process has taken over already".to_owned());
    }
    let handed = predecessor.hand_over(&reloader.sockets, patience, || !reloads.is_empty()).await;
    match &handed {
        Ok(process) => {
            tracing::info!(process, "another process has taken over");
            std::mem::take(&mut reloader.sockets).closed().await;
        }
        Err(error) => tracing::error!(%error, "no other process takes over: this one goes on serving"),
    }
    handed.map_err(|error| error.to_string())
}
