//! The sockets that are open, and how they follow the configuration.

use super::acceptor::Acceptor;
use super::{SocketSource, accept};
use crate::workers::Workers;
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use usher_config::snapshot::{Limits, Listener};

/// The sockets for an address of the configuration: one for each worker, or one alone for a port of
/// many. They do not accept yet.
pub(crate) struct Bound {
    address: SocketAddr,
    protocol: &'static str,
    sockets: Vec<TcpListener>,
}

/// Every address of a listener.
fn addresses(listener: &Listener) -> impl Iterator<Item = SocketAddr> {
    let ip = listener.address.ip();
    listener.open_ports().map(move |port| SocketAddr::new(ip, port))
}

/// Opens what `listener` needs and `open` does not contain yet, for this many workers.
///
/// # Errors
/// The address that cannot be had, and why.
pub(crate) fn open_missing(
    source: &SocketSource,
    listener: &Listener,
    open: &[SocketAddr],
    workers: usize,
    limits: &Limits,
    bound: &mut Vec<Bound>,
) -> Result<(), (SocketAddr, std::io::Error)> {
    for address in addresses(listener).filter(|address| !open.contains(address)) {
        let is_one_of_many = listener.ports().len() > 1;
        let count = if is_one_of_many { 1 } else { workers };
        let sockets = source.open(address, count, limits).map_err(|error| (address, error))?;
        bound.push(Bound { address, protocol: listener.protocol().name(), sockets });
    }
    Ok(())
}

/// Sockets that are registered with their workers and do not accept yet.
pub(crate) struct Watched {
    address: SocketAddr,
    protocol: &'static str,
    /// Each with its worker's number.
    sockets: Vec<(usize, tokio::net::TcpListener)>,
}

/// Registers the bound sockets with the workers.
///
/// # Errors
/// The system's; all of them are closed again.
pub(crate) fn watch(workers: &Workers, bound: Vec<Bound>) -> std::io::Result<Vec<Watched>> {
    let watched = bound.into_iter().map(|Bound { address, protocol, sockets }| {
        // Ports of a range, which have one socket each, are spread over the workers.
        let first = usize::from(address.port());
        let sockets = sockets.into_iter().enumerate().map(|(at, socket)| {
            let at = (first + at) % workers.count();
            Ok((at, workers.watch(at, socket)?))
        });
        Ok(Watched { address, protocol, sockets: sockets.collect::<std::io::Result<_>>()? })
    });
    watched.collect()
}

/// The sockets that accept.
#[derive(Default)]
pub(crate) struct Sockets(BTreeMap<SocketAddr, (watch::Sender<bool>, Vec<JoinHandle<()>>)>);

impl Sockets {
    /// The addresses that are open.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.0.keys().copied().collect()
    }

    /// Begins to accept on `watched`, and closes what `listeners` no longer contain.
    pub(crate) async fn follow(
        &mut self,
        acceptor: &Arc<Acceptor>,
        watched: Vec<Watched>,
        listeners: &[Listener],
    ) {
        for Watched { address, protocol, sockets } in watched {
            tracing::info!(%address, protocol, "listening");
            let (close, closed) = watch::channel(false);
            let accepting = sockets.into_iter().map(|(at, socket)| {
                acceptor.workers.on(at, accept(acceptor.clone(), address, socket, closed.clone()))
            });
            let accepting = accepting.collect();
            self.0.insert(address, (close, accepting));
        }
        let wanted: Vec<_> = listeners.iter().flat_map(addresses).collect();
        let gone: Vec<_> = self.0.keys().filter(|address| !wanted.contains(address)).copied().collect();
        for address in gone {
            if let Some((close, accepting)) = self.0.remove(&address) {
                close.send_replace(true);
                // Closed when this returns: the next reload may want the address again.
                all_ended(accepting).await;
                tracing::info!(%address, "no longer listening");
            }
        }
    }

    /// Waits until none of them accepts any more.
    pub(crate) async fn closed(self) {
        for (_, accepting) in self.0.into_values() {
            all_ended(accepting).await;
        }
    }
}

async fn all_ended(accepting: Vec<JoinHandle<()>>) {
    for one in accepting {
        let _ = one.await;
    }
}
