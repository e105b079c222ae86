//! A source that is elsewhere, with what it has said: each is asked once for all who want to know the same, and not at
//! all while it is out.

use super::answers::{Answers, Known};
pub use super::circuit::Health;
use super::circuit::{Circuit, Turn};
use super::engine::{Answer, Engine, News, Question};
use super::fault::SourceFault;
use super::inquiry::{Inquiry, Visitor};
use super::kept::Kept;
use crate::directory::{DirectoryError, Found};
use dashmap::DashMap;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, sleep, timeout};
use usher_config::snapshot;
use usher_policy::ArchiveKey;

/// Time that somebody waits for an answer who can have the former one.
const PATIENCE: Duration = Duration::from_millis(400);
/// Time in which nobody else waits for it then.
const HURRY: Duration = Duration::from_secs(1);
/// Time between two questions to a source that is out.
const AGAIN: Duration = Duration::from_millis(500);
/// Time in which a service that wants to be asked again is asked again.
const LAST: Duration = Duration::from_secs(30);
/// Longest time that a service may make somebody wait for a refusal.
const REFUSED: Duration = Duration::from_secs(10);
/// Most questions on their way at the same time. Others wait for their turn.
const AT_ONCE: usize = 1024;
/// Whom a source is asked about at the start, to see whether it answers; no name ends like this (RFC 2606).
const NOBODY: &str = "usher-probe@usher.invalid";

type Flight = Shared<BoxFuture<'static, Answer>>;

/// One source.
pub(super) struct Asked {
    pub(super) name: &'static str,
    engine: Arc<dyn Engine>,
    answers: Answers,
    circuit: Circuit,
    deadline: Duration,
    flights: DashMap<ArchiveKey, Flight>,
    places: Semaphore,
    runtime: Handle,
    kept: Kept,
    is_probed: AtomicBool,
    /// When somebody has last waited in vain, in milliseconds from `start`; 0: nobody has.
    late: AtomicU64,
    start: Instant,
    /// For the tasks.
    this: Weak<Self>,
}

/// What it says.
pub(super) struct Heard {
    pub(super) found: Result<Found, DirectoryError>,
    pub(super) age: Duration,
    /// It said so before it went out.
    pub(super) is_stale: bool,
}

/// How a source is.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Its name.
    pub name: &'static str,
    /// Whether it answers; `None`: it is within usher.
    pub health: Option<Health>,
    /// Whether it is left alone, and former answers are used.
    pub is_stale: bool,
    /// How many answers are remembered.
    pub remembered: usize,
}

impl Standing {
    pub(super) fn within(name: &'static str) -> Self {
        Self { name, health: None, is_stale: false, remembered: 0 }
    }
}

impl Asked {
    pub(super) fn new(
        name: &'static str,
        engine: Arc<dyn Engine>,
        configured: &snapshot::Directory,
        kept: PathBuf,
        runtime: &Handle,
    ) -> Arc<Self> {
        let asked = Arc::new_cyclic(|this: &Weak<Self>| Self {
            name,
            engine,
            answers: Answers::new(configured.cache),
            circuit: Circuit::new(),
            deadline: configured.deadline,
            flights: DashMap::new(),
            places: Semaphore::new(AT_ONCE),
            runtime: runtime.clone(),
            kept: Kept::at(kept),
            is_probed: AtomicBool::new(false),
            late: AtomicU64::new(0),
            start: Instant::now(),
            this: this.clone(),
        });
        asked.kept.restore(&asked.answers);
        asked.follow();
        let nobody = Question { key: ArchiveKey::User(NOBODY.to_owned()), visitor: None };
        let first = asked.clone();
        asked.runtime.spawn(async move {
            let answer = first.ask(&nobody).await;
            first.note(&answer, &nobody.key, true);
        });
        asked
    }

    /// Hears of changes.
    fn follow(&self) {
        let this = self.this.clone();
        let tell = move |news| {
            if let Some(asked) = this.upgrade() {
                asked.hear(&news);
            }
        };
        if let Some(following) = self.engine.clone().follow(Box::new(tell)) {
            self.runtime.spawn(following);
        }
    }

    pub(super) fn hear(&self, news: &News) {
        tracing::debug!(source = self.name, ?news, "heard of a change");
        match news {
            News::Of(key) => {
                let was_known = self.answers.get(key).is_some();
                self.forget(Some(key));
                // At once, while it can be asked: afterwards they are known again.
                if was_known && !self.engine.judges() {
                    self.flights.entry(key.clone()).or_insert_with(|| self.fly(&Inquiry::about(key)));
                }
            }
            News::Everything => self.forget(None),
            News::Doubt => self.answers.doubt(),
        }
    }

    pub(super) async fn find(&self, inquiry: &Inquiry<'_>) -> Heard {
        let known = self.answers.get(inquiry.key);
        // A service that judges passwords is asked about each.
        let judged = inquiry.visitor.filter(|who| self.engine.judges() && who.password.is_some());
        // It could not be asked again without the password.
        let freshness = inquiry.freshness.filter(|_| !self.engine.judges());
        if judged.is_none()
            && let Some(known) = known.as_ref().filter(|known| self.answers.is_fresh(known, freshness))
        {
            return Heard {
                found: Ok(Found::Now(known.placement.clone())),
                age: known.age(),
                is_stale: false,
            };
        }
        if let Some(why) = self.circuit.is_open() {
            return self.without(known, &why);
        }
        let wait = match (&known, judged) {
            (_, Some(_)) => LAST,
            (Some(_), None) if self.is_late() => Duration::ZERO,
            (Some(_), None) => PATIENCE,
            (None, None) => self.deadline,
        };
        let asked = Instant::now();
        let flight = match judged {
            Some(_) => self.fly(inquiry),
            None => self.flights.entry(inquiry.key.clone()).or_insert_with(|| self.fly(inquiry)).clone(),
        };
        match timeout(wait, flight).await {
            Ok(Ok(placement)) => {
                Heard { found: Ok(Found::Now(placement)), age: asked.elapsed(), is_stale: false }
            }
            Ok(Err(SourceFault::Out(why))) => self.without(known, &why),
            Ok(Err(fault)) => {
                let found = Err(DirectoryError::Source(format!("{}: {fault}", self.name)));
                Heard { found, age: Duration::ZERO, is_stale: false }
            }
            Err(_) => {
                if wait == PATIENCE {
                    self.late.store(self.start.elapsed().as_millis() as u64, Ordering::Relaxed);
                }
                self.without(known, "it has not answered in time")
            }
        }
    }

    /// Whether somebody has just waited in vain.
    fn is_late(&self) -> bool {
        let late = Duration::from_millis(self.late.load(Ordering::Relaxed));
        !late.is_zero() && self.start.elapsed() < late + HURRY
    }

    /// What is to be said while the source is out because of `why`.
    fn without(&self, known: Option<Known>, why: &str) -> Heard {
        let Some(known) = known else {
            let found = Err(DirectoryError::Source(format!("{}: {why}", self.name)));
            return Heard { found, age: Duration::ZERO, is_stale: true };
        };
        let age = known.age();
        let found = known.placement.map_or(Found::Now(None), Found::Remembered);
        Heard { found: Ok(found), age, is_stale: true }
    }

    /// Sends a question on its way, which nobody who asks can call back.
    fn fly(&self, inquiry: &Inquiry<'_>) -> Flight {
        let (sender, receiver) = oneshot::channel();
        let question = Question { key: inquiry.key.clone(), visitor: inquiry.visitor.cloned() };
        if let Some(this) = self.this.upgrade() {
            let (asked, forgotten) = (Instant::now(), self.answers.forgotten(inquiry.key));
            self.runtime.spawn(async move {
                let answer = this.ask(&question).await;
                this.note(&answer, &question.key, false);
                this.keep_in_mind(&question, &answer, asked, forgotten);
                if answer.is_ok() && asked.elapsed() < PATIENCE {
                    this.late.store(0, Ordering::Relaxed);
                }
                if !this.is_judged(question.visitor.as_ref()) {
                    this.flights.remove(&question.key);
                }
                let _ = sender.send(answer);
            });
        }
        let landed = async { receiver.await.unwrap_or_else(|_| Err(SourceFault::out("usher is ending"))) };
        landed.boxed().shared()
    }

    fn is_judged(&self, visitor: Option<&Arc<Visitor>>) -> bool {
        self.engine.judges() && visitor.is_some_and(|visitor| visitor.password.is_some())
    }

    async fn ask(&self, question: &Question) -> Answer {
        let until = Instant::now() + LAST;
        loop {
            let asking = async {
                let Ok(_place) = self.places.acquire().await else { return Err(SourceFault::out("closed")) };
                self.engine.look_up(question).await
            };
            let late = || SourceFault::Out(format!("no answer within {} ms", self.deadline.as_millis()));
            let answer = timeout(self.deadline, asking).await.unwrap_or_else(|_| Err(late()));
            match answer {
                Err(SourceFault::Wait(wait)) if Instant::now() + wait < until => sleep(wait).await,
                Err(SourceFault::Wait(_)) => {
                    return Err(SourceFault::answer("it wants to be asked again, and again"));
                }
                Err(SourceFault::Refused(wait)) => {
                    sleep(wait.min(REFUSED)).await;
                    return Ok(None);
                }
                answer => return answer,
            }
        }
    }

    fn keep_in_mind(&self, question: &Question, answer: &Answer, asked: Instant, forgotten: u64) {
        match answer {
            // A wrong password, or none at all: that says nothing of the user.
            Ok(None) if self.engine.judges() => {}
            Ok(placement) => self.answers.remember(&question.key, placement.clone(), asked, forgotten),
            Err(_) => {}
        }
    }

    /// Notes how a question was answered.
    fn note(&self, answer: &Answer, key: &ArchiveKey, is_first: bool) {
        let failure = match answer {
            Ok(_) | Err(SourceFault::Answer(_) | SourceFault::Wait(_) | SourceFault::Refused(_)) => None,
            Err(SourceFault::Out(why)) => Some(why.clone()),
        };
        match self.circuit.note(failure, is_first) {
            Turn::None => {}
            Turn::Closed => tracing::warn!(source = self.name, "the directory's source answers again"),
            Turn::Opened => {
                let why = self.circuit.is_open().unwrap_or_default();
                tracing::error!(
                    source = self.name,
                    why,
                    "the directory's source is out; what it last said is used"
                );
                self.probe(key.clone());
            }
        }
    }

    /// Asks again and again until there is an answer.
    fn probe(&self, key: ArchiveKey) {
        let Some(this) = self.this.upgrade() else { return };
        if self.is_probed.swap(true, Ordering::SeqCst) {
            return;
        }
        self.runtime.spawn(async move {
            let question = Question { key, visitor: None };
            while this.circuit.is_open().is_some() {
                sleep(AGAIN).await;
                let answer = this.ask(&question).await;
                if !matches!(answer, Err(SourceFault::Out(_))) {
                    this.is_probed.store(false, Ordering::SeqCst);
                }
                this.note(&answer, &question.key, false);
            }
        });
    }

    /// Forgets where `key` was; without a key, everything.
    pub(super) fn forget(&self, key: Option<&ArchiveKey>) {
        self.answers.forget(key);
        match key {
            Some(key @ (ArchiveKey::User(_) | ArchiveKey::Tenant(_))) => drop(self.flights.remove(key)),
            Some(ArchiveKey::Domain(_)) | None => self.flights.clear(),
        }
    }

    pub(super) fn keep_absence(&self, key: &ArchiveKey) {
        self.answers.keep_absence(key);
    }

    pub(super) fn wants_visitor(&self) -> bool {
        self.engine.wants_visitor()
    }

    pub(super) fn standing(&self) -> Standing {
        Standing {
            name: self.name,
            health: Some(self.circuit.health()),
            is_stale: self.circuit.is_open().is_some(),
            remembered: self.answers.len(),
        }
    }

    /// Saves what is remembered.
    pub(super) fn keep(&self) {
        self.kept.keep(&self.answers);
    }
}
