//! The TCP connection.

use super::{Cause, ConnectFault, Deadlines, Stage};
use socket2::{SockRef, TcpKeepalive};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::os::fd::AsFd;
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

/// Keepalive probes without an answer before the peer counts as gone.
const PROBES: u32 = 3;
/// What the system takes for the time until a probe, and between two (`MAX_TCP_KEEPIDLE`).
const SPAN: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(32_767);

/// Names that are looked up at a time: the resolver works on threads that others need as well, and goes on
/// when nobody waits for it any more.
static RESOLVING: Semaphore = Semaphore::const_new(32);

/// Connects to `address` (`host:port`), trying each address that a name has until `until`, for a connection
/// that is to last.
///
/// # Errors
/// [`ConnectFault`], within the deadline.
pub async fn dial(address: &str, deadlines: &Deadlines, until: Instant) -> Result<TcpStream, ConnectFault> {
    let stream = knock(address, until).await?;
    keep_alive(&stream, deadlines.keepalive, deadlines.unreachable)
        .map_err(|error| ConnectFault::at(Stage::Dial, error))?;
    Ok(stream)
}

/// Connects to `address` as [`dial`] does, for a connection that is over soon.
///
/// # Errors
/// [`ConnectFault`], within the deadline.
pub async fn knock(address: &str, until: Instant) -> Result<TcpStream, ConnectFault> {
    let late = |stage| ConnectFault::at(stage, Cause::TimedOut);
    let found = timeout_at(until, resolve(address)).await.map_err(|_| late(Stage::Resolve))?;
    let mut fault = ConnectFault::at(Stage::Resolve, std::io::Error::from(std::io::ErrorKind::NotFound));
    for address in found.map_err(|error| ConnectFault::at(Stage::Resolve, error))? {
        match timeout_at(until, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => fault = ConnectFault::at(Stage::Dial, error),
            Err(_) => return Err(late(Stage::Dial)),
        }
    }
    Err(fault)
}

async fn resolve(address: &str) -> std::io::Result<Vec<SocketAddr>> {
    if let Ok(address) = address.parse() {
        return Ok(vec![address]);
    }
    let place = RESOLVING.acquire().await.map_err(std::io::Error::other)?;
    let address = address.to_owned();
    // A task of its own keeps the place until the resolver is done, also where nobody waits for it.
    let resolving = tokio::spawn(async move {
        let found = lookup_host(address).await.map(Iterator::collect);
        drop(place);
        found
    });
    resolving.await.map_err(std::io::Error::other)?
}

/// Sets what every connection of usher's has: no delay, keepalive from `idle` on, and an end after
/// `unreachable` without a sign of the peer. What a listening socket is told so, those that it accepts have.
///
/// # Errors
/// The system's, for a socket that is gone already.
pub fn keep_alive(socket: &impl AsFd, idle: Duration, unreachable: Duration) -> std::io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_tcp_nodelay(true)?;
    let within = |span: Duration| span.clamp(*SPAN.start(), *SPAN.end());
    let interval = unreachable.saturating_sub(idle).div_f64(f64::from(PROBES));
    // How many probes are too many is for the user timeout to say (tcp(7)).
    let keepalive = TcpKeepalive::new().with_time(within(idle)).with_interval(within(interval));
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(unreachable))
}
