//! More of the log for a while: of everything, or of the way of one user, one client or one host.

use arc_swap::ArcSwapOption;
use std::collections::HashSet;
use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber, callsite};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::registry::LookupSpan;

/// Sessions of a user that are followed at a time.
const SESSIONS: usize = 10_000;

/// What more is logged, and until when.
pub(crate) struct Raised {
    /// Down to which level.
    pub(crate) level: LevelFilter,
    pub(crate) until: Instant,
    /// Of whom; all that are given must fit.
    pub(crate) of: Whose,
    /// Sessions that a line has been about which fits: later ones may name nothing else.
    sessions: Mutex<HashSet<String>>,
}

/// Whose way is followed; of everybody, if nothing is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Whose {
    /// As the log writes it.
    pub(crate) user: Option<String>,
    pub(crate) client: Option<IpAddr>,
    pub(crate) host: Option<String>,
}

static RAISED: ArcSwapOption<Raised> = ArcSwapOption::const_empty();

/// Logs more for a while, instead of what may have been raised before.
pub(crate) fn raise(level: LevelFilter, lasts: Duration, of: Whose) {
    let (until, sessions) = (Instant::now() + lasts, Mutex::default());
    let raised = Arc::new(Raised { level, until, of, sessions });
    RAISED.store(Some(raised.clone()));
    callsite::rebuild_interest_cache();
    // It costs a little for as long as it is there.
    tokio::spawn(async move {
        tokio::time::sleep(lasts).await;
        if RAISED.load().as_ref().is_some_and(|now| Arc::ptr_eq(now, &raised)) {
            lower();
        }
    });
}

/// Logs as usual again.
pub(crate) fn lower() {
    RAISED.store(None);
    callsite::rebuild_interest_cache();
}

/// What is raised now.
pub(crate) fn raised() -> Option<Arc<Raised>> {
    RAISED.load_full().filter(|raised| raised.until > Instant::now())
}

/// Whether a line that names these is among those that are raised.
pub(super) fn follows(named: impl FnOnce() -> Named) -> bool {
    let raised = RAISED.load();
    raised.as_ref().is_some_and(|raised| raised.until > Instant::now() && raised.is_of_named(named))
}

/// Whether a line of usher's own may be among those that are raised.
fn may_be(metadata: &Metadata<'_>) -> bool {
    let raised = RAISED.load();
    raised.as_ref().is_some_and(|raised| {
        *metadata.level() <= raised.level
            && metadata.target().starts_with("usher")
            && raised.until > Instant::now()
    })
}

/// Chooses what is logged: what is usual, and what is raised.
pub(super) struct Chosen(pub(super) EnvFilter);

impl<S> Filter<S> for Chosen
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        Filter::enabled(&self.0, metadata, context) || may_be(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        match RAISED.load().is_some() {
            true => Interest::sometimes(),
            false => Filter::<S>::callsite_enabled(&self.0, metadata),
        }
    }

    fn event_enabled(&self, event: &Event<'_>, context: &Context<'_, S>) -> bool {
        let is_usual = Filter::enabled(&self.0, event.metadata(), context);
        // Usual lines are looked at too: they tell which sessions are the user's.
        let is_followed = RAISED.load().as_ref().is_some_and(|raised| raised.is_of(event));
        is_usual || is_followed
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let usual = Filter::<S>::max_level_hint(&self.0)?;
        Some(RAISED.load().as_ref().map_or(usual, |raised| raised.level.max(usual)))
    }
}

impl Raised {
    fn is_of(&self, event: &Event<'_>) -> bool {
        self.until > Instant::now()
            && self.is_of_named(|| {
                let mut named = Named::default();
                event.record(&mut named);
                named
            })
    }

    fn is_of_named(&self, named: impl FnOnce() -> Named) -> bool {
        if self.of == Whose::default() {
            return true;
        }
        let named = named();
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if named.session.as_ref().is_some_and(|session| sessions.contains(session)) {
            return true;
        }
        let Whose { user, client, host } = &self.of;
        let fits = user.as_ref().is_none_or(|user| named.user.as_ref() == Some(user))
            && client.is_none_or(|client| named.client == Some(client))
            && host.as_ref().is_none_or(|host| named.host.as_ref() == Some(host));
        if fits && let Some(session) = named.session.filter(|_| sessions.len() < SESSIONS) {
            sessions.insert(session);
        }
        fits
    }
}

/// The address of a client as lines have it.
pub(super) fn address(client: &str) -> Option<IpAddr> {
    let address = client.parse().map(|client: SocketAddr| client.ip()).or_else(|_| client.parse());
    address.ok().map(|address: IpAddr| address.to_canonical())
}

/// Whom a line names.
#[derive(Default)]
pub(super) struct Named {
    pub(super) user: Option<String>,
    pub(super) client: Option<IpAddr>,
    pub(super) host: Option<String>,
    pub(super) session: Option<String>,
}

impl Named {
    fn note(&mut self, field: &Field, value: String) {
        match field.name() {
            "user" => self.user = Some(value),
            "host" => self.host = Some(value),
            "session" => self.session = Some(value),
            "client" => self.client = address(&value),
            _ => {}
        }
    }
}

impl Visit for Named {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.note(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if matches!(field.name(), "user" | "client" | "host" | "session") {
            self.note(field, format!("{value:?}"));
        }
    }
}
