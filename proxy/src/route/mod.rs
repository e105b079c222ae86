//! The one routing decision, with its sources: the directory, the holds and the roster. Logins, requests and `explain`
//! all use it.

pub(crate) mod registered;

use crate::access::{Access, Hearing, Visit};
use crate::boxed::boxed;
use crate::metrics::Metrics;
use crate::peers::{Peers, Told};
use crate::remembered::Remembered;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};
use usher_backends::directory::{DirectoryError, Found, Placement};
use usher_backends::roster::{Fleet, Host, Lease, Service, Unavailable};
use usher_backends::sources::{Inquiry, Said, Sources, Visitor};
use usher_policy::ArchiveKey;
use usher_policy::access::Attributes;
use usher_policy::route::{self, ArrayPermit, Decision, Denied, Facts, Home, Outage, Permit};
use usher_wire::imap::referral::Referral;

/// How old the answer of a source may be for somebody whose login was refused.
const RECENT: Duration = Duration::from_secs(1);

/// Time that a login waits for what has been learnt from it to be written down.
const SOON: Duration = Duration::from_millis(500);

/// Decides where archives may be used.
pub(crate) struct Router {
    pub(crate) sources: Arc<Sources>,
    fleet: Arc<Fleet>,
    pub(crate) access: Access,
    pub(crate) remembered: Arc<Remembered>,
    pub(crate) peers: Arc<Peers>,
    metrics: Arc<Metrics>,
    /// How many archives have been moved: a permit from before may name the former host.
    moves: AtomicU64,
}

/// A decision, and what it was based on.
pub(crate) struct Decided {
    pub(crate) decision: Decision,
    pub(crate) answer: Answer,
    /// Who gave the answer.
    pub(crate) source: &'static str,
    /// How long ago.
    pub(crate) age: Duration,
}

/// What the directory has answered.
pub(crate) enum Answer {
    Placed { placement: Placement, is_remembered: bool },
    Nobody,
    Failed(DirectoryError),
}

impl Router {
    pub(crate) fn new(
        sources: Arc<Sources>,
        fleet: Arc<Fleet>,
        access: Access,
        remembered: Arc<Remembered>,
        peers: Arc<Peers>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { sources, fleet, access, remembered, peers, metrics, moves: AtomicU64::new(0) }
    }

    /// Decides where `key` goes, for somebody who is waiting for it: counted, and logged if it is denied or an outage.
    /// `asked` is when they came: what was changed before then is heard of.
    pub(crate) async fn decide(
        &self,
        key: &ArchiveKey,
        asked: Instant,
        visit: impl FnOnce() -> Visit,
        visitor: impl FnOnce() -> Visitor,
    ) -> Decision {
        let hearing = self.access.hear(visit);
        if let Some(hearing) = hearing.as_ref().filter(|hearing| self.access.denies_name(hearing)) {
            self.remembered.note(hearing.visit().clone(), true);
            return Decision::Denied;
        }
        let begun = Instant::now();
        let visitor = self.sources.wants_visitor().then(|| Arc::new(visitor()));
        let inquiry = Inquiry { key, asked, freshness: None, visitor: visitor.as_ref() };
        let mut said = self.sources.find(&inquiry).await;
        self.metrics.lookup(&said, begun.elapsed());
        if matches!(said.found, Ok(Found::Now(None)))
            && !said.is_refusal
            && let Some(told) = boxed(|| self.peers.ask(key)).await
        {
            match told {
                Told::On(_) => {
                    self.sources.forget(key);
                    said = self.sources.find(&Inquiry { asked: Instant::now(), ..inquiry }).await;
                }
                other => said.found = other.error().map_or(Ok(Found::Now(None)), Err),
            }
        }
        let Decided { decision, answer, source, .. } = self.decided(key, said, |placement| {
            let hearing = hearing.as_ref().filter(|hearing| hearing.needs_entry())?;
            self.access.denies(hearing, &placement.attributes()).then_some(Denied::Covertly)
        });
        match (&decision, &answer) {
            (Decision::Concealed(_), _) => {
                hearing.iter().for_each(|hearing| self.remembered.note(hearing.visit().clone(), true));
            }
            (Decision::Outage(Outage::Undecided), Answer::Failed(error)) => {
                tracing::error!(source, user = %key, %error, "the directory cannot say where a user is");
            }
            (Decision::Outage(Outage::UnknownHost), Answer::Placed { placement, .. }) => {
                tell_unknown(key, source, &placement.host);
            }
            _ => {}
        }
        decision
    }

    /// Decides where those go who name nobody; `None`: the access rules deny it.
    pub(crate) fn decide_for_nobody(
        &self,
        array: &str,
        visit: impl FnOnce() -> Visit,
    ) -> Option<ArrayPermit> {
        let hearing = self.access.hear(visit);
        let denied = hearing.is_some_and(|hearing| self.access.denies(&hearing, &Attributes::default()));
        (!denied).then(|| route::nobody(array))
    }

    /// The same decision for somebody who only wants to know, without counting or logging it. `hearing`: who would come.
    pub(crate) async fn explain(&self, key: &ArchiveKey, hearing: Option<&Hearing>) -> Decided {
        self.explain_fresh(key, hearing, None).await
    }

    /// The same by an answer that is not older than `freshness`.
    async fn explain_fresh(
        &self,
        key: &ArchiveKey,
        hearing: Option<&Hearing>,
        freshness: Option<Duration>,
    ) -> Decided {
        let said = self.sources.find(&Inquiry { freshness, ..Inquiry::about(key) }).await;
        let mut decided = self.decided(key, said, |placement| {
            hearing?.entirely(&placement.attributes()).denies().then_some(Denied::Covertly)
        });
        if hearing.is_some_and(|hearing| hearing.by_name().denies()) {
            decided.decision = Decision::Denied;
        }
        decided
    }

    /// Whether the archive is still where it was when the permit was given.
    pub(crate) async fn stands(&self, permit: &Permit) -> bool {
        let now = self.explain(permit.key(), None).await.decision;
        matches!(now, Decision::Permitted(now) if now == *permit)
    }

    /// The same, now that its host refuses the login: perhaps because it has moved, which a source that was asked a while
    /// ago has not said.
    pub(crate) async fn stands_though_refused(&self, permit: &Permit) -> bool {
        let now = boxed(|| self.explain_fresh(permit.key(), None, Some(RECENT))).await.decision;
        matches!(now, Decision::Permitted(now) if now == *permit)
    }

    /// What the directory says of `key` besides its host; `None`: it cannot be read.
    pub(crate) async fn attributes(&self, key: &ArchiveKey) -> Option<Attributes> {
        match self.sources.find(&Inquiry::about(key)).await.found {
            Ok(Found::Now(Some(placement)) | Found::Remembered(placement)) => Some(placement.attributes()),
            Ok(Found::Now(None)) => Some(Attributes::default()),
            Err(_) => None,
        }
    }

    /// How many archives have been moved so far.
    pub(crate) fn moves(&self) -> u64 {
        self.moves.load(Ordering::SeqCst)
    }

    /// An archive has been moved.
    pub(crate) fn note_move(&self) {
        self.moves.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether the archive is being moved.
    pub(crate) fn is_moving(&self, permit: &Permit) -> bool {
        let (roster, key) = (self.fleet.roster(), permit.key());
        let domain = if permit.is_by_domain() { key.domain() } else { None };
        roster.moving(key, domain.as_ref()).is_some()
    }

    /// The current host of a permit; `None` if it is no longer configured.
    pub(crate) fn host(&self, permit: &Permit) -> Option<Arc<Host>> {
        self.fleet.roster().host(permit.host()).cloned()
    }

    /// The host that a referral names, by its name or its address.
    pub(crate) fn host_at(&self, referral: &Referral) -> Option<Arc<Host>> {
        let roster = self.fleet.roster();
        if let Some(named) = roster.host(&referral.host) {
            return Some(named.clone());
        }
        let is_there = |host: &&Arc<Host>| {
            let mail = host.services.mail(Service::Imap);
            let parts = mail.and_then(|mail| mail.endpoint.address.rsplit_once(':'));
            parts.is_some_and(|(name, port)| {
                let is_port = referral.port.is_none_or(|named| port.parse() == Ok(named));
                is_port && name.trim_matches(['[', ']']).eq_ignore_ascii_case(&referral.host)
            })
        };
        let mut found = roster.hosts().filter(is_there);
        let first = found.next().cloned();
        // Two on one address cannot be told apart.
        first.filter(|_| found.next().is_none())
    }

    /// Reports that the directory is wrong about the key of `permit`, which `host` has, and mends it if that is wanted and
    /// the user's `own` login has shown it.
    pub(crate) async fn note_stale(&self, permit: &Permit, host: &str, is_own: bool) {
        let learns = is_own && self.access.learns_referrals();
        tracing::warn!(user = %permit.key(), entry = permit.host(), host, learns, "the directory's entry is out of date");
        self.metrics.stale_entry();
        if !learns {
            return;
        }
        let (ledger, key) = (self.sources.ledger(), permit.key().clone());
        let (from, to, roster) = (permit.host().to_owned(), host.to_owned(), self.fleet.roster());
        let learning = move || {
            let by = format!("referral of {from}");
            let flip = |written: &str| ledger.flip(&key, written, &to, &by);
            if let Err(error) = registered::flip(&roster, &from, flip) {
                tracing::error!(user = %key, %error, "the directory cannot be mended");
            }
        };
        // Whoever has logged in does not wait for another server.
        let soon = timeout(SOON, spawn_blocking(learning)).await;
        drop(soon);
    }

    /// A lease of the host of a permit.
    ///
    /// # Errors
    /// [`Unavailable`], when anything holds the host.
    pub(crate) fn lease(&self, permit: &Permit, service: Service) -> Result<Lease<Host>, Unavailable> {
        let leased = self.fleet.roster().lease(permit, service);
        if let Err(Unavailable::Gone) = leased {
            tell_unknown(permit.key(), "", permit.host());
        }
        leased
    }

    fn decided(
        &self,
        key: &ArchiveKey,
        said: Said,
        denied: impl FnOnce(&Placement) -> Option<Denied>,
    ) -> Decided {
        let Said { found, source, age, is_refusal: _ } = said;
        let mut answer = match found {
            Ok(Found::Now(Some(placement))) => Answer::Placed { placement, is_remembered: false },
            Ok(Found::Remembered(placement)) => Answer::Placed { placement, is_remembered: true },
            Ok(Found::Now(None)) => Answer::Nobody,
            Err(error) => Answer::Failed(error),
        };
        let roster = self.fleet.roster();
        if let Answer::Placed { placement, .. } = &mut answer
            && let Some(named) = registered::name(&roster, &placement.host, placement.port)
        {
            placement.host = named;
        }
        let home = match &answer {
            Answer::Placed { placement, .. } => Home::On(&placement.host),
            Answer::Nobody => Home::Nowhere,
            Answer::Failed(_) => Home::Undecided,
        };
        let found_by = match &answer {
            Answer::Placed { placement, .. } => Some(&placement.found_by),
            Answer::Nobody | Answer::Failed(_) => None,
        };
        let is_moving = roster.moving(key, found_by).is_some();
        let is_by_domain = found_by.is_some_and(|by| by != key);
        let is_configured = match home {
            Home::On(host) => roster.host(host).is_some(),
            Home::Nowhere | Home::Undecided => false,
        };
        let denied = match &answer {
            Answer::Placed { placement, .. } => denied(placement),
            Answer::Nobody | Answer::Failed(_) => None,
        };
        let login = match &answer {
            Answer::Placed { placement, .. } => placement.login.as_ref(),
            Answer::Nobody | Answer::Failed(_) => None,
        };
        let facts = Facts { home, is_by_domain, is_moving, is_configured, denied, login };
        Decided { decision: route::decide(key, facts), answer, source, age }
    }
}

fn tell_unknown(key: &ArchiveKey, source: &str, host: &str) {
    tracing::error!(user = key.name(), source, host, "the directory names a host that is not configured");
}
