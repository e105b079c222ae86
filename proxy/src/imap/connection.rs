//! The way of one connection, stage by stage. What a stage needed is dropped before the next begins.

use super::joined::Joined;
use super::preauth;
use crate::accepted::{Accepted, Ends, Places, farewell, read_proxy_header};
use crate::active::ListenerContext;
use crate::login::{PreLogin, Server};
use crate::relay;
use crate::session::{By, Cause, Ended, Record, Stage};
use crate::slot::Slot;
use crate::tls::{self, ClientStream, HandshakeFault};
use crate::unread::Unread;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;
use usher_config::snapshot::ImapListener;
use usher_wire::imap::capability::Privacy;
use usher_wire::imap::reply::{self, Code};

/// Serves one connection to its end. What it needs before its relay begins is on the heap and gone by then: a session that
/// lasts for hours is no larger for it.
pub(crate) fn serve(
    server: Arc<Server>,
    at: ListenerContext,
    listener: Arc<ImapListener>,
    accepted: Accepted,
    places: Places,
) -> impl Future<Output = ()> + Send {
    let Places { connection, door } = places;
    let beginning = Box::pin(begin(server, at, listener, accepted, door));
    async move {
        if let Some(Begun { server, joined, record, patience }) = beginning.await {
            let Joined { session, lease, streams } = *joined;
            let end = relay::run(&session, streams, &server.metrics.bytes, patience).await;
            let host = &lease.backend().config.name;
            record.write(&server.metrics, &session.about.user, host, end.ended, end.octets);
        }
        drop(connection);
    }
}

/// A connection whose relay can begin.
struct Begun {
    server: Arc<Server>,
    joined: Box<Joined>,
    record: Record,
    patience: Duration,
}

/// Everything before the relay. `None`: it has ended, and has its record.
async fn begin(
    server: Arc<Server>,
    at: ListenerContext,
    listener: Arc<ImapListener>,
    accepted: Accepted,
    slot: Option<Slot>,
) -> Option<Begun> {
    let Accepted { tcp, peer, local } = accepted;
    let id = server.ids.next();
    let tried = Mutex::default();
    let mut door = PreLogin { server, at, id, client: peer, local, begun: Instant::now(), tried };
    let outcome = before_login(&mut door, listener, tcp).await;
    let record = Record::new(door.id, door.protocol(), door.client, door.begun);
    let (server, patience) = (door.server.clone(), door.snapshot().limits.farewell);
    drop(slot);
    match outcome {
        Ok(joined) => Some(Begun { server, joined, record, patience }),
        Err(ended) => {
            let tried = door.take_tried();
            let (user, host) = tried.as_ref().map_or(("", ""), |tried| (&*tried.user, &*tried.host));
            record.write(&server.metrics, user, host, ended, (0, 0));
            None
        }
    }
}

async fn before_login(
    door: &mut PreLogin,
    listener: Arc<ImapListener>,
    mut tcp: Unread,
) -> Result<Box<Joined>, Ended> {
    let limits = door.snapshot().limits.clone();
    let mut ends = Ends { client: door.client, local: door.local };
    read_proxy_header(&mut tcp, &door.at, &mut ends).await?;
    (door.client, door.local) = (ends.client, ends.local);
    let mut until = door.begun + limits.before_login;
    let (mut stream, mut privacy) = match &listener.plaintext_from {
        None => (secure(door, &listener, tcp, until).await?, Privacy::Tls),
        Some(networks) => {
            let client = door.client.ip().to_canonical();
            let allowed = networks.iter().any(|network| network.contains(&client));
            let privacy = if allowed { Privacy::ClearAllowed } else { Privacy::Clear };
            (ClientStream::Plain(tcp.into_inner()), privacy)
        }
    };
    // A client of a stopping usher would only be sent away later.
    if door.server.shutdown.has_begun() {
        let mut bye = Vec::new();
        reply::bye(Code::Unavailable, &mut bye);
        farewell(stream, &bye, limits.farewell).await;
        return Err(Ended::new(By::Operator, Stage::Preauth, Cause::Stopping));
    }
    loop {
        match Box::pin(preauth::converse(door, &listener, stream, privacy, &mut until)).await? {
            preauth::Next::StartTls(unread) => {
                stream = secure(door, &listener, unread, until).await?;
                privacy = Privacy::Tls;
            }
            preauth::Next::Joined(joined) => return Ok(joined),
        }
    }
}

/// Makes TLS.
async fn secure(
    door: &PreLogin,
    listener: &ImapListener,
    connection: Unread,
    until: Instant,
) -> Result<ClientStream, Ended> {
    let limits = &door.snapshot().limits;
    let config = door.at.active.tls.imap.choose(listener.strict_sni);
    let begun = Instant::now();
    let until = until.min(begun + limits.tls_handshake);
    let made = tls::accept(connection, config, until, limits.farewell).await;
    door.server.metrics.handshake(made.as_ref().ok(), begun.elapsed());
    made.map_err(|fault| {
        tracing::debug!(client = %door.client, session = %door.id, %fault, "no TLS");
        match fault {
            HandshakeFault::TimedOut => Ended::new(By::Usher, Stage::Tls, Cause::TooLong),
            HandshakeFault::Failed(_) => Ended::new(By::Client, Stage::Tls, Cause::Handshake),
        }
    })
}
