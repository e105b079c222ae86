//! A connection of plain TCP, spread over the members of an array.

use crate::accepted::{Accepted, Ends, Slots, read_proxy_header};
use crate::access::Visit;
use crate::active::ListenerContext;
use crate::boxed::boxed;
use crate::guessing::Guessing;
use crate::id::{Id, Ids};
use crate::metrics::Metrics;
use crate::relay;
use crate::route::Router;
use crate::session::Table;
use crate::session::{About, By, Cause, Ended, Entry, Record, Stage};
use crate::shutdown::Shutdown;
use crate::unread::Unread;
use socket2::SockRef;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;
use usher_backends::Observer;
use usher_backends::connect::{self, Deadlines, OnBehalf};
use usher_backends::health::Health;
use usher_backends::roster::{Fleet, Lease, Member, Service};
use usher_config::snapshot::{Protocol, TcpListener};

/// Least time for connecting to a member.
const LEAST: Duration = Duration::from_millis(50);

/// Shared by all connections.
pub(crate) struct Server {
    pub(crate) guessing: Arc<Guessing>,
    pub(crate) router: Arc<Router>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) health: Arc<Health>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) sessions: Arc<Table>,
    pub(crate) ids: Arc<Ids>,
    pub(crate) shutdown: Arc<Shutdown>,
}

/// Serves one connection to its end.
pub(crate) async fn serve(
    server: Arc<Server>,
    at: ListenerContext,
    listener: Arc<TcpListener>,
    accepted: Accepted,
    slots: Slots,
) {
    let Accepted { mut tcp, peer, local } = accepted;
    let begun = Instant::now();
    let id = server.ids.next();
    let mut session = None;
    let outcome = boxed(|| {
        find_member(&server, &at, &listener, &mut tcp, id, Ends { client: peer, local }, &mut session)
    })
    .await;
    let patience = at.active.snapshot.limits.farewell;
    drop((at, listener));
    drop(slots.before_login);
    let client = session.as_ref().map_or(peer, |session: &Entry| session.about.client);
    let record = Record::new(id, Protocol::Tcp, client, begun);
    match (outcome, &session) {
        (Ok((backend, lease)), Some(session)) => {
            let (ended, octets) =
                relay::splice(session, tcp.into_inner(), backend, &server.metrics.bytes, patience, None)
                    .await;
            record.write(&server.metrics, "", &lease.backend().config.name, ended, octets);
        }
        (Err(ended), _) => record.write(&server.metrics, "", "", ended, (0, 0)),
        (Ok(_), None) => {}
    }
    drop(slots.connection);
}

/// The port that a redirected client meant, if it is one of the listener's.
fn meant_port(tcp: &TcpStream, first: u16, last: u16) -> Option<u16> {
    let socket = SockRef::from(tcp);
    let is_ipv6 = tcp.local_addr().is_ok_and(|local| !local.ip().to_canonical().is_ipv4());
    let meant = if is_ipv6 { socket.original_dst_v6() } else { socket.original_dst_v4() };
    // One that connected here directly was not redirected.
    let port = match meant {
        Ok(meant) => meant.as_socket()?.port(),
        Err(_) => first,
    };
    (first..=last).contains(&port).then_some(port)
}

type Found = (TcpStream, Lease<Member>);

/// Connects to a member, or to another one if that cannot be reached.
async fn find_member(
    server: &Server,
    at: &ListenerContext,
    listener: &TcpListener,
    tcp: &mut Unread,
    id: Id,
    mut ends: Ends,
    session: &mut Option<Entry>,
) -> Result<Found, Ended> {
    let limits = &at.active.snapshot.limits;
    // The port that the client connected to, whatever a header says: it is also used to reach the member.
    let port = match listener.redirected {
        true => meant_port(tcp.header(), at.listener().address.port(), listener.last_port)
            .ok_or(Ended::new(By::Client, Stage::Preauth, Cause::Protocol("port")))?,
        false => ends.local.port(),
    };
    read_proxy_header(tcp, at, &mut ends).await?;
    let Ends { client, local } = ends;
    if server.guessing.refuse_address(client.ip()).is_err() {
        return Err(Ended::new(By::Usher, Stage::Preauth, Cause::Denied));
    }
    let about = About {
        id,
        protocol: Protocol::Tcp,
        listener: at.name.clone(),
        client,
        user: Box::default(),
        tls: "none",
        names: None,
        mechanism: None,
        has_certificate: false,
    };
    let session = session.insert(server.sessions.enter(about));
    let permit = server
        .router
        .decide_for_nobody(&listener.array, || Visit::of(session))
        .ok_or(Ended::new(By::Usher, Stage::Preauth, Cause::Denied))?;
    let deadlines = Deadlines::from(limits);
    let begun = Instant::now();
    let until = begun + deadlines.connect;
    let text = id.to_string();
    let on_behalf = OnBehalf { source: client, destination: local, session: &text, certificate: None };
    let unavailable = Ended::new(By::Usher, Stage::Login, Cause::Unavailable);
    let mut tried = Vec::new();
    // Another member will do, as long as the client has not waited longer than connecting may take.
    while Instant::now() < until {
        let source = client.ip().to_canonical();
        let lease = server.fleet.roster().lease_any(&permit, Service::Tcp, source, &tried);
        let Some(lease) = lease else { break };
        let member = lease.backend().clone();
        session.goes_to(&member.id);
        let Some(endpoint) = &member.config.tcp else { break };
        let address = connect::authority(&endpoint.host, endpoint.port.unwrap_or(port));
        // Half of the remaining time, so that a member that does not answer leaves time for another.
        let slice = until.saturating_duration_since(Instant::now()) / 2;
        let deadlines = Deadlines { connect: slice.max(LEAST), ..deadlines };
        let opening = connect::open_tcp(&address, endpoint.client_address, on_behalf, &deadlines);
        let opened = tokio::select! {
            opened = opening => opened,
            why = session.called_off(&server.shutdown) => {
                let (by, cause) = Cause::ordered(why);
                return Err(Ended::new(by, Stage::Login, cause));
            }
        };
        server.health.note_session(&member.id, Service::Tcp, opened.as_ref().map(|_| ()));
        match opened {
            Ok(backend) => {
                server.metrics.connected(&member.id.name, begun.elapsed());
                return Ok((backend, lease));
            }
            Err(fault) => {
                server.observer.connect_failed(&member.id.name, &fault);
                tried.push(member.id.clone());
            }
        }
    }
    Err(unavailable)
}
