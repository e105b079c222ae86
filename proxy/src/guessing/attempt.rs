//! One login, from the wait that it has deserved to what became of it.

use super::places::Place;
use super::under_way::{Period, Since};
use super::who::{Marked, Who};
use super::{Guessing, HeldOff};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use usher_backends::bans::{Ban, BanChange, Banned};
use usher_backends::roster::now;
use usher_config::snapshot;
use usher_policy::guessing::{Mark, Rules, Turn};

/// How often to ask again whether one of those that are under way has ended.
const AGAIN: Duration = Duration::from_millis(100);

/// A login that may be tried.
pub(crate) struct Attempt {
    guessing: Arc<Guessing>,
    who: Who,
    /// It was let in before, with the same credential.
    is_repeat: bool,
    /// What its success makes known; nothing where nobody is ever held up.
    homes: Vec<Mark>,
    /// What its failure counts for.
    marks: Vec<Marked>,
    /// Since when it is one of those that may yet fail.
    since: Since,
    /// Somebody judges what the client has said: whoever leaves now knows why.
    is_exposed: AtomicBool,
    place: Mutex<Option<Place>>,
}

impl Guessing {
    /// Lets a login wait as long as it has deserved.
    ///
    /// # Errors
    /// If it must not be tried at all.
    pub(crate) async fn admit(self: &Arc<Self>, who: Who, until: Instant) -> Result<Box<Attempt>, HeldOff> {
        self.refuse_banned(&who)?;
        let attempt = self.unheld(who);
        let wait = attempt.enter(until).await?;
        let place = self.take_place(&attempt.who, attempt.is_at_home())?;
        *attempt.place.lock().unwrap_or_else(PoisonError::into_inner) = place;
        if !wait.is_zero() {
            self.metrics.guess_delayed();
            sleep(wait).await;
            // An operator may have come meanwhile.
            self.refuse_banned(&attempt.who)?;
        }
        Ok(attempt)
    }

    /// Lets a login that was let in before go on, which may be a guess all the same. It waits for nothing but others that may
    /// yet fail: it has waited once, and is no other session.
    ///
    /// # Errors
    /// If it must not be tried.
    pub(crate) async fn admit_again(
        self: &Arc<Self>,
        who: Who,
        until: Instant,
    ) -> Result<Box<Attempt>, HeldOff> {
        let attempt = self.attempt(who, true);
        attempt.enter(until).await?;
        Ok(attempt)
    }

    /// A login that is not held up, because nothing would do so.
    pub(crate) fn unheld(self: &Arc<Self>, who: Who) -> Box<Attempt> {
        self.attempt(who, false)
    }

    fn attempt(self: &Arc<Self>, who: Who, is_repeat: bool) -> Box<Attempt> {
        let rules = self.rules();
        let is_spared = rules.spares(who.client.ip());
        let at_home = if is_spared { Vec::new() } else { who.at_home(&self.marker) };
        let homes = at_home.iter().map(|marked| marked.mark).collect();
        let marks = if is_spared { Vec::new() } else { self.marks(&rules, &who, at_home) };
        let (since, is_exposed) = (Since::default(), AtomicBool::new(false));
        let (guessing, place) = (self.clone(), Mutex::default());
        Box::new(Attempt { guessing, who, is_repeat, homes, marks, since, is_exposed, place })
    }

    /// What a failure counts for: of those who are known there, for themselves alone.
    pub(super) fn marks(&self, rules: &snapshot::Guessing, who: &Who, at_home: Vec<Marked>) -> Vec<Marked> {
        let is_known = |marked: &Marked| self.known.has(&marked.mark, rules.known_for);
        match !at_home.is_empty() && at_home.iter().all(is_known) {
            true => at_home,
            false => who.elsewhere(&self.marker),
        }
    }
}

/// The rules that `marked` is under.
pub(super) fn rules_of(rules: &snapshot::Guessing, marked: &Marked) -> Rules {
    match marked.whose {
        Banned::User(_) => rules.of_users(),
        Banned::Source(_) | Banned::UserAt(..) => rules.of_sources(),
    }
}

impl Attempt {
    /// Is under way as soon as no more are than may fail. Returns how long it has to wait then.
    async fn enter(&self, until: Instant) -> Result<Duration, HeldOff> {
        loop {
            match self.begin()? {
                Some(wait) => return Ok(wait),
                None if Instant::now() >= until => return Err(self.guessing.held_off("crowd", AGAIN)),
                None => sleep(AGAIN).await,
            }
        }
    }

    /// The rules that it is under as `marked`.
    fn rules_of(&self, rules: &snapshot::Guessing, marked: &Marked) -> Rules {
        let rules = rules_of(rules, marked);
        if self.is_repeat { Rules { delay: Duration::ZERO, ..rules } } else { rules }
    }

    /// Asks each of its marks for a turn, takes it from all of them if all have one, and is under way from then on. Returns
    /// how long it has to wait; `None`: as many are under way as may fail.
    fn begin(&self) -> Result<Option<Duration>, HeldOff> {
        if self.marks.is_empty() {
            return Ok(Some(Duration::ZERO));
        }
        let (guessing, rules, now) = (&self.guessing, self.guessing.rules(), super::moment());
        // Those of a name do not wait for each other: whoever guesses it could fill a queue in front of its owner.
        let in_turn = |marked: &Marked| !matches!(marked.whose, Banned::User(_));
        let period = Period::of(now);
        let under_way = |marked: &Marked| guessing.under_way.count(&marked.mark, period);
        let is_alone = self.marks.len() == 1;
        // Nobody takes a turn from one mark where another one has none. One alone is asked when it gives it.
        for marked in self.marks.iter().filter(|_| !is_alone) {
            let of = self.rules_of(&rules, marked);
            let mut record = guessing.table.get(&marked.mark).unwrap_or_default();
            let turn = record.turn(now, &of, marked.factor, under_way(marked), in_turn(marked));
            if self.wait(&rules, marked, turn)?.is_none() {
                return Ok(None);
            }
        }
        let mut longest = Duration::ZERO;
        for marked in &self.marks {
            let of = self.rules_of(&rules, marked);
            let under_way = if is_alone { under_way(marked) } else { 0 };
            let turn = guessing.table.with(&marked.mark, now, |record| {
                record.turn(now, &of, marked.factor, under_way, in_turn(marked))
            });
            match self.wait(&rules, marked, turn)? {
                Some(wait) => longest = longest.max(wait),
                None => return Ok(None),
            }
        }
        for marked in &self.marks {
            guessing.under_way.begin(marked.mark, period);
        }
        self.since.begin(period);
        Ok(Some(longest))
    }

    /// How long it has to wait for one of its marks; `None`: as many are under way as may fail.
    fn wait(
        &self,
        rules: &snapshot::Guessing,
        marked: &Marked,
        turn: Turn,
    ) -> Result<Option<Duration>, HeldOff> {
        let guessing = &self.guessing;
        match turn {
            Turn::After(wait) => Ok(Some(wait)),
            Turn::Crowded => Ok(None),
            Turn::Refused(retry) => {
                let now = super::moment();
                let window = rules_of(rules, marked).window;
                // A ban has been told.
                let is_news = guessing.table.with(&marked.mark, now, |record| {
                    record.banned_until(now).is_none() && record.is_news(now, window)
                });
                if is_news {
                    guessing.tell(&self.who, &marked.whose.to_string(), retry);
                }
                Err(guessing.held_off(marked.kind(), retry))
            }
        }
    }

    /// Whether it is of somebody who is known there.
    pub(crate) fn is_at_home(&self) -> bool {
        matches!(self.marks.first(), Some(Marked { whose: Banned::UserAt(..), .. }))
    }

    /// What the client has said is on its way to whoever judges it: from now on, leaving before the answer is a failure,
    /// if a refusal would be one.
    pub(crate) fn expose(&self) {
        self.is_exposed.store(!self.is_harmless(), Ordering::Relaxed);
    }

    /// A refusal is no failure: it counts for nothing, or is of a token, which nobody who is known there guesses.
    fn is_harmless(&self) -> bool {
        self.marks.is_empty() || self.who.has_token && self.is_at_home()
    }

    /// Nobody judges it now: it waits for a host, or was not judged at all.
    pub(crate) fn rest(&self) {
        self.is_exposed.store(false, Ordering::Relaxed);
        let Some(begun) = self.since.end() else { return };
        let now = Period::of(super::moment());
        self.marks.iter().for_each(|marked| self.guessing.under_way.end(&marked.mark, begun, now));
    }

    /// Whether it has been left while somebody was judging it.
    pub(crate) fn is_exposed(&self) -> bool {
        self.is_exposed.load(Ordering::Relaxed)
    }

    /// The session's place, for as long as it lasts.
    pub(crate) fn take_place(&self) -> Option<Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// It has succeeded: they are known there. `guard` stands for what has let them in, if that may let in everybody: then
    /// it counts once the same has refused somebody.
    pub(crate) fn succeeded(&self, guard: Option<u64>) {
        self.rest();
        self.homes.iter().for_each(|mark| self.guessing.known.note(*mark, guard));
        if !self.is_at_home() && !self.is_repeat {
            let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
            self.guessing.take_place_of_user(&self.who, &mut place);
        }
    }

    /// It was refused. Returns when what follows from that outlives usher.
    pub(crate) async fn failed(&self) {
        if let Some(last) = self.count() {
            // Those before it are on the disk by then. If they cannot be written, they hold until the next start.
            let _ = self.guessing.ledger.write(last).await;
        }
    }

    /// Counts a failure. Returns the last of the bans that follow, which is still to be written.
    fn count(&self) -> Option<BanChange> {
        self.rest();
        if self.who.has_token && self.is_at_home() {
            return None;
        }
        let (guessing, rules, moment) = (&self.guessing, self.guessing.rules(), super::moment());
        guessing.metrics.guess_failed(self.who.protocol);
        let mut bans = Vec::new();
        for marked in &self.marks {
            let of = rules_of(&rules, marked);
            let until =
                guessing.table.with(&marked.mark, moment, |record| record.fail(moment, &of, marked.factor));
            let Some(until) = until else { continue };
            tracing::warn!(
                client = %self.who.client,
                protocol = self.who.protocol.name(),
                whose = %marked.whose,
                seconds = rules.ban_for.as_secs(),
                "too many failed logins: they are refused for a while"
            );
            bans.push(BanChange::Put(Ban {
                whose: marked.whose.clone(),
                since: now(),
                until: Some(i64::from(until)),
                by: None,
                why: "too many failed logins".to_owned(),
            }));
        }
        let last = bans.pop();
        bans.into_iter().for_each(|ban| guessing.ledger.note(ban));
        last
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        // Whoever leaves before a refusal that a host delays has learnt what it says.
        if self.is_exposed() {
            self.count().into_iter().for_each(|ban| self.guessing.ledger.note(ban));
        }
        self.rest();
    }
}
