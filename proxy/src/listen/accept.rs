//! The loop that accepts. No error ends it.

use super::reserve::Reserve;
use crate::accepted::{Connected, Places};
use crate::shared::{Listening, Place, Shared};
use crate::{https, imap, tcp};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use usher_config::snapshot::Protocol;
use usher_wire::imap::reply::{self, Code};

/// After an error of the system's, before the next try.
const BACK_OFF: Duration = Duration::from_millis(50);
/// Between two alarms.
const ALARM_EVERY: Duration = Duration::from_secs(10);

/// Accepts connections on `address` of the configuration until usher stops or `closed` says so.
pub(crate) async fn accept(
    shared: Arc<Shared>,
    address: SocketAddr,
    socket: TcpListener,
    mut closed: watch::Receiver<bool>,
) {
    let mut reserve = Reserve::take();
    let mut alarm = Alarm::default();
    let name: Arc<str> = address.to_string().into();
    loop {
        let accepted = tokio::select! {
            biased;
            () = shared.stopped() => return,
            _ = closed.wait_for(|closed| *closed) => return,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((tcp, peer)) => {
                // As it is configured now; gone in the moment in which a reload closes it.
                let Some(at) = shared.listening(address, &name) else { return };
                let protocol = at.listener().protocol;
                let most = at.setting.snapshot.limits.connections;
                let place = Place::take(&shared.connections, Some(most));
                let Some(connection) = place.filter(|_| !shared.pressure.is_full()) else {
                    shared.meter.connection(&name, protocol, "shed");
                    alarm.raise(|| tracing::error!(most, "too many connections or too little memory"));
                    send_away(&at, &tcp);
                    continue;
                };
                shared.meter.connection(&name, protocol, "accepted");
                // Counted before it is started: whoever stops usher misses none.
                let connection = Connected::new(connection, shared.spawner.choose());
                let places = Places { connection, door: Place::take(&shared.doors, None) };
                start(&shared, at, tcp, peer, places);
            }
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                alarm.raise(
                    || tracing::error!(%error, "connections cannot be accepted; those that wait are closed"),
                );
                reserve.shed(&socket);
                sleep(BACK_OFF).await;
            }
        }
    }
}

fn start(shared: &Arc<Shared>, at: Listening, tcp: TcpStream, peer: SocketAddr, places: Places) {
    // Watched by the worker that serves it, and by nobody else. One that is gone already is nobody's.
    let Ok(tcp) = tcp.into_std() else { return };
    let (spawner, shared, worker) = (&shared.spawner, shared.clone(), places.connection.worker());
    match at.listener().protocol {
        Protocol::Imap | Protocol::Imaps => {
            spawner.connection(worker, imap::serve(shared, at, tcp, peer, places));
        }
        Protocol::Https => spawner.connection(worker, https::serve(shared, at, tcp, peer, places)),
        Protocol::HttpRedirect => {
            spawner.connection(worker, https::serve_redirects(shared, at, tcp, peer, places));
        }
        Protocol::Tcp => spawner.connection(worker, tcp::serve(shared, at, tcp, peer, places)),
    }
}

/// Closes a connection that there is no room for; where it can be said in the clear, with a word.
fn send_away(at: &Listening, tcp: &TcpStream) {
    if at.listener().protocol == Protocol::Imap {
        let mut bye = Vec::new();
        reply::bye(Code::Unavailable, &mut bye);
        // Into an empty send buffer; one that does not take it is gone.
        let _ = tcp.try_write(&bye);
    }
}

/// Does not repeat itself too often.
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

/// Errors of a connection that was gone before it was accepted.
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(error.kind(), K::ConnectionAborted | K::ConnectionReset | K::Interrupted | K::PermissionDenied)
}
