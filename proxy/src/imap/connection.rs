//! The way of one connection, stage by stage. What a stage needed is dropped before the next begins.

use super::door::{Door, Ended, Place};
use super::handover::Joined;
use super::{farewell, preauth, proxy_header};
use crate::relay;
use crate::session::{By, Cause, Record, Stage};
use crate::shared::Shared;
use crate::tls::{self, ClientStream, HandshakeFault};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::time::Instant;
use usher_backends::connect::keep_alive;
use usher_config::snapshot::Protocol;
use usher_wire::imap::capability::Privacy;
use usher_wire::imap::reply::{self, Code};

/// Serves one connection to its end.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    listener: usize,
    tcp: TcpStream,
    peer: SocketAddr,
    place: Option<Place>,
) {
    let Ok(local) = tcp.local_addr() else { return };
    let id = shared.ids.next();
    let mut door = Door { shared, listener, id, client: peer, local, begun: Instant::now() };
    // On the heap and gone before the relay begins: a session that lasts for hours is no larger for it.
    let outcome = Box::pin(before_login(&mut door, tcp)).await;
    drop(place);
    match outcome {
        Ok(joined) => {
            let Joined { session, lease, user, streams } = *joined;
            let end = relay::run(&door, &session, streams).await;
            let host = &lease.host().config.name;
            record(&door, &user, host, end.ended, (end.from_client, end.from_backend)).write();
        }
        Err(ended) => record(&door, "", "", ended, (0, 0)).write(),
    }
}

fn record<'a>(door: &Door, user: &'a str, host: &'a str, ended: Ended, bytes: (u64, u64)) -> Record<'a> {
    Record {
        session: door.id,
        protocol: door.config().protocol.name(),
        client: door.client,
        user,
        host,
        by: ended.by,
        stage: ended.stage,
        cause: ended.cause,
        from_client: bytes.0,
        from_backend: bytes.1,
        lasted: door.begun.elapsed(),
    }
}

async fn before_login(door: &mut Door, mut tcp: TcpStream) -> Result<Box<Joined>, Ended> {
    let limits = door.shared.snapshot.limits.clone();
    if let Err(error) = keep_alive(&tcp, limits.tcp_keepalive, limits.tcp_unreachable) {
        return Err(Ended::broken(Stage::ProxyHeader, &error));
    }
    if let Some(senders) = door.config().proxy_from.clone() {
        let told = proxy_header::read(&mut tcp, &senders, door.client, limits.proxy_header).await;
        let Ok(told) = told else {
            return Err(Ended::new(By::Client, Stage::ProxyHeader, Cause::ProxyHeader));
        };
        if let Some((source, destination)) = told {
            (door.client, door.local) = (source, destination);
        }
    }
    let mut until = door.begun + limits.before_login;
    let mut stream = ClientStream::Plain(tcp);
    let mut privacy = match door.config().protocol {
        Protocol::Imaps => {
            stream = secure(door, stream, None, until).await?;
            Privacy::Tls
        }
        Protocol::Imap => {
            let client = door.client.ip().to_canonical();
            let allowed = door.config().plaintext_from.iter().any(|network| network.contains(&client));
            if allowed { Privacy::ClearAllowed } else { Privacy::Clear }
        }
    };
    // A client of a stopping usher would only be sent away later.
    if *door.shared.stopping.borrow() {
        let mut bye = Vec::new();
        reply::bye(Code::Unavailable, &mut bye);
        farewell(stream, &bye, limits.farewell).await;
        return Err(Ended::new(By::Operator, Stage::Preauth, Cause::Stopping));
    }
    loop {
        match Box::pin(preauth::converse(door, stream, privacy, &mut until)).await? {
            preauth::Next::StartTls(plain, proof) => {
                stream = secure(door, plain, Some(proof), until).await?;
                privacy = Privacy::Tls;
            }
            preauth::Next::Joined(joined) => return Ok(joined),
        }
    }
}

/// Makes TLS, at once or by the proof that STARTTLS gave.
async fn secure(
    door: &Door,
    stream: ClientStream,
    proof: Option<usher_wire::imap::preauth::PlainDrained>,
    until: Instant,
) -> Result<ClientStream, Ended> {
    let ClientStream::Plain(tcp) = stream else {
        return Err(Ended::new(By::Usher, Stage::Tls, Cause::Handshake));
    };
    let limits = &door.shared.snapshot.limits;
    let until = until.min(Instant::now() + limits.tls_handshake);
    let made = match proof {
        Some(proof) => tls::upgrade(tcp, proof, door.tls(), until, limits.farewell).await,
        None => tls::accept(tcp, door.tls(), until, limits.farewell).await,
    };
    made.map_err(|fault| {
        tracing::debug!(client = %door.client, session = %door.id, %fault, "no TLS");
        match fault {
            HandshakeFault::TimedOut => Ended::new(By::Usher, Stage::Tls, Cause::TooLong),
            HandshakeFault::Failed(_) => Ended::new(By::Client, Stage::Tls, Cause::Handshake),
        }
    })
}
