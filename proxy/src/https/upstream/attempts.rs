//! Tries to send a request until the head of a response has come: on another connection if one had been closed, and to
//! another member if that is safe.

use super::dress::{announce, dress};
use super::lease::lease;
use super::open::{Wanted, link};
use super::send::{Unsent, send};
use super::{Destination, Manner, Outgoing, Unreached, UpstreamResponse, rewrite};
use crate::active::ListenerContext;
use crate::https::client::Client;
use crate::https::message::body::{RequestBody, Seen};
use crate::https::message::interim::Inform;
use crate::https::message::refusal::Refusal;
use crate::https::message::scheme;
use crate::https::record::RequestRecord;
use http::header::WWW_AUTHENTICATE;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;
use usher_backends::connect::{Cause, ConnectFault, HttpTarget, Stage};
use usher_backends::http::{Link, SendFault};
use usher_backends::roster::{BackendId, Service};
use usher_config::snapshot::HttpVersion;

/// How many connections may turn out to be closed before a new one is opened.
const CLOSED: u32 = 3;
/// Later than any moment at which a connection may be opened for a request.
const OWN: Duration = Duration::from_secs(3600);

/// Sends `outgoing` to its destination.
pub(crate) async fn forward(
    record: &mut RequestRecord,
    at: &ListenerContext,
    destination: &Destination,
    outgoing: Outgoing,
    inform: &impl Inform,
) -> Result<Box<UpstreamResponse>, Unreached> {
    record.client.server.web.retries.earn();
    let Outgoing { mut request, manner } = outgoing;
    let mut attempts = Attempts::new(at, destination, manner, &request);
    loop {
        match attempts.next(record, request, inform).await? {
            Attempt::Answered(response) => return Ok(response),
            Attempt::Again(another) => request = another,
        }
    }
}

/// The result of one attempt.
enum Attempt {
    Answered(Box<UpstreamResponse>),
    /// This is to be tried next.
    Again(Box<Request<RequestBody>>),
}

/// The results of the previous attempts.
struct Attempts<'a> {
    at: &'a ListenerContext,
    destination: &'a Destination,
    manner: Manner,
    /// The body, as far as it has been passed on.
    seen: Arc<Seen>,
    /// Its head as it was last sent, for the next attempt.
    head: Option<Parts>,
    /// Fields that are rewritten for some backends, as they came.
    places: Option<HeaderMap>,
    /// It is idempotent and has no body.
    is_safe: bool,
    /// When there must be a connection at the latest.
    until: Instant,
    /// Members that did not answer.
    tried: Vec<BackendId>,
    /// The next connection must have been opened after this.
    younger: Option<Instant>,
    /// It has been sent a second time although a backend may have processed it.
    repeated: bool,
    /// Connections that turned out to have been closed.
    closed: u32,
    /// The result of the last attempt.
    former: Option<Refusal>,
}

impl<'a> Attempts<'a> {
    fn new(
        at: &'a ListenerContext,
        destination: &'a Destination,
        manner: Manner,
        request: &Request<RequestBody>,
    ) -> Self {
        Self {
            at,
            destination,
            manner,
            seen: request.body().seen().clone(),
            head: None,
            places: rewrite::places(request.headers()),
            is_safe: may_be_repeated(request.method()) && request.body().is_empty(),
            until: Instant::now() + at.active.snapshot.limits.backend_connect,
            tried: Vec::new(),
            younger: None,
            repeated: false,
            closed: 0,
            former: None,
        }
    }

    /// One attempt.
    async fn next(
        &mut self,
        record: &mut RequestRecord,
        mut request: Box<Request<RequestBody>>,
        inform: &impl Inform,
    ) -> Result<Attempt, Unreached> {
        let client = record.client.clone();
        // If there is nobody else, the previous result is the answer.
        let held =
            lease(&client, self.destination, &self.tried).map_err(|none| self.former.unwrap_or(none))?;
        let id = held.id().clone();
        let Some(target) = record.hold(held).target().cloned() else {
            tracing::error!(host = %id, "this host has users but no `http`");
            return Err(Refusal::unavailable("no-http").into());
        };
        let wanted = self.wanted(&client, &target);
        let mut link = match link(record, self.at, &target, &wanted).await {
            Ok(link) => link,
            Err(fault) => {
                self.note_unlinked(&client, id, &fault)?;
                return Ok(Attempt::Again(request));
            }
        };
        tracing::debug!(
            client = %client.ends.client,
            session = %record.id,
            user = %self.destination.shown(),
            host = &*id.name,
            "connected to the host"
        );
        self.prepare(&client, &mut request, link.version(), &target).await?;
        if let Destination::Home(permit) = self.destination
            && (client.server.router.is_moving(permit)
                || client.server.router.moves() != record.moves && !client.server.router.stands(permit).await)
        {
            // Its archive has been held or moved while a connection was opened.
            return Err(Refusal::unavailable("moving").into());
        }
        if link.version() == HttpVersion::Two {
            self.seen.keep(self.at.active.snapshot.limits.http_replay);
        }
        let told = self.manner.untold.as_ref().map_or(&[][..], |asked| &asked.fields);
        self.head = Some(link.begin(*request, told));
        record.expose();
        match send(record, &mut link, &self.seen, &self.manner, inform).await {
            Ok(response) => {
                if asks_for_connection_login(&response) {
                    client.logs_in_on_connections.store(true, Ordering::Relaxed);
                }
                self.seen.answered();
                Ok(Attempt::Answered(Box::new(UpstreamResponse { response, link, target })))
            }
            Err(Unsent::Ended(ended)) => Err(Unreached::Ended(ended)),
            Err(Unsent::Fault(fault)) => self.after(&client, id, &mut link, fault).map(Attempt::Again),
        }
    }

    /// The same request once more; `None` if its body cannot be had again.
    fn again(&mut self) -> Option<Box<Request<RequestBody>>> {
        let body = self.seen.again()?;
        Some(Box::new(Request::from_parts(self.head.take()?, body)))
    }

    fn wanted(&self, client: &Client, target: &HttpTarget) -> Wanted {
        let logs_in = client.logs_in_on_connections.load(Ordering::Relaxed);
        let upgrades = self.manner.upgrades;
        let version = if upgrades || logs_in { HttpVersion::One } else { target.endpoint.version };
        Wanted { version, younger: self.younger, upgrades, until: self.until }
    }

    /// There is no connection: nothing was sent, and another member is as good.
    fn note_unlinked(
        &mut self,
        client: &Client,
        id: BackendId,
        fault: &ConnectFault,
    ) -> Result<(), Unreached> {
        client.server.observer.connect_failed(&id.name, fault);
        if !matches!(self.destination, Destination::Array { .. }) || Instant::now() >= self.until {
            return Err(refusal_for(fault).into());
        }
        self.tried.push(id);
        self.former = Some(refusal_for(fault));
        Ok(())
    }

    /// Adapts the request to `link` and `target`.
    async fn prepare(
        &mut self,
        client: &Client,
        request: &mut Request<RequestBody>,
        version: HttpVersion,
        target: &HttpTarget,
    ) -> Result<(), Refusal> {
        if self.manner.sends_trailers && version == HttpVersion::One {
            announce(request).await?;
        }
        if version == HttpVersion::Two
            && let Some(asked) = self.manner.untold.take()
        {
            client.told.tell(request.headers_mut(), &asked.forwarded, &asked.host);
        }
        let host = &self.manner.host;
        dress(request, version, host);
        if let Some(places) = &self.places {
            // As it came, whatever was changed for a previous target.
            rewrite::restore(request.headers_mut(), places);
            if !target.endpoint.tls && target.endpoint.rewrite {
                rewrite::to_backend(request.headers_mut(), host);
            }
        }
        Ok(())
    }

    /// What to send after `fault`.
    fn after(
        &mut self,
        client: &Client,
        id: BackendId,
        link: &mut Link<RequestBody>,
        fault: SendFault<RequestBody>,
    ) -> Result<Box<Request<RequestBody>>, Unreached> {
        let SendFault { fault, is_refused, unsent } = fault;
        if let Some(refusal) = self.seen.fault().map(Refusal::from) {
            return Err(refusal.into());
        }
        // The connection was closed while idle, or is about to be: nothing is lost.
        let request = match unsent {
            Some(request) => Some(request),
            None if is_refused => self.again(),
            None => None,
        };
        let timed_out = matches!(fault.cause, Cause::TimedOut);
        // A failure on an unused connection means something, if the backend was given the request there.
        let is_shared = link.version() == HttpVersion::Two;
        let may_be_resent = link.used || is_refused || is_shared;
        // A backend that refuses requests may do so as long as there is time for another connection.
        let has_turns = self.closed < CLOSED || is_shared && Instant::now() < self.until;
        if let Some(request) = request
            && may_be_resent
            && has_turns
            && (!timed_out || link.is_closed())
        {
            self.younger = match self.closed {
                0 => None,
                1..CLOSED => Some(Instant::now()),
                // Other requests were sent on those opened since: this one needs a connection of its own.
                _ => Some(self.until + OWN),
            };
            self.closed += 1;
            return Ok(request);
        }
        let server = &client.server;
        server.observer.connect_failed(&id.name, &fault);
        server.health.note_session(&id, Service::Http, Err(&fault));
        // A backend that has not answered in time would not answer a repetition sooner.
        let may_repeat = self.is_safe && !timed_out && !self.repeated && server.web.retries.take();
        let another = if may_repeat { self.again() } else { None };
        let another = another.ok_or_else(|| refusal_for(&fault))?;
        server.metrics.http.retried();
        (self.younger, self.repeated) = (Some(Instant::now()), true);
        self.former = Some(refusal_for(&fault));
        if matches!(self.destination, Destination::Array { .. }) {
            self.tried.push(id);
        }
        Ok(another)
    }
}

/// Whether the method is idempotent (RFC 9110 section 9.2.2).
fn may_be_repeated(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE)
        || matches!(method.as_str(), "PROPFIND" | "REPORT")
}

fn asks_for_connection_login(response: &Response<()>) -> bool {
    response.status() == StatusCode::UNAUTHORIZED
        && response.headers().get_all(WWW_AUTHENTICATE).iter().any(scheme::asks_for_connection)
}

/// What a client is told about a fault on the way to a backend.
fn refusal_for(fault: &ConnectFault) -> Refusal {
    let status = match (fault.stage, &fault.cause) {
        (Stage::Resolve | Stage::Dial | Stage::ProxyHeader, _) => StatusCode::SERVICE_UNAVAILABLE,
        (_, Cause::TimedOut) => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_GATEWAY,
    };
    Refusal::new(status, fault.stage.name())
}
