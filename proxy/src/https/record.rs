//! One request from its beginning to its end: who holds what for it, and the line that is written then.

use crate::active::ListenerContext;
use crate::https::client::Client;
use crate::https::message::body::Seen;
use crate::https::message::named_by::NamedBy;
use crate::https::message::pace::Patience;
use crate::https::message::refusal::Refusal;
use crate::id::Id;
use crate::log::login_refused;
use crate::session::{About, By, Cause, Doing, Ended, Entry, Stage};
use http::{Method, StatusCode, Version};
use std::sync::Arc;
use tokio::time::Instant;
use usher_backends::connect::HttpTarget;
use usher_backends::roster::{BackendId, Host, Lease, Member};
use usher_config::snapshot::Protocol;
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

/// The request. Gives everything up and writes its line when it is dropped.
pub(crate) struct RequestRecord {
    pub(crate) client: Arc<Client>,
    pub(crate) id: Id,
    begun: Instant,
    version: Version,
    method: Method,
    path: String,
    /// Its place in the table of sessions, as soon as it is known where it goes.
    pub(crate) session: Option<Entry>,
    pub(crate) held: Option<Held>,
    /// Where the name of its user was.
    pub(crate) by: NamedBy,
    /// Nobody has the name of its user.
    pub(crate) is_unknown: bool,
    pub(crate) status: Option<StatusCode>,
    pub(crate) seen: Option<Arc<Seen>>,
    pub(crate) from_backend: u64,
    /// How long it is waited for the client to take its response.
    pub(crate) patience: Patience,
    /// What a tunnel has brought beyond the request.
    pub(crate) from_client: u64,
    /// How it ended, where it did not come to its proper end.
    ended: Ended,
}

impl RequestRecord {
    pub(crate) fn new(
        client: &Arc<Client>,
        version: Version,
        method: Method,
        path: &str,
        patience: Patience,
    ) -> Self {
        Self {
            id: client.server.ids.next(),
            client: client.clone(),
            begun: Instant::now(),
            version,
            method,
            path: path.to_owned(),
            session: None,
            held: None,
            by: NamedBy::Nothing,
            is_unknown: false,
            status: None,
            seen: None,
            from_backend: 0,
            from_client: 0,
            patience,
            // Whatever drops it before it is said otherwise does so because the client is gone.
            ended: Ended::new(By::Client, Stage::Login, Cause::Closed),
        }
    }

    /// Enters it among the sessions, under the name of `user`.
    pub(crate) fn enter(&mut self, at: &ListenerContext, user: String) {
        let session = self.client.server.sessions.enter(About {
            id: self.id,
            protocol: Protocol::Https,
            listener: at.name.clone(),
            client: self.client.ends.client,
            user: user.into(),
            tls: self.client.tls,
        });
        self.session = Some(session);
    }

    /// The backend has been chosen.
    pub(crate) fn hold(&mut self, held: Held) -> &Held {
        if let Some(session) = &self.session {
            session.goes_to(held.id());
            session.note_doing(Doing::Busy);
        }
        self.held.insert(held)
    }

    /// usher answers itself.
    pub(crate) fn refused(&mut self, refusal: Refusal) {
        self.status = Some(refusal.status);
        self.ended = Ended::new(By::Usher, Stage::Login, Cause::Protocol(refusal.cause));
        self.client.server.metrics.http_refused(refusal.cause);
    }

    /// The head of the response goes on.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
        self.ended = Ended::new(By::Client, Stage::Relay, Cause::Closed);
    }

    /// It has come to its proper end, or to another one.
    pub(crate) fn end(&mut self, ended: Ended) {
        self.ended = ended;
    }

    /// Whether somebody said who they are, and was not believed.
    fn is_refused_login(&self) -> bool {
        let is_by_backend = self.status == Some(StatusCode::UNAUTHORIZED) && self.held.is_some();
        self.is_unknown || is_by_backend && self.by.is_login()
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
        let took = self.begun.elapsed();
        let code = self.status.map_or(0, |status| status.as_u16());
        let server = &self.client.server;
        server.metrics.http.request(self.version, code, took);
        let (by, stage, cause) = (self.ended.by.name(), self.ended.stage.name(), self.ended.cause.name());
        match (self.ended.by, self.ended.cause) {
            (By::Backend, Cause::Complete) => server.metrics.http.completed(),
            _ => server.metrics.closed(Protocol::Https, by, stage, cause),
        }
        let of_body = self.seen.as_ref().map_or(0, |seen| seen.octets());
        // What goes through a tunnel is counted there.
        server.metrics.bytes.from_client.increment(of_body);
        let from_client = of_body + self.from_client;
        let user = self.session.as_ref().map(|session| &*session.about.user).unwrap_or_default();
        let host = self.held.as_ref().map(|held| &*held.id().name).unwrap_or_default();
        if self.is_refused_login() {
            login_refused(self.client.ends.client, self.id, Code::AuthenticationFailed, self.by.name(), user);
        }
        tracing::info!(
            client = %self.client.ends.client,
            session = %self.id,
            protocol = "https",
            user,
            identity = self.by.name(),
            host,
            method = self.method.as_str(),
            path = self.path,
            version = ?self.version,
            status = code,
            by,
            stage,
            cause,
            bytes_from_client = from_client,
            bytes_from_backend = self.from_backend,
            seconds = took.as_secs_f64(),
            "request"
        );
    }
}
