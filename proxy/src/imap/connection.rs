//! The life of one connection, stage by stage. What a stage needed is dropped before the next one begins.

use super::joined::Joined;
use super::preauth;
use crate::accepted::{Accepted, Ends, Slots, lingering_close, read_proxy_header};
use crate::active::ListenerContext;
use crate::boxed::boxed;
use crate::login::{PreLogin, Server};
use crate::relay;
use crate::session::{By, Cause, Ended, Record, Stage};
use crate::slot::Slot;
use crate::tls::{self, ClientStream, HandshakeFault};
use crate::unread::Unread;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use usher_config::snapshot::ImapListener;
use usher_wire::imap::capability::Privacy;
use usher_wire::imap::reply::{self, Code};

/// Serves one connection to its end. What it needs before its relay begins is on the heap and freed by then: a session
/// that lasts for hours is no larger for it. What it needs from then on is made only then: a task is moved several times
/// before it runs.
pub(crate) fn serve(
    server: Arc<Server>,
    at: ListenerContext,
    listener: Arc<ImapListener>,
    accepted: Accepted,
    slots: Slots,
) -> impl Future<Output = ()> + Send {
    let Slots { connection, before_login } = slots;
    let beginning = boxed(|| begin(server, at, listener, accepted, before_login));
    async move {
        if let Some(Begun { server, joined, record, patience }) = beginning.await {
            let Joined { session, lease, streams, place } = *joined;
            let end = boxed(|| relay::run(&session, streams, &server.metrics.bytes, patience)).await;
            let host = &lease.backend().config.name;
            record.write(&server.metrics, &session.about.user, host, end.ended, end.octets);
            drop(place);
        }
        drop(connection);
    }
}

/// A connection that is ready to be relayed.
struct Begun {
    server: Arc<Server>,
    joined: Box<Joined>,
    record: Record,
    patience: Duration,
}

/// Everything before the relay. `None`: the connection has ended and has been recorded.
async fn begin(
    server: Arc<Server>,
    at: ListenerContext,
    listener: Arc<ImapListener>,
    accepted: Accepted,
    slot: Option<Slot>,
) -> Option<Begun> {
    let Accepted { tcp, peer, local } = accepted;
    let id = server.ids.next();
    let (tried, waited, attempts) = Default::default();
    let mut prelogin =
        PreLogin { server, at, id, client: peer, local, begun: Instant::now(), tried, waited, attempts };
    let outcome = before_login(&mut prelogin, listener, tcp).await;
    let record = Record::new(prelogin.id, prelogin.protocol(), prelogin.client, prelogin.begun);
    let (server, patience) = (prelogin.server.clone(), prelogin.snapshot().limits.farewell);
    drop(slot);
    match outcome {
        Ok(joined) => Some(Begun { server, joined, record, patience }),
        Err(ended) => {
            let tried = prelogin.take_tried();
            let (user, host) = tried.as_ref().map_or(("", ""), |tried| (&*tried.user, &*tried.host));
            record.write(&server.metrics, user, host, ended, (0, 0));
            None
        }
    }
}

async fn before_login(
    prelogin: &mut PreLogin,
    listener: Arc<ImapListener>,
    mut tcp: Unread,
) -> Result<Box<Joined>, Ended> {
    let active = prelogin.at.active.clone();
    let limits = &active.snapshot.limits;
    let mut ends = Ends { client: prelogin.client, local: prelogin.local };
    read_proxy_header(&mut tcp, &prelogin.at, &mut ends).await?;
    (prelogin.client, prelogin.local) = (ends.client, ends.local);
    if prelogin.server.router.access.denies_address(prelogin.client, prelogin.protocol()) {
        // Under TLS, a word would cost a handshake.
        if listener.plaintext_from.is_some() {
            let mut bye = Vec::new();
            reply::bye(Code::ContactAdmin, &mut bye);
            lingering_close(ClientStream::Plain(tcp.into_inner()), &bye, limits.farewell).await;
        }
        return Err(Ended::new(By::Usher, Stage::Preauth, Cause::Denied));
    }
    let mut until = prelogin.begun + limits.before_login;
    let (mut stream, mut privacy) = match &listener.plaintext_from {
        None => (secure(prelogin, &listener, tcp, until).await?, Privacy::Tls),
        Some(networks) => {
            let client = prelogin.client.ip().to_canonical();
            let allowed = networks.iter().any(|network| network.contains(&client));
            let privacy = if allowed { Privacy::ClearAllowed } else { Privacy::Clear };
            (ClientStream::Plain(tcp.into_inner()), privacy)
        }
    };
    // When usher is stopping, this client would only be sent away later.
    if prelogin.server.shutdown.has_begun() {
        let mut bye = Vec::new();
        reply::bye(Code::Unavailable, &mut bye);
        lingering_close(stream, &bye, limits.farewell).await;
        return Err(Ended::new(By::Operator, Stage::Preauth, Cause::Stopping));
    }
    loop {
        match boxed(|| preauth::converse(prelogin, &listener, stream, privacy, &mut until)).await? {
            preauth::Next::StartTls(unread) => {
                stream = secure(prelogin, &listener, unread, until).await?;
                privacy = Privacy::Tls;
            }
            preauth::Next::Joined(joined) => return Ok(joined),
        }
    }
}

/// Performs the TLS handshake.
async fn secure(
    prelogin: &PreLogin,
    listener: &ImapListener,
    connection: Unread,
    until: Instant,
) -> Result<ClientStream, Ended> {
    let limits = &prelogin.snapshot().limits;
    let client_ca = listener.client_ca.as_ref().map(|ca| ca.file.as_path());
    let config = prelogin.at.active.tls.imap(client_ca).choose(listener.strict_sni);
    let begun = Instant::now();
    let until = until.min(begun + limits.tls_handshake);
    let made = boxed(|| tls::accept(connection, config, until, limits.farewell)).await;
    prelogin.server.metrics.handshake(made.as_ref().ok(), begun.elapsed());
    made.map_err(|fault| {
        tracing::debug!(client = %prelogin.client, session = %prelogin.id, %fault, "no TLS");
        match fault {
            HandshakeFault::TimedOut => Ended::new(By::Usher, Stage::Tls, Cause::TooLong),
            HandshakeFault::Failed(_) => Ended::new(By::Client, Stage::Tls, Cause::Handshake),
        }
    })
}
