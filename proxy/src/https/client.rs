//! One client's connection, as its requests see it.

use crate::accepted::{Connected, Ends};
use crate::access::Visit;
use crate::active::ListenerContext;
use crate::https::message::body::RequestBody;
use crate::https::message::credential::LastCredential;
use crate::https::message::forwarding::ForwardingFields;
use crate::https::message::named_by::NamedBy;
use crate::https::message::requested_host::{LastRequestedHost, RequestedHost};
use crate::https::server::Server;
use crate::session::{By, Cause, Ended, Record, Session, Stage};
use crate::tls::{self, ClientStream};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;
use usher_backends::connect::HttpTarget;
use usher_backends::http::{Bound, Link};
use usher_config::snapshot::{HttpVersion, Protocol};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Most backend connections that belong to one client.
const OWN_CAP: usize = 32;

/// The connection.
pub(crate) struct Client {
    pub(crate) server: Arc<Server>,
    /// The configuration that the connection began with.
    began_with: ListenerContext,
    /// The listener's address in the configuration.
    listener: SocketAddr,
    /// The client, and the address it connected to, as a PROXY header tells where one is demanded.
    pub(crate) ends: Ends,
    pub(crate) tls: &'static str,
    /// What was asked for with SNI, in lower case.
    pub(crate) server_name: Option<String>,
    /// Whom the client's certificate names.
    pub(crate) certificate: Option<String>,
    /// Connections to backends that serve only this client: they begin with its address, or it has logged in on them.
    own: Mutex<Vec<(Arc<HttpTarget>, Link<RequestBody>)>>,
    /// The client logs in on connections rather than in requests.
    pub(crate) logs_in_on_connections: AtomicBool,
    /// What backends are told of the client, ready to be sent.
    pub(crate) told: ForwardingFields,
    asked: LastRequestedHost,
    /// A digest of whose request was remembered last, and how it named them: most requests are like the one before.
    noted: AtomicU64,
    pub(crate) credential: LastCredential,
    begun: Instant,
    _place: Connected,
}

impl Client {
    pub(crate) fn new(
        server: Arc<Server>,
        at: ListenerContext,
        ends: Ends,
        stream: &ClientStream,
        place: Connected,
    ) -> Arc<Self> {
        let server_name = stream.server_name().map(|name| name.trim_end_matches('.').to_ascii_lowercase());
        let is_secure = matches!(stream, ClientStream::Tls(_));
        let told =
            ForwardingFields::new((ends.client, ends.local), is_secure, &at.active.snapshot.server.name);
        Arc::new(Self {
            server,
            listener: at.listener().address,
            began_with: at,
            ends,
            tls: stream.tls_version(),
            server_name,
            certificate: stream.client_certificate().and_then(tls::named_in),
            own: Mutex::default(),
            logs_in_on_connections: AtomicBool::new(false),
            told,
            asked: LastRequestedHost::default(),
            noted: AtomicU64::new(0),
            credential: LastCredential::default(),
            begun: Instant::now(),
            _place: place,
        })
    }

    /// The active configuration; if it no longer has the listener, the one that the connection began with.
    pub(crate) fn listening(&self) -> ListenerContext {
        let now = self.server.config.listener(self.listener, &self.began_with.name);
        now.unwrap_or_else(|| self.began_with.clone())
    }

    /// Which host this `Host` value asks for; `None` if it is invalid.
    pub(crate) fn asked(&self, host: &[u8]) -> Option<Arc<RequestedHost>> {
        self.asked.read(host, &self.told)
    }

    /// The name of this server.
    pub(crate) fn name(&self) -> &str {
        &self.began_with.active.snapshot.server.name
    }

    /// Remembers that whoever has `session` was let in, named in this way.
    pub(crate) fn note_login(&self, session: &Session, by: NamedBy) {
        if session.about.user.is_empty() {
            return;
        }
        let digest = xxh3_64_with_seed(session.about.user.as_bytes(), by as u64).max(1);
        if self.noted.swap(digest, Ordering::Relaxed) != digest {
            self.server.router.remembered.note(Visit::of(session), false);
        }
    }

    /// One of its own connections to `target` that speaks `version`.
    pub(crate) fn take_own(
        &self,
        target: &Arc<HttpTarget>,
        version: HttpVersion,
    ) -> Option<Link<RequestBody>> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.retain_mut(|(_, link)| !link.is_closed());
        let at = own.iter_mut().position(|(other, link)| {
            Arc::ptr_eq(other, target) && link.version() == version && link.is_ready()
        })?;
        Some(own.swap_remove(at).1)
    }

    /// Keeps a connection as one of its own.
    pub(crate) fn keep_own(&self, target: &Arc<HttpTarget>, mut link: Link<RequestBody>) {
        if target.is_private() && target.bound.as_ref().is_some_and(Bound::is_full) {
            // Somebody else may need the place.
            return;
        }
        link.used = true;
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if own.len() < OWN_CAP && link.is_ready() {
            link.vacate();
            own.push((target.clone(), link));
        }
    }

    /// Whether it has a connection of its own to `target`.
    pub(crate) fn has_own_to(&self, target: &Arc<HttpTarget>) -> bool {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.iter_mut().any(|(other, link)| Arc::ptr_eq(other, target) && !link.is_closed())
    }

    /// Records how the connection itself ended.
    pub(crate) fn write_end(&self, ended: Ended) {
        let record = Record::new(self.server.ids.next(), Protocol::Https, self.ends.client, self.begun);
        record.write(&self.server.metrics, "", "", ended, (0, 0));
    }

    /// Records that a codec has refused what it was given: the guard in front of it found no fault, or leaves the check
    /// to the codec.
    pub(crate) fn note_refused_by_codec(&self) {
        self.server.metrics.http_refused("codec");
        self.write_end(Ended::new(By::Client, Stage::Relay, Cause::Protocol("codec")));
    }

    /// Whether connections to `target` serve this client alone.
    pub(crate) fn has_own(&self, target: &HttpTarget) -> bool {
        target.is_private() || self.logs_in_on_connections.load(Ordering::Relaxed)
    }
}
