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
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, sleep, timeout};
use usher_config::snapshot;
use usher_policy::ArchiveKey;

/// Time that somebody waits for an answer who can have the former one.
const PATIENCE: Duration = Duration::from_millis(400);
/// The same where passwords are judged, which takes time.
const PATIENCE_OF_JUDGES: Duration = Duration::from_millis(900);
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

/// A question that others may join.
struct OnItsWay {
    number: u64,
    asked: Instant,
    flight: Flight,
}

/// Ends a question, however that comes about.
struct Landing<'a> {
    asked: &'a Asked,
    key: &'a ArchiveKey,
    number: Option<u64>,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        self.asked.flights.remove_if(self.key, |_, on_its_way| Some(on_its_way.number) == self.number);
    }
}

/// One source.
pub(super) struct Asked {
    pub(super) name: &'static str,
    engine: Arc<dyn Engine>,
    answers: Answers,
    circuit: Circuit,
    deadline: Duration,
    flights: DashMap<ArchiveKey, OnItsWay>,
    numbers: AtomicU64,
    places: Semaphore,
    runtime: Handle,
    kept: Kept,
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
    /// It has judged the password, and refuses: nobody else is to be asked.
    pub(super) is_refusal: bool,
}

impl Heard {
    fn known(known: Known) -> Self {
        let age = known.age();
        Self { found: Ok(Found::Now(known.placement)), age, is_stale: false, is_refusal: false }
    }
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
            numbers: AtomicU64::new(0),
            places: Semaphore::new(AT_ONCE),
            runtime: runtime.clone(),
            kept: Kept::at(kept),
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
                    let _ = self.flight(&Inquiry::about(key));
                }
            }
            News::Everything => self.forget(None),
            News::Doubt => self.answers.doubt(),
        }
    }

    pub(super) async fn find(&self, inquiry: &Inquiry<'_>) -> Heard {
        let known = self.answers.get(inquiry.key);
        let is_judged = self.is_judged(inquiry.visitor);
        if self.engine.judges() && !is_judged {
            // It would refuse whoever shows no password, and count that.
            return match known {
                Some(known) if self.answers.is_fresh(&known, None) => Heard::known(known),
                known => self.without(known, "it is asked only with a password"),
            };
        }
        if let Some(known) = known.as_ref().filter(|_| !is_judged)
            && self.answers.is_fresh(known, inquiry.freshness)
        {
            return Heard::known(known.clone());
        }
        let until = Instant::now() + LAST;
        loop {
            if let Some(why) = self.circuit.is_open() {
                return self.without(known, &why);
            }
            let wait = match (&known, is_judged) {
                (Some(_), _) if self.is_late() => Duration::ZERO,
                (Some(_), false) => PATIENCE,
                (Some(_), true) => PATIENCE_OF_JUDGES,
                // The question ends by itself before, and its failure has been counted then.
                (None, _) => self.deadline + PATIENCE,
            };
            let (asked, flight) = if is_judged { self.fly(inquiry, None) } else { self.flight(inquiry) };
            match timeout(wait, flight).await {
                Ok(Ok(placement)) => {
                    let is_refusal = is_judged && placement.is_none();
                    let found = Ok(Found::Now(placement));
                    return Heard { found, age: asked.elapsed(), is_stale: false, is_refusal };
                }
                Ok(Err(SourceFault::Out(why))) => return self.without(known, &why),
                Ok(Err(SourceFault::Wait(wait))) if is_judged && Instant::now() + wait < until => {
                    sleep(wait).await;
                }
                Ok(Err(SourceFault::Refused(wait))) => {
                    if is_judged {
                        sleep(wait.min(REFUSED)).await;
                    }
                    let found = Ok(Found::Now(None));
                    return Heard { found, age: Duration::ZERO, is_stale: false, is_refusal: is_judged };
                }
                Ok(Err(fault)) => {
                    let found = Err(DirectoryError::Source(format!("{}: {fault}", self.name)));
                    return Heard { found, age: Duration::ZERO, is_stale: false, is_refusal: false };
                }
                Err(_) => {
                    if !wait.is_zero() && known.is_some() {
                        self.late.store(self.start.elapsed().as_millis() as u64, Ordering::Relaxed);
                    }
                    return self.without(known, "it has not answered in time");
                }
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
            return Heard { found, age: Duration::ZERO, is_stale: true, is_refusal: false };
        };
        let age = known.age();
        let found = known.placement.map_or(Found::Now(None), Found::Remembered);
        Heard { found: Ok(found), age, is_stale: true, is_refusal: false }
    }

    /// The question that is on its way already, unless it has been for too long, or a new one; and when it was asked.
    fn flight(&self, inquiry: &Inquiry<'_>) -> (Instant, Flight) {
        let mut new = None;
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let mut entry = self.flights.entry(inquiry.key.clone()).or_insert_with(|| {
            let (asked, flight) = self.fly(inquiry, Some(number));
            new = Some(asked);
            OnItsWay { number, asked, flight }
        });
        let is_too_old = inquiry.freshness.is_some_and(|freshness| entry.asked.elapsed() > freshness);
        if new.is_none() && is_too_old {
            let (asked, flight) = self.fly(inquiry, Some(number));
            *entry = OnItsWay { number, asked, flight };
        }
        (entry.asked, entry.flight.clone())
    }

    /// Sends a question on its way, which nobody who asks can call back; with a `number`, others join it.
    fn fly(&self, inquiry: &Inquiry<'_>, number: Option<u64>) -> (Instant, Flight) {
        let (sender, receiver) = oneshot::channel();
        let question = Question { key: inquiry.key.clone(), visitor: inquiry.visitor.cloned() };
        let (asked, forgotten) = (Instant::now(), self.answers.forgotten(inquiry.key));
        if let Some(this) = self.this.upgrade() {
            self.runtime.spawn(async move {
                let landing = Landing { asked: &this, key: &question.key, number };
                let answer = this.ask(&question).await;
                this.note(&answer, &question.key, false);
                this.keep_in_mind(&question.key, &answer, asked, forgotten);
                if answer.is_ok() && asked.elapsed() < PATIENCE {
                    this.late.store(0, Ordering::Relaxed);
                }
                drop(landing);
                let _ = sender.send(answer);
            });
        }
        let landed =
            async { receiver.await.unwrap_or_else(|_| Err(SourceFault::out("the question is lost"))) };
        (asked, landed.boxed().shared())
    }

    fn is_judged(&self, visitor: Option<&Arc<Visitor>>) -> bool {
        self.engine.judges() && visitor.is_some_and(|visitor| visitor.password.is_some())
    }

    async fn ask(&self, question: &Question) -> Answer {
        let asking = async {
            let Ok(_place) = self.places.acquire().await else { return Err(SourceFault::out("closed")) };
            self.engine.look_up(question).await
        };
        let late = || SourceFault::Out(format!("no answer within {} ms", self.deadline.as_millis()));
        timeout(self.deadline, asking).await.unwrap_or_else(|_| Err(late()))
    }

    fn keep_in_mind(&self, key: &ArchiveKey, answer: &Answer, asked: Instant, forgotten: u64) {
        let placement = match answer {
            Ok(placement) => placement.clone(),
            Err(SourceFault::Refused(_)) => None,
            Err(_) => return,
        };
        // A wrong password says nothing of the user.
        if placement.is_some() || !self.engine.judges() {
            self.answers.remember(key, placement, asked, forgotten);
        }
    }

    /// Notes how a question was answered.
    fn note(&self, answer: &Answer, key: &ArchiveKey, is_first: bool) {
        let failure = match answer {
            Err(SourceFault::Out(why)) => Some(why.clone()),
            Ok(_) | Err(SourceFault::Answer(_) | SourceFault::Wait(_) | SourceFault::Refused(_)) => None,
        };
        match self.circuit.note(key, failure, is_first) {
            Turn::None => {}
            Turn::Closed => tracing::warn!(source = self.name, "the directory's source answers again"),
            Turn::Opened(opening) => {
                let why = self.circuit.is_open().unwrap_or_default();
                tracing::error!(
                    source = self.name,
                    why,
                    "the directory's source is out; what it last said is used"
                );
                self.probe(key.clone(), opening);
            }
        }
    }

    /// Asks again and again until there is an answer: in turn about the one whose question failed, and about nobody.
    fn probe(&self, key: ArchiveKey, opening: u64) {
        let Some(this) = self.this.upgrade() else { return };
        self.runtime.spawn(async move {
            let nobody = ArchiveKey::User(NOBODY.to_owned());
            for next in [key, nobody.clone()].into_iter().cycle() {
                sleep(AGAIN).await;
                if !this.circuit.is_open_for(opening) {
                    return;
                }
                // A service that judges would count a failure of somebody who is real.
                let key = if this.engine.judges() { nobody.clone() } else { next };
                let question = Question { key, visitor: None };
                let answer = this.ask(&question).await;
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
