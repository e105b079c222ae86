//! The accept loop. No error ends it.

use super::acceptor::Acceptor;
use super::reserve::Reserve;
use crate::accepted::{Accepted, Connected, Slots, canonical};
use crate::active::ListenerContext;
use crate::slot::Slot;
use crate::unread::Unread;
use crate::{https, imap, tcp};
use metrics::Counter;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use usher_backends::connect::keep_alive;
use usher_config::snapshot::{Protocol, RedirectListener, Serves};
use usher_wire::imap::reply::{self, Code};

/// Wait after a system error before the next attempt.
const BACK_OFF: Duration = Duration::from_millis(50);
/// Least time between two alarms.
const ALARM_EVERY: Duration = Duration::from_secs(10);

/// Accepts connections on `address` of the configuration until usher stops or `closed` is set.
pub(crate) async fn accept(
    acceptor: Arc<Acceptor>,
    address: SocketAddr,
    socket: Arc<TcpListener>,
    mut closed: watch::Receiver<bool>,
) {
    let shutdown = acceptor.shutdown.clone();
    tokio::select! {
        biased;
        () = shutdown.retired() => {}
        _ = closed.wait_for(|closed| *closed) => {}
        () = accept_all(&acceptor, address, &socket) => {}
    }
}

async fn accept_all(acceptor: &Acceptor, address: SocketAddr, socket: &TcpListener) {
    let mut reserve = Reserve::take();
    let mut alarm = Alarm::default();
    let name: Arc<str> = address.to_string().into();
    let Ok(bound) = socket.local_addr() else { return };
    let mut keepalive = Keepalive::default();
    let mut arrivals = Arrivals::default();
    loop {
        match socket.accept().await {
            Ok((tcp, peer)) => {
                let peer = canonical(peer);
                // As configured now; there is none if a reload is just closing it.
                let Some(at) = acceptor.config.listener(address, &name) else { return };
                let protocol = at.listener().protocol();
                let most = at.active.snapshot.limits.connections;
                let place = Slot::take(&acceptor.admission.connections, Some(most));
                let Some(connection) = place.filter(|_| !acceptor.memory.is_full()) else {
                    arrivals.of(protocol, acceptor, &name).shed.increment(1);
                    alarm.raise(|| tracing::error!(most, "too many connections or too little memory"));
                    send_away(&at, &tcp);
                    continue;
                };
                arrivals.of(protocol, acceptor, &name).accepted.increment(1);
                // One that has gone already needs no handling.
                let Ok(()) = keepalive.teach(&at, socket, &tcp) else { continue };
                let local = if bound.ip().is_unspecified() { tcp.local_addr() } else { Ok(bound) };
                let Ok(local) = local.map(canonical) else { continue };
                // Counted before it is started, so that a stop of usher misses none.
                let connection = Connected::new(connection, acceptor.workers.choose());
                let Ok(tcp) = acceptor.workers.adopt(connection.worker(), tcp) else { continue };
                let slots =
                    Slots { connection, before_login: Slot::take(&acceptor.admission.before_login, None) };
                start(acceptor, at, Accepted { tcp: Unread::accepted(tcp), peer, local }, slots);
            }
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                alarm.raise(
                    || tracing::error!(%error, "connections cannot be accepted; waiting ones are closed"),
                );
                if reserve.shed(socket)
                    && let Some(at) = acceptor.config.listener(address, &name)
                {
                    arrivals.of(at.listener().protocol(), acceptor, &name).shed.increment(1);
                }
                sleep(BACK_OFF).await;
            }
        }
    }
}

fn start(acceptor: &Acceptor, at: ListenerContext, accepted: Accepted, slots: Slots) {
    let (workers, worker) = (&acceptor.workers, slots.connection.worker());
    let (imap, https, tcp) = (acceptor.imap.clone(), acceptor.https.clone(), acceptor.tcp.clone());
    match at.listener().serves.clone() {
        Serves::Imap(listener) => workers.on(worker, imap::serve(imap, at, listener, accepted, slots)),
        Serves::Https(listener) => workers.on(worker, https::serve(https, at, listener, accepted, slots)),
        Serves::HttpRedirect(RedirectListener { redirect_to }) => {
            workers.on(worker, https::serve_redirects(https, at, redirect_to, accepted, slots))
        }
        Serves::Tcp(listener) => workers.on(worker, tcp::serve(tcp, at, listener, accepted, slots)),
    };
}

/// Counts the connections to a listener, whose protocol a reload may change.
#[derive(Default)]
struct Arrivals(Option<(Protocol, Counted)>);

struct Counted {
    accepted: Counter,
    shed: Counter,
}

impl Arrivals {
    fn of(&mut self, protocol: Protocol, acceptor: &Acceptor, listener: &str) -> &Counted {
        let counted = |result| acceptor.metrics.connections(listener, protocol, result);
        let known = self.0.take().filter(|(known, _)| *known == protocol);
        let make = || (protocol, Counted { accepted: counted("accepted"), shed: counted("shed") });
        &self.0.insert(known.unwrap_or_else(make)).1
    }
}

/// The socket options for silent peers. Connections inherit them from their listening socket, so that they cost no
/// system call per connection; a reload changes them there.
#[derive(Default)]
struct Keepalive(Option<(Duration, Duration)>);

impl Keepalive {
    /// Makes sure that `tcp`, and whatever `socket` accepts after it, has the options that are configured.
    fn teach(&mut self, at: &ListenerContext, socket: &TcpListener, tcp: &TcpStream) -> io::Result<()> {
        let limits = &at.active.snapshot.limits;
        let (idle, unreachable) = (limits.tcp_keepalive, limits.tcp_unreachable);
        if self.0 == Some((idle, unreachable)) {
            return Ok(());
        }
        keep_alive(socket, idle, unreachable)?;
        self.0 = Some((idle, unreachable));
        keep_alive(tcp, idle, unreachable)
    }
}

/// Closes a connection for which there is no room, with a word of explanation where that can be sent in the clear.
fn send_away(at: &ListenerContext, tcp: &TcpStream) {
    if at.listener().protocol() == Protocol::Imap {
        let mut bye = Vec::new();
        reply::bye(Code::Unavailable, &mut bye);
        // The send buffer is empty; a connection that does not take it is gone.
        let _ = tcp.try_write(&bye);
    }
}

/// Avoids repeating itself too often.
#[derive(Default)]
struct Alarm(Option<Instant>);

impl Alarm {
    fn raise(&mut self, tell: impl FnOnce()) {
        if self.0.is_none_or(|last| last.elapsed() > ALARM_EVERY) {
            self.0 = Some(Instant::now());
            tell();
        }
    }
}

/// Errors of a connection that was closed before it was accepted.
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(error.kind(), K::ConnectionAborted | K::ConnectionReset | K::Interrupted | K::PermissionDenied)
}
