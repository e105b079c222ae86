//! To a backend and back to the head of its response: a lease, a connection, and another try where that is
//! safe.

use super::answer::Refusal;
use super::body::{RequestBody, Seen};
use super::client::Client;
use super::interim::{Inform, Interim};
use super::rewrite;
use super::scheme;
use super::ticket::{Held, Ticket};
use crate::session::{Cause as EndCause, Ended, Stage as EndStage, Urgency};
use crate::shared::Listening;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, TE, TRAILER, TRANSFER_ENCODING,
    WWW_AUTHENTICATE,
};
use http::uri::Scheme;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body;
use hyper::body::Incoming;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};
use usher_backends::connect::{Cause, ConnectFault, Deadlines, HttpTarget, OnBehalf, Stage};
use usher_backends::http::{Link, SendFault};
use usher_backends::roster::{BackendId, Service};
use usher_config::ArchiveKey;
use usher_config::snapshot::HttpVersion;

/// Octets of a body that are read to learn of its trailers.
const AHEAD: usize = 64 * 1024;
/// For a backend's word on whether it wants a body.
const CONTINUE: Duration = Duration::from_secs(1);
/// Connections that may turn out to have been closed before a new one is made.
const CLOSED: u32 = 3;
/// Beyond any moment at which a connection may be opened for a request.
const OWN: Duration = Duration::from_secs(3600);
/// Least time for a connection to a member.
const LEAST: Duration = Duration::from_millis(50);

/// Where a request may go.
pub(super) enum Aim {
    /// To the one host that holds the archive of `key`.
    Home { host: String, key: ArchiveKey },
    /// To any member of an array; to this one while it is in service.
    Array { name: String, member: Option<String> },
}

/// A request that is ready to be sent, and how often it may be.
pub(super) struct Going {
    /// Gone as soon as it is sent.
    pub(super) request: Option<Request<RequestBody>>,
    pub(super) host: HeaderValue,
    /// It asks to switch protocols, which HTTP/1.1 alone can.
    pub(super) upgrades: bool,
    /// Nothing is said of a body before the backend wants it.
    pub(super) expects: bool,
    /// Trailers that nobody has announced go on to HTTP/1.1 as well.
    pub(super) sends_trailers: bool,
    /// For the head of the response.
    pub(super) timeout: Duration,
}

/// A response whose body is still to come.
pub(super) struct Reached {
    pub(super) response: Response<Incoming>,
    pub(super) link: Link<RequestBody>,
    pub(super) target: Arc<HttpTarget>,
    /// Whether the connection may serve another request.
    pub(super) reusable: bool,
}

/// Why there is no response.
pub(super) enum Unreached {
    /// The client is told so.
    Refused(Refusal),
    /// It has been ended; there is nobody to tell.
    Ended(Ended),
}

impl From<Refusal> for Unreached {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Sends `going` where `aim` says.
pub(super) async fn forward(
    ticket: &mut Ticket,
    at: &Listening,
    aim: &Aim,
    going: &mut Going,
    inform: &impl Inform,
) -> Result<Reached, Unreached> {
    let client = ticket.client.clone();
    let shared = &client.shared;
    shared.retries.earn();
    let Going { request, host, upgrades, expects, sends_trailers, timeout } = going;
    let (upgrades, expects, sends_trailers, timeout) = (*upgrades, *expects, *sends_trailers, *timeout);
    let Some(first) = request.as_ref() else { return Err(Refusal::unavailable("no-request").into()) };
    let seen = first.body().seen().clone();
    let again = Again::of(first);
    let is_safe = may_be_repeated(first.method()) && first.body().is_empty();
    let until = Instant::now() + at.setting.snapshot.limits.backend_connect;
    let (mut tried, mut younger, mut repeated, mut closed) = (Vec::new(), None, false, 0);
    let mut former = None;
    loop {
        // Where there is nobody else, what the former one came to is the answer.
        let held = lease(&client, aim, &tried).map_err(|none| former.unwrap_or(none))?;
        let id = held.id().clone();
        let target = ticket.hold(held).target().cloned();
        let Some(target) = target else {
            tracing::error!(host = %id, "this host has users and no `http`");
            return Err(Refusal::unavailable("no-http").into());
        };
        let logs_in = client.logs_in_on_connections.load(Ordering::Relaxed);
        let version = if upgrades || logs_in { HttpVersion::One } else { target.endpoint.version };
        let linked = link(ticket, at, &target, version, younger, upgrades, until).await;
        let mut link = match linked {
            Ok(link) => link,
            Err(fault) => {
                shared.observer.connect_failed(&id.name, &fault);
                // Nothing was sent, and another member is as good.
                if matches!(aim, Aim::Array { .. }) && Instant::now() < until {
                    tried.push(id);
                    former = Some(refusal_for(&fault));
                    continue;
                }
                return Err(refusal_for(&fault).into());
            }
        };
        if let Some(request) = request.as_mut() {
            if sends_trailers && link.version() == HttpVersion::One {
                announce(request).await?;
            }
            dress(request, link.version(), host);
            if again.names_places {
                // As it came, whatever a target before this one has made of it.
                rewrite::restore(request.headers_mut(), &again.headers);
                if !target.endpoint.tls && target.endpoint.rewrite {
                    rewrite::to_backend(request.headers_mut(), host);
                }
            }
        }
        if let Aim::Home { key, .. } = aim
            && shared.fleet.roster().moving(key).is_some()
        {
            // Held while a connection was made.
            return Err(Refusal::unavailable("moving").into());
        }
        if link.version() == HttpVersion::Two {
            seen.keep(at.setting.snapshot.limits.http_replay);
        }
        let sent = send(ticket, &mut link, request, &seen, timeout, expects, inform).await?;
        let SendFault { fault, is_refused } = match sent {
            Ok(response) => {
                if asks_for_connection_login(&response) {
                    client.logs_in_on_connections.store(true, Ordering::Relaxed);
                }
                seen.answered();
                let reusable = !upgrades;
                return Ok(Reached { response, link, target, reusable });
            }
            Err(fault) => fault,
        };
        if let Some(refusal) = seen.fault().map(super::exchange::body_refusal) {
            return Err(refusal.into());
        }
        // It was closed while it waited, or is about to be: nothing is lost.
        if is_refused && request.is_none() {
            *request = again.request(&seen);
        }
        let timed_out = matches!(fault.cause, Cause::TimedOut);
        // Of one that was never used it says something where it was given the request.
        let may_be_resent = link.used || is_refused || link.version() == HttpVersion::Two;
        // Whoever turns requests away may do so as often as there is time for another connection.
        let has_turns = closed < CLOSED || link.version() == HttpVersion::Two && Instant::now() < until;
        if request.is_some() && may_be_resent && has_turns && (!timed_out || link.is_closed()) {
            younger = match closed {
                0 => None,
                1..CLOSED => Some(Instant::now()),
                // Others have been served on those that were opened since: one of its own.
                _ => Some(until + OWN),
            };
            closed += 1;
            continue;
        }
        shared.observer.connect_failed(&id.name, &fault);
        shared.health.note_session(&id, Service::Http, Err(&fault));
        // One that does not answer in time would not do so sooner.
        let may_repeat = is_safe && !timed_out && !repeated;
        let another = if may_repeat && shared.retries.take() { again.request(&seen) } else { None };
        let Some(another) = another else { return Err(refusal_for(&fault).into()) };
        shared.meter.http.retried();
        *request = Some(another);
        (younger, repeated) = (Some(Instant::now()), true);
        former = Some(refusal_for(&fault));
        if matches!(aim, Aim::Array { .. }) {
            tried.push(id);
        }
    }
}

/// Says which trailers the body ends with: HTTP/1.1 sends those alone that were announced.
async fn announce(request: &mut Request<RequestBody>) -> Result<(), Refusal> {
    if request.body().is_empty() || request.headers().contains_key(TRAILER) {
        return Ok(());
    }
    let names = request.body_mut().announce(AHEAD).await.map_err(super::exchange::body_refusal)?;
    request.headers_mut().extend(names.map(|names| (TRAILER, names)));
    Ok(())
}

/// The right to use a backend.
fn lease(client: &Client, aim: &Aim, tried: &[BackendId]) -> Result<Held, Refusal> {
    let roster = client.shared.fleet.roster();
    match aim {
        Aim::Home { host, key } => {
            if roster.moving(key).is_some() {
                return Err(Refusal::unavailable("moving"));
            }
            let Some(found) = roster.host(host) else {
                tracing::error!(user = key.name(), host, "the directory names a host that is not configured");
                return Err(Refusal::unavailable("unknown-host"));
            };
            found.lease(Service::Http).map(Held::Host).map_err(|shut| Refusal::unavailable(shut.name()))
        }
        Aim::Array { name, member } => {
            let none = Refusal::unavailable("no-member");
            let array = roster.array(name).ok_or(none)?;
            // Whoever has logged in on a connection stays with it.
            let own = array.members.iter().find(|member| {
                member.http.as_ref().is_some_and(|target| client.has_own_to(target))
                    && !tried.contains(&member.id)
            });
            let wanted = own.map(|member| &*member.id.name).or(member.as_deref());
            let wanted = wanted.filter(|wanted| tried.iter().all(|tried| &*tried.name != *wanted));
            let there = wanted.and_then(|wanted| array.lease_of(Service::Http, wanted));
            let source = client.ends.0.ip().to_canonical();
            let lease = there.or_else(|| array.lease(Service::Http, source, tried)).ok_or(none)?;
            Ok(Held::Member(lease))
        }
    }
}

/// A connection to `target`, within the bound that the operator has set.
async fn link(
    ticket: &Ticket,
    at: &Listening,
    target: &Arc<HttpTarget>,
    version: HttpVersion,
    younger: Option<Instant>,
    upgrades: bool,
    until: Instant,
) -> Result<Link<RequestBody>, ConnectFault> {
    let client = &ticket.client;
    let shared = &client.shared;
    let Some(bound) = &target.bound else {
        return open(ticket, at, target, version, younger, upgrades, until).await;
    };
    let full = || ConnectFault { stage: Stage::Dial, cause: Cause::Full };
    let slot = bound.slot(until).await.ok_or_else(full)?;
    if (younger.is_some() || upgrades || client.has_own(target)) && bound.is_full() {
        // One of those that wait makes room for a new one.
        drop(shared.pool(target).and_then(|pool| pool.evict(target)));
    }
    let mut link = open(ticket, at, target, version, younger, upgrades, until).await?;
    link.occupy(bound, slot);
    Ok(link)
}

/// A connection to `target`: one that waits, or a new one.
async fn open(
    ticket: &Ticket,
    at: &Listening,
    target: &Arc<HttpTarget>,
    version: HttpVersion,
    younger: Option<Instant>,
    upgrades: bool,
    until: Instant,
) -> Result<Link<RequestBody>, ConnectFault> {
    let client = &ticket.client;
    let shared = &client.shared;
    let own = client.has_own(target);
    // A connection that is to be switched must speak HTTP/1.1 and is gone afterwards.
    let pools = version == target.endpoint.version && !upgrades;
    // One that is as old as the failure of the former is likely to be as bad.
    let is_young = |link: &Link<RequestBody>| younger.is_none_or(|younger| link.opened > younger);
    if younger.is_none()
        && own
        && !upgrades
        && let Some(link) = client.take_own(target, version)
    {
        return Ok(link);
    }
    if (younger.is_none() || version == HttpVersion::Two)
        && pools
        && !target.is_private()
        && let Some(link) = shared.pool(target).and_then(|pool| pool.take(target)).filter(is_young)
    {
        return Ok(link);
    }
    // Of those who want a shared one at the same time, one opens it.
    let mut turn = None;
    if let Some(pool) = shared.pool(target).filter(|_| pools && !own && version == HttpVersion::Two) {
        turn = timeout_at(until, pool.turn(target)).await.ok();
        if let Some(link) = pool.take(target).filter(is_young) {
            return Ok(link);
        }
    }
    let begun = Instant::now();
    let mut deadlines = Deadlines::from(&at.setting.snapshot.limits);
    if ticket.held.as_ref().is_some_and(|held| matches!(held, Held::Member(_))) {
        // Half of what is left, so that one that does not answer leaves time for another.
        deadlines.connect = (until.saturating_duration_since(begun) / 2).max(LEAST);
    }
    let id = ticket.id.to_string();
    let on_behalf = OnBehalf { source: client.ends.0, destination: client.ends.1, session: &id };
    // Seldom, and large: apart, so that a request which finds a connection is no larger for it.
    let opened = Box::pin(Link::open(target, version, on_behalf, &deadlines)).await;
    if let Some(held) = &ticket.held {
        shared.health.note_session(held.id(), Service::Http, opened.as_ref().map(|_| ()));
    }
    let link = opened?;
    shared.observer.connected(&target.name, begun.elapsed());
    let link = match shared.pool(target).filter(|_| pools && !own) {
        Some(pool) => pool.lend(target, link),
        None => link,
    };
    // Those who wait find it in the pool.
    drop(turn);
    Ok(link)
}

/// Sends the request and waits for the head of the response, passing interim ones on.
async fn send(
    ticket: &Ticket,
    link: &mut Link<RequestBody>,
    request: &mut Option<Request<RequestBody>>,
    seen: &Seen,
    timeout: Duration,
    expects: bool,
    inform: &impl Inform,
) -> Result<Result<Response<Incoming>, SendFault>, Unreached> {
    let interim = Interim::default();
    if let Some(request) = request.as_mut() {
        interim.listen(request);
    }
    // Of HTTP/2 the codec tells no interim responses.
    if !expects || link.version() == HttpVersion::Two {
        seen.want();
    }
    let sending = link.send(request);
    tokio::pin!(sending);
    let due = sleep(timeout);
    tokio::pin!(due);
    let patience = async {
        match expects {
            true => sleep(CONTINUE).await,
            false => std::future::pending().await,
        }
    };
    tokio::pin!(patience);
    let pass_on = |head: Response<()>| {
        if head.status() != StatusCode::CONTINUE {
            inform.inform(head);
        } else if expects && !seen.is_wanted() {
            // The client's codec says so itself where it reads the body.
            seen.want();
            inform.inform(head);
        }
    };
    loop {
        tokio::select! {
            biased;
            sent = &mut sending => {
                // Those that came together with it.
                interim.take().into_iter().for_each(pass_on);
                return Ok(sent);
            }
            head = interim.next() => pass_on(head),
            () = &mut patience, if expects && !seen.is_wanted() => seen.want(),
            ended = ended(ticket) => return Err(Unreached::Ended(ended)),
            () = &mut due => {
                // Counted from the last octet of the request: until then the backend has something to do.
                let until = seen.last_octet() + timeout;
                if until <= Instant::now() {
                    let fault = ConnectFault { stage: Stage::Response, cause: Cause::TimedOut };
                    return Ok(Err(SendFault { fault, is_refused: false }));
                }
                due.as_mut().reset(until);
            }
        }
    }
}

/// Returns when the request is to end at once.
async fn ended(ticket: &Ticket) -> Ended {
    std::future::poll_fn(|cx| {
        let Some(session) = &ticket.session else { return Poll::Pending };
        let order = session.order(cx.waker());
        if order.urgency != Urgency::End {
            return Poll::Pending;
        }
        let (by, cause) = EndCause::ordered(order.why);
        Poll::Ready(Ended::new(by, EndStage::Login, cause))
    })
    .await
}

/// Writes the request in the way of `version`.
fn dress(request: &mut Request<RequestBody>, version: HttpVersion, host: &HeaderValue) {
    let mut uri = http::uri::Parts::default();
    uri.path_and_query = request.uri().path_and_query().cloned();
    let (is_empty, length) = (request.body().is_empty(), request.body().size_hint().exact());
    match version {
        HttpVersion::One => {
            *request.version_mut() = Version::HTTP_11;
            // It is of this connection alone (RFC 9110 section 10.1.4).
            if request.headers().contains_key(TE) && !request.headers().contains_key(CONNECTION) {
                request.headers_mut().insert(CONNECTION, HeaderValue::from_static("te"));
            }
            request.headers_mut().insert(HOST, host.clone());
            // The codec takes GET for a request without a body otherwise.
            if !is_empty && length.is_none() && !request.headers().contains_key(CONTENT_LENGTH) {
                request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            }
        }
        HttpVersion::Two => {
            *request.version_mut() = Version::HTTP_2;
            request.headers_mut().remove(HOST);
            request.headers_mut().remove(CONNECTION);
            request.headers_mut().remove(TRANSFER_ENCODING);
            uri.scheme = Some(Scheme::HTTPS);
            uri.authority = host.to_str().ok().and_then(|host| host.parse().ok());
        }
    }
    if let Ok(uri) = Uri::from_parts(uri) {
        *request.uri_mut() = uri;
    }
}

/// Whether doing it twice is doing it once (RFC 9110 section 9.2.2).
fn may_be_repeated(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE)
        || matches!(method.as_str(), "PROPFIND" | "REPORT")
}

/// What the same request can be made of once more.
struct Again {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    /// Fields of it may be rewritten for a backend.
    names_places: bool,
}

impl Again {
    fn of(request: &Request<RequestBody>) -> Self {
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
            names_places: rewrite::names_places(request.headers()),
        }
    }

    /// `None` where the body is there no more.
    fn request(&self, seen: &Arc<Seen>) -> Option<Request<RequestBody>> {
        let mut request = Request::new(seen.again()?);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        request.headers_mut().clone_from(&self.headers);
        Some(request)
    }
}

/// Whether a request logs in on its connection (RFC 4559, and NTLM).
pub(super) fn is_connection_login(headers: &HeaderMap) -> bool {
    headers.get_all(AUTHORIZATION).iter().any(scheme::logs_in_on_connection)
}

fn asks_for_connection_login(response: &Response<Incoming>) -> bool {
    response.status() == StatusCode::UNAUTHORIZED
        && response.headers().get_all(WWW_AUTHENTICATE).iter().any(scheme::asks_for_connection)
}

/// What a client is told of a fault on the way to a backend.
fn refusal_for(fault: &ConnectFault) -> Refusal {
    let status = match (fault.stage, &fault.cause) {
        (Stage::Resolve | Stage::Dial | Stage::ProxyHeader, _) => StatusCode::SERVICE_UNAVAILABLE,
        (_, Cause::TimedOut) => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_GATEWAY,
    };
    Refusal::new(status, fault.stage.name())
}
