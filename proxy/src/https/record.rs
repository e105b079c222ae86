//! One request from beginning to end: what it holds, and the log line that is written when it ends.

use crate::active::ListenerContext;
use crate::guessing::Attempt;
use crate::https::client::Client;
use crate::https::message::body::Seen;
use crate::https::message::http_login::HttpLogin;
use crate::https::message::named_by::NamedBy;
use crate::https::message::pace::Patience;
use crate::https::message::refusal::Refusal;
use crate::id::Id;
use crate::log::{self, RequestLine, Timed, login_refused};
use crate::metrics::Used;
use crate::session::{About, By, Cause, Doing, Ended, Entry, Stage};
use crate::spans::{self, Span, TRACEPARENT, Told};
use http::{HeaderMap, Method, StatusCode, Version};
use std::sync::Arc;
use tokio::time::Instant;
use usher_backends::connect::HttpTarget;
use usher_backends::roster::{BackendId, Host, Lease, Member};
use usher_config::snapshot::Protocol;
use usher_policy::access::Name;
use usher_wire::imap::reply::Code;

/// The backend that serves it.
pub(crate) enum Held {
    Host(Lease<Host>),
    Member(Lease<Member>),
}

impl Held {
    /// Its name.
    pub(crate) fn id(&self) -> &BackendId {
        match self {
            Self::Host(lease) => &lease.backend().id,
            Self::Member(lease) => &lease.backend().id,
        }
    }

    /// How it is reached.
    pub(crate) fn target(&self) -> Option<&Arc<HttpTarget>> {
        match self {
            Self::Host(lease) => lease.backend().services.http(),
            Self::Member(lease) => lease.backend().http.as_ref(),
        }
    }
}

/// The request. When dropped, it releases everything and writes its log line.
pub(crate) struct RequestRecord {
    pub(crate) client: Arc<Client>,
    pub(crate) id: Id,
    pub(crate) begun: Instant,
    version: Version,
    method: Method,
    path: String,
    /// What stands for what it asks for.
    pub(crate) target: u64,
    /// Its place in the table of sessions, once its destination is known.
    pub(crate) session: Option<Entry>,
    pub(crate) held: Option<Held>,
    /// Where the name of its user was found.
    pub(crate) by: NamedBy,
    /// How many archives had been moved when it came.
    pub(crate) moves: u64,
    /// Everybody whom it names, if that is not just its user.
    pub(crate) names: Option<Box<[Name]>>,
    /// The login that it is, if it is one.
    pub(crate) login: Option<HttpLogin>,
    /// That login, while it may fail.
    pub(crate) attempt: Option<Box<Attempt>>,
    /// Somebody said who they are and was rejected.
    pub(crate) is_refused_login: bool,
    pub(crate) status: Option<StatusCode>,
    pub(crate) seen: Option<Arc<Seen>>,
    pub(crate) from_backend: u64,
    /// How long to wait for the client to take its response.
    pub(crate) patience: Patience,
    /// Its backend has answered, well or not.
    pub(crate) is_answered: bool,
    /// Its backend may take longer than others.
    pub(crate) is_patient: bool,
    /// It, for OpenTelemetry.
    pub(crate) span: Option<Box<Span>>,
    /// Bytes that a tunnel has carried from the client after the request.
    pub(crate) from_client: u64,
    /// How it ended, if it did not end properly.
    ended: Ended,
}

impl RequestRecord {
    pub(crate) fn new(
        client: &Arc<Client>,
        begun: Instant,
        version: Version,
        method: Method,
        path: &str,
        patience: Patience,
    ) -> Self {
        Self {
            id: client.server.ids.next(),
            client: client.clone(),
            begun,
            version,
            path: path.to_owned(),
            target: 0,
            method,
            session: None,
            held: None,
            by: NamedBy::Nothing,
            moves: client.server.router.moves(),
            names: None,
            login: None,
            attempt: None,
            is_refused_login: false,
            status: None,
            seen: None,
            from_backend: 0,
            from_client: 0,
            span: None,
            is_answered: false,
            is_patient: false,
            patience,
            // If it is dropped before anything else is set, the client is gone.
            ended: Ended::new(By::Client, Stage::Login, Cause::Closed),
        }
    }

    /// Enters it in the table of sessions under the name of `user`.
    pub(crate) fn enter(&mut self, at: &ListenerContext, user: String) {
        let session = self.client.server.sessions.enter(About {
            id: self.id,
            protocol: Protocol::Https,
            listener: at.name.clone(),
            client: self.client.ends.client,
            user: user.into(),
            tls: self.client.tls,
            names: self.names.take(),
            mechanism: Some(self.by.name()),
            has_certificate: self.client.certificate.is_some(),
        });
        self.session = Some(session);
    }

    /// Begins its span, if there are any, and makes what the backend does a part of it.
    pub(crate) fn begin_span(&mut self, headers: &mut HeaderMap, is_trusted: bool) {
        let parent = is_trusted.then_some(&*headers);
        let Some(span) = spans::begin("request", self.begun, parent) else { return };
        if let Some(parent) = span.traceparent() {
            headers.insert(TRACEPARENT, parent);
        }
        self.span = Some(Box::new(span));
    }

    /// Its method.
    pub(crate) fn method(&self) -> &Method {
        &self.method
    }

    /// The backend has been chosen.
    pub(crate) fn hold(&mut self, held: Held) -> &Held {
        if let Some(session) = &self.session {
            session.goes_to(held.id());
            session.note_doing(Doing::Busy);
        }
        self.held.insert(held)
    }

    /// usher answers the request itself.
    pub(crate) fn refused(&mut self, refusal: Refusal) {
        self.status = Some(refusal.status);
        self.ended = Ended::new(By::Usher, Stage::Login, Cause::Protocol(refusal.cause));
        self.client.server.metrics.http_refused(refusal.cause);
    }

    /// The head of the response is being passed on.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
        self.ended = Ended::new(By::Client, Stage::Relay, Cause::Closed);
        self.is_answered = true;
        if self.is_patient {
            return;
        }
        log::slow(&Timed {
            stage: "first-byte",
            host: self.held.as_ref().map_or("", |held| &held.id().name),
            user: self.session.as_ref().map_or("", |session| &session.about.user),
            session: &self.id,
            took: self.begun.elapsed(),
        });
    }

    /// It has ended, properly or otherwise.
    pub(crate) fn end(&mut self, ended: Ended) {
        self.ended = ended;
    }

    /// The end of a response that is complete.
    pub(crate) fn complete(&mut self) {
        self.ended = Ended::new(By::Backend, Stage::Relay, Cause::Complete);
    }
}

impl Drop for RequestRecord {
    fn drop(&mut self) {
        if let Some(seen) = &self.seen {
            seen.abandon();
            seen.answered();
        }
        self.left();
        let took = self.begun.elapsed();
        let code = self.status.map_or(0, |status| status.as_u16());
        let server = &self.client.server;
        let is_relayed = matches!((self.ended.by, self.ended.cause), (By::Backend, Cause::Complete));
        server.metrics.http.request(self.version, code, took, is_relayed);
        let (by, stage, cause) = (self.ended.by.name(), self.ended.stage.name(), self.ended.cause.name());
        if !is_relayed {
            server.metrics.closed(Protocol::Https, by, stage, cause);
        }
        let of_body = self.seen.as_ref().map_or(0, |seen| seen.octets());
        // The bytes of a tunnel are counted elsewhere.
        if of_body > 0 {
            server.metrics.bytes.from_client.increment(of_body);
        }
        let from_client = of_body + self.from_client;
        let user = self.session.as_ref().map(|session| &*session.about.user).unwrap_or_default();
        let host = self.held.as_ref().map(|held| &*held.id().name).unwrap_or_default();
        let is_complete = matches!(self.ended.cause, Cause::Complete);
        // What usher says in its place when it cannot be reached or does not answer.
        let is_missing = !self.is_answered && matches!(code, 502 | 504);
        let is_broken = matches!(self.ended.by, By::Backend) && !is_complete || is_missing;
        let used = Used { from_client, from_backend: self.from_backend, is_broken };
        server.metrics.host_request(host, if self.is_answered { code } else { 0 }, took, used);
        if let Some(span) = self.span.take() {
            let (method, status) = (Some(self.method.as_str()), self.status.map(|status| status.as_u16()));
            span.end(&Told { session: &self.id, host, result: cause, status, method });
        }
        if self.is_refused_login {
            login_refused(self.client.ends.client, self.id, Code::AuthenticationFailed, self.by.name(), user);
        }
        log::request(&RequestLine {
            client: &self.client.told.client,
            session: self.id,
            protocol: "https",
            user,
            identity: self.by.name(),
            host,
            method: self.method.as_str(),
            path: &self.path,
            version: self.version,
            status: code,
            by,
            stage,
            cause,
            bytes_from_client: from_client,
            bytes_from_backend: self.from_backend,
            seconds: took.as_secs_f64(),
        });
    }
}
