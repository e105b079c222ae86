//! The TCP connection.

use super::{Cause, ConnectFault, Deadlines, MailTarget, Stage};
use socket2::{SockRef, TcpKeepalive};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::os::fd::AsFd;
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

/// Unanswered keepalive probes after which the peer is considered gone.
const PROBES: u32 = 3;
/// The times that the system accepts before a probe and between two (`MAX_TCP_KEEPIDLE`).
const SPAN: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(32_767);

/// Time that an address has to answer before the next one is tried as well.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Concurrent look-ups of names. The resolver occupies threads that others need too, and continues even if nobody is
/// waiting for it any more.
static RESOLVING: Semaphore = Semaphore::const_new(32);

/// Connects to `address` (`host:port`) until `until`, trying each address that a name has, for a long-lived connection.
///
/// # Errors
/// [`ConnectFault`], within the deadline.
pub async fn dial(address: &str, deadlines: &Deadlines, until: Instant) -> Result<TcpStream, ConnectFault> {
    let stream = connect_briefly(address, until).await?;
    keep_alive(&stream, deadlines.keepalive, deadlines.unreachable)
        .map_err(|error| ConnectFault::at(Stage::Dial, error))?;
    Ok(stream)
}

/// Connects to `target` as [`dial`] does, for a session of which nobody knows yet whether it will last: a peer that has
/// gone silently is noticed only once [`keep_alive`] has been called.
///
/// # Errors
/// [`ConnectFault`], within the deadline.
pub(super) async fn dial_unwatched(target: &MailTarget, until: Instant) -> Result<TcpStream, ConnectFault> {
    let stream = match &target.at {
        Some(at) => connect_to(std::slice::from_ref(at), until).await?,
        None => connect_briefly(&target.endpoint.address, until).await?,
    };
    stream.set_nodelay(true).map_err(|error| ConnectFault::at(Stage::Dial, error))?;
    Ok(stream)
}

/// Connects to `address` as [`dial`] does, for a short-lived connection.
///
/// # Errors
/// [`ConnectFault`], within the deadline.
pub async fn connect_briefly(address: &str, until: Instant) -> Result<TcpStream, ConnectFault> {
    let late = |_| ConnectFault::at(Stage::Resolve, Cause::TimedOut);
    let found = timeout_at(until, resolve(address)).await.map_err(late)?;
    let found = found.map_err(|error| ConnectFault::at(Stage::Resolve, error))?;
    connect_to(&found, until).await
}

async fn connect_to(addresses: &[SocketAddr], until: Instant) -> Result<TcpStream, ConnectFault> {
    match timeout_at(until, race(addresses, until)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) if addresses.is_empty() => Err(ConnectFault::at(Stage::Resolve, error)),
        Ok(Err(error)) => Err(ConnectFault::at(Stage::Dial, error)),
        Err(_) => Err(ConnectFault::at(Stage::Dial, Cause::TimedOut)),
    }
}

/// Connects to whichever of `addresses` answers first. The next one is tried once one has failed or has not answered
/// for a while (RFC 8305 section 5), so that an address whose packets are dropped leaves time for the others.
async fn race(addresses: &[SocketAddr], until: Instant) -> std::io::Result<TcpStream> {
    if let [only] = addresses {
        return TcpStream::connect(only).await;
    }
    let mut waiting = in_turn(addresses).into_iter();
    let share = until.saturating_duration_since(Instant::now())
        / u32::try_from(addresses.len() + 1).unwrap_or(u32::MAX);
    let delay = share.min(ATTEMPT_DELAY);
    let mut attempts = tokio::task::JoinSet::new();
    let mut failure = std::io::Error::from(std::io::ErrorKind::NotFound);
    loop {
        let next = waiting.next();
        if let Some(address) = next {
            attempts.spawn(TcpStream::connect(address));
        }
        let ended = match waiting.len() {
            0 => attempts.join_next().await,
            _ => match timeout(delay, attempts.join_next()).await {
                Ok(ended) => ended,
                Err(_) => continue,
            },
        };
        match ended {
            // Attempts that are still running are dropped with the set.
            Some(Ok(Ok(stream))) => return Ok(stream),
            Some(Ok(Err(error))) => failure = error,
            Some(Err(error)) => failure = std::io::Error::other(error),
            None => return Err(failure),
        }
    }
}

/// Alternates between the address families, beginning with that of the first address (RFC 8305 section 4).
fn in_turn(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let is_first_family =
        |address: &&SocketAddr| addresses.first().is_some_and(|first| first.is_ipv4() == address.is_ipv4());
    let (mut first, mut second) = (
        addresses.iter().filter(is_first_family),
        addresses.iter().filter(|address| !is_first_family(address)),
    );
    let mut ordered = Vec::with_capacity(addresses.len());
    while ordered.len() < addresses.len() {
        ordered.extend(first.next());
        ordered.extend(second.next());
    }
    ordered
}

async fn resolve(address: &str) -> std::io::Result<Vec<SocketAddr>> {
    if let Ok(address) = address.parse() {
        return Ok(vec![address]);
    }
    let place = RESOLVING.acquire().await.map_err(std::io::Error::other)?;
    let address = address.to_owned();
    // A separate task holds the permit until the resolver is done, even if nobody is waiting for it.
    let resolving = tokio::spawn(async move {
        let found = lookup_host(address).await.map(Iterator::collect);
        drop(place);
        found
    });
    resolving.await.map_err(std::io::Error::other)?
}

/// Sets the options of all of usher's connections: no delay, keepalive after `idle`, and an end after `unreachable`
/// without a sign of the peer. Connections inherit them from the listening socket that accepts them.
///
/// # Errors
/// The system's, for a socket that is gone already.
pub fn keep_alive(socket: &impl AsFd, idle: Duration, unreachable: Duration) -> std::io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_tcp_nodelay(true)?;
    let within = |span: Duration| span.clamp(*SPAN.start(), *SPAN.end());
    let interval = unreachable.saturating_sub(idle).div_f64(f64::from(PROBES));
    // The user timeout decides how many probes are too many (tcp(7)).
    let keepalive = TcpKeepalive::new().with_time(within(idle)).with_interval(within(interval));
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(unreachable))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // tests fail by panicking

    use super::*;
    use std::net::{Ipv4Addr, TcpListener};

    /// A listening socket whose queue is full: who connects waits.
    fn full() -> (socket2::Socket, Vec<socket2::Socket>, SocketAddr) {
        let new = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let listener = new();
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let clients = (0..4).map(|_| {
            let client = new();
            client.set_nonblocking(true).unwrap();
            let _ = client.connect(&address.into());
            client
        });
        (listener, clients.collect(), address)
    }

    #[tokio::test]
    async fn an_address_that_swallows_packets_leaves_time_for_the_next() {
        let (_listener, _clients, mute) = full();
        let good = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let good = good.local_addr().map(|address| (good, address)).unwrap();
        let until = Instant::now() + Duration::from_secs(30);
        for addresses in [vec![mute, good.1], vec![mute, mute, mute, good.1], vec![good.1, mute]] {
            let stream = race(&addresses, until).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), good.1);
        }
        assert!(Instant::now() < until);
        // Those that refuse cost no time at all, and the last word counts where nobody answers.
        let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        assert_eq!(
            race(&[gone, gone], until).await.unwrap_err().kind(),
            std::io::ErrorKind::ConnectionRefused
        );
        assert_eq!(race(&[], until).await.unwrap_err().kind(), std::io::ErrorKind::NotFound);
    }

    #[test]
    fn families_take_turns() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let all = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"].map(at);
        assert_eq!(in_turn(&all), ["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"].map(at));
        assert_eq!(in_turn(&[]), Vec::new());
    }
}
