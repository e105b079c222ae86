//! What every accepted connection has or needs, whatever protocol is spoken on it.

mod lingering_close;
mod proxy_header;

pub(crate) use lingering_close::lingering_close;

use crate::active::ListenerContext;
use crate::boxed::boxed;
use crate::session::{By, Cause, Ended, Stage};
use crate::slot::Slot;
use crate::unread::Unread;
use crate::workers::Worked;
use std::net::SocketAddr;

/// A connection on the worker that serves it.
pub(crate) struct Accepted {
    pub(crate) tcp: Unread,
    /// The client.
    pub(crate) peer: SocketAddr,
    /// The address that it connected to.
    pub(crate) local: SocketAddr,
}

/// Both ends of a connection: as accepted, or as a PROXY header says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) client: SocketAddr,
    /// The address of usher's that the client connected to.
    pub(crate) local: SocketAddr,
}

/// The slots that a connection occupies.
pub(crate) struct Slots {
    /// Among all connections.
    pub(crate) connection: Connected,
    /// Among those that are not relayed yet.
    pub(crate) before_login: Option<Slot>,
}

/// A connection's place among all, and on its worker.
pub(crate) struct Connected {
    _place: Slot,
    worked: Worked,
}

impl Connected {
    pub(crate) fn new(place: Slot, worked: Worked) -> Self {
        Self { _place: place, worked }
    }

    /// The number of its worker.
    pub(crate) fn worker(&self) -> usize {
        self.worked.at()
    }
}

/// The address in its own form: on IPv6 sockets, IPv4 addresses look different.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Reads the PROXY header if the listener demands one. `ends` are the client's address and the one that it connected
/// to; those in the header take precedence.
///
/// # Errors
/// [`Ended`], when there is no header to trust.
pub(crate) async fn read_proxy_header(
    tcp: &mut Unread,
    at: &ListenerContext,
    ends: &mut Ends,
) -> Result<(), Ended> {
    let limits = &at.active.snapshot.limits;
    if let Some(senders) = &at.listener().proxy_from {
        let told = boxed(|| proxy_header::read(tcp.header(), senders, ends.client, limits)).await;
        let Ok(told) = told else {
            return Err(Ended::new(By::Client, Stage::ProxyHeader, Cause::ProxyHeader));
        };
        if let Some(told) = told {
            *ends = Ends { client: canonical(told.0), local: canonical(told.1) };
        }
    }
    Ok(())
}
