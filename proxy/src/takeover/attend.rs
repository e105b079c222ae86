//! Serves those who want the configuration to be read again, and those who want another process to take over: one after the
//! other, because both are about the listening sockets.

use super::Predecessor;
use crate::admin::Admin;
use crate::admin::model::ReloadOrder;
use crate::listen::Sockets;
use crate::reload::{self, Reloaded, Reloader};
use crate::succession::{self, Upgraded};
use crate::unix_http;
use hyper::Method;
use std::time::Duration;
use tokio::sync::mpsc;

/// Serves both until usher stops. Returns the sockets.
pub(crate) async fn attend(
    mut reloader: Reloader,
    predecessor: Predecessor,
    mut reloads: mpsc::Receiver<reload::Request>,
    mut upgrades: mpsc::Receiver<succession::Request>,
) -> Sockets {
    let shutdown = reloader.acceptor.shutdown.clone();
    loop {
        tokio::select! {
            biased;
            () = shutdown.stopped() => return reloader.sockets,
            Some(succession::Request { patience, answer }) = upgrades.recv() => {
                let upgraded = Box::pin(upgrade(&mut reloader, &predecessor, patience, &mut reloads)).await;
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
    reloads: &mut mpsc::Receiver<reload::Request>,
) -> Upgraded {
    if reloader.acceptor.shutdown.is_retired() {
        return Err("another process has taken over already".to_owned());
    }
    let handed = predecessor.hand_over(&reloader.sockets, patience, || !reloads.is_empty()).await;
    match &handed {
        Ok(process) => {
            tracing::info!(process, "another process has taken over");
            std::mem::take(&mut reloader.sockets).closed().await;
            pass_on(reloads, &predecessor.admin).await;
        }
        Err(error) => tracing::error!(%error, "no other process takes over: this one goes on serving"),
    }
    handed.map_err(|error| error.to_string())
}

/// Lets the successor read the configuration again, if somebody has wanted that of this process since it was told what it needs.
async fn pass_on(reloads: &mut mpsc::Receiver<reload::Request>, admin: &Admin) {
    let mut waiting = Vec::new();
    while let Ok(request) = reloads.try_recv() {
        waiting.push(request);
    }
    if waiting.is_empty() {
        return;
    }
    let order = serde_json::to_vec(&ReloadOrder::default()).unwrap_or_default();
    let Ok(order) = unix_http::request(Method::POST, "/v1/reload", "", order) else { return };
    let answered = unix_http::ask(admin.path(), order).await;
    let reloaded = answered.ok().and_then(|(_, said)| serde_json::from_slice::<Reloaded>(&said).ok());
    for request in waiting {
        // Without one, whoever asked hears that usher is stopping.
        if let Some(reloaded) = &reloaded {
            let _ = request.answer.send(reloaded.clone());
        }
    }
}
