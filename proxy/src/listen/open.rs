//! The sockets that are open, and how they follow the configuration.

use super::acceptor::Acceptor;
use super::deferred::defer;
use super::source::Provided;
use super::{SocketSource, accept};
use crate::service_manager;
use crate::workers::Workers;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use usher_config::snapshot::{Limits, Listener};

/// The sockets for an address of the configuration: one for each worker, or one alone for a port of
/// many. They do not accept yet.
pub(crate) struct Bound {
    address: SocketAddr,
    protocol: &'static str,
    provided: Provided,
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
        let provided = source.open(address, count, limits).map_err(|error| (address, error))?;
        bound.push(Bound { address, protocol: listener.protocol().name(), provided });
    }
    Ok(())
}

/// Sockets that are registered with their workers and do not accept yet.
pub(crate) struct Watched {
    address: SocketAddr,
    protocol: &'static str,
    /// Each with its worker's number.
    sockets: Vec<(usize, Arc<tokio::net::TcpListener>)>,
    are_new: bool,
}

/// Registers the bound sockets with the workers.
///
/// # Errors
/// The system's; all of them are closed again.
pub(crate) fn watch(workers: &Workers, bound: Vec<Bound>) -> std::io::Result<Vec<Watched>> {
    let watched = bound.into_iter().map(|Bound { address, protocol, provided }| {
        // Ports of a range, which have one socket each, are spread over the workers.
        let first = usize::from(address.port());
        let sockets = provided.sockets.into_iter().enumerate().map(|(at, socket)| {
            let at = (first + at) % workers.count();
            Ok((at, Arc::new(workers.watch(at, socket)?)))
        });
        let sockets = sockets.collect::<std::io::Result<_>>()?;
        Ok(Watched { address, protocol, sockets, are_new: provided.are_new })
    });
    watched.collect()
}

/// The sockets that accept.
#[derive(Default)]
pub(crate) struct Sockets(BTreeMap<SocketAddr, Open>);

/// Those of one address.
struct Open {
    close: watch::Sender<bool>,
    accepting: Vec<JoinHandle<()>>,
    sockets: Vec<Arc<tokio::net::TcpListener>>,
}

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
        for Watched { address, protocol, sockets, are_new } in watched {
            tracing::info!(%address, protocol, "listening");
            let (close, closed) = watch::channel(false);
            let accepting = sockets.iter().map(|(at, socket)| {
                acceptor.workers.on(*at, accept(acceptor.clone(), address, socket.clone(), closed.clone()))
            });
            let accepting = accepting.collect();
            let sockets: Vec<_> = sockets.into_iter().map(|(_, socket)| socket).collect();
            if are_new {
                service_manager::keep(address, &sockets);
            }
            self.0.insert(address, Open { close, accepting, sockets });
        }
        self.defer(listeners);
        let wanted: Vec<_> = listeners.iter().flat_map(addresses).collect();
        let gone: Vec<_> = self.0.keys().filter(|address| !wanted.contains(address)).copied().collect();
        for address in gone {
            if let Some(Open { close, accepting, sockets }) = self.0.remove(&address) {
                close.send_replace(true);
                drop(sockets);
                service_manager::forget(address);
                // Closed when this returns: the next reload may want the address again.
                all_ended(accepting).await;
                tracing::info!(%address, "no longer listening");
            }
        }
    }

    /// A reload may let another protocol be spoken at an address that is open.
    fn defer(&self, listeners: &[Listener]) {
        for listener in listeners {
            let open = addresses(listener).filter_map(|address| self.0.get(&address));
            open.flat_map(|open| &open.sockets).for_each(|socket| defer(socket, listener.protocol()));
        }
    }

    /// All of them by their addresses.
    pub(crate) fn open(&self) -> impl Iterator<Item = (SocketAddr, &[Arc<tokio::net::TcpListener>])> {
        self.0.iter().map(|(address, open)| (*address, open.sockets.as_slice()))
    }

    /// Waits until none of them accepts any more, and closes them here.
    pub(crate) async fn closed(self) {
        for Open { accepting, sockets, .. } in self.0.into_values() {
            drop(sockets);
            all_ended(accepting).await;
        }
    }
}

async fn all_ended(accepting: Vec<JoinHandle<()>>) {
    for one in accepting {
        let _ = one.await;
    }
}
