//! One login, from the wait that it has deserved to what became of it.

use super::places::Place;
use super::who::{Marked, Who};
use super::{Guessing, HeldOff};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use usher_backends::bans::{Ban, BanChange, Banned};
use usher_backends::roster::now;
use usher_config::snapshot;
use usher_policy::guessing::{Moment, Rules, Turn};

/// How often to ask again whether one of those that are under way has ended.
const AGAIN: Duration = Duration::from_millis(20);

/// A login that may be tried. Until it is dropped, it is one of those that are under way.
pub(crate) struct Attempt {
    guessing: Arc<Guessing>,
    who: Who,
    /// What its failure counts for.
    marks: Vec<Marked>,
    is_under_way: bool,
    place: Option<Place>,
}

impl Guessing {
    /// Lets a login wait as long as it has deserved.
    ///
    /// # Errors
    /// If it must not be tried at all.
    pub(crate) async fn admit(self: &Arc<Self>, who: Who, until: Instant) -> Result<Attempt, HeldOff> {
        let rules = self.rules();
        self.refuse_banned(&who)?;
        let is_spared = rules.spares(who.client.ip());
        let place = self.take_place(&rules, &who, is_spared)?;
        let marks = if is_spared { Vec::new() } else { self.marks(&rules, &who) };
        let mut attempt = Attempt { guessing: self.clone(), who, marks, is_under_way: false, place };
        let wait = loop {
            match attempt.begin(&rules)? {
                Turn::After(wait) => break wait,
                Turn::Refused(retry) => return Err(HeldOff { retry, by: "source" }),
                Turn::Crowded if Instant::now() >= until => {
                    return Err(HeldOff { retry: AGAIN, by: "crowd" });
                }
                Turn::Crowded => sleep(AGAIN).await,
            }
        };
        if !wait.is_zero() {
            self.metrics.guess_delayed();
            sleep(wait).await;
        }
        Ok(attempt)
    }

    /// A login that has not been held up, because nothing would have.
    pub(crate) fn unheld(self: &Arc<Self>, who: Who) -> Attempt {
        let rules = self.rules();
        let marks = if rules.spares(who.client.ip()) { Vec::new() } else { self.marks(&rules, &who) };
        Attempt { guessing: self.clone(), who, marks, is_under_way: false, place: None }
    }

    /// What a failure counts for: of those who are known there, for themselves alone.
    pub(super) fn marks(&self, rules: &snapshot::Guessing, who: &Who) -> Vec<Marked> {
        let at_home = who.at_home(&self.digester);
        let is_known = |marked: &Marked| self.known.has(&marked.mark, rules.known_for);
        match !at_home.is_empty() && at_home.iter().all(is_known) {
            true => at_home,
            false => who.elsewhere(&self.digester),
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
    /// Asks each of its marks for a turn, and is under way from then on.
    fn begin(&mut self, rules: &snapshot::Guessing) -> Result<Turn, HeldOff> {
        let (guessing, now) = (&self.guessing, super::moment());
        let mut longest = Duration::ZERO;
        for marked in &self.marks {
            let of = rules_of(rules, marked);
            let under_way = guessing.under_way.get(&marked.mark).map_or(0, |count| *count);
            // Whoever has done nothing wrong at home is not counted there: a user may have many requests under way.
            let in_turn = !matches!(marked.whose, Banned::User(_));
            let turn = guessing.table.with(&marked.mark, now, |record| {
                let is_clean_at_home =
                    matches!(marked.whose, Banned::UserAt(..)) && record.failures(now, &of) == 0;
                let under_way = if is_clean_at_home { 0 } else { under_way };
                let turn = record.turn(now, &of, marked.factor, under_way, in_turn);
                let is_news = matches!(turn, Turn::Refused(_)) && record.is_news(now, of.window);
                (turn, is_news)
            });
            match turn {
                (Turn::After(wait), _) => longest = longest.max(wait),
                (Turn::Crowded, _) => return Ok(Turn::Crowded),
                (Turn::Refused(retry), is_news) => {
                    if is_news {
                        self.guessing.tell(&self.who, marked, retry);
                    }
                    return Err(self.guessing.held_off(marked.kind(), retry));
                }
            }
        }
        for marked in &self.marks {
            *guessing.under_way.entry(marked.mark).or_default() += 1;
        }
        self.is_under_way = true;
        Ok(Turn::After(longest))
    }

    /// The session's place, for as long as it lasts.
    pub(crate) fn take_place(&mut self) -> Option<Place> {
        self.place.take()
    }

    /// It has succeeded: they are known there.
    pub(crate) fn succeeded(&mut self) {
        self.settle();
        for marked in self.who.at_home(&self.guessing.digester) {
            self.guessing.known.note(marked.mark);
        }
    }

    /// It was refused. Returns when what follows from that outlives usher.
    pub(crate) async fn failed(mut self) {
        self.settle();
        let (guessing, rules, moment) = (&self.guessing, self.guessing.rules(), super::moment());
        guessing.note_failure(&rules, self.who.protocol);
        for marked in &self.marks {
            let until = count(guessing, &rules, marked, moment);
            let Some(until) = until else { continue };
            tracing::warn!(
                client = %self.who.client,
                protocol = self.who.protocol.name(),
                whose = %marked.whose,
                seconds = rules.ban_for.as_secs(),
                "too many failed logins: they are refused for a while"
            );
            let ban = Ban {
                whose: marked.whose.clone(),
                since: now(),
                until: Some(i64::from(until)),
                by: None,
                why: "too many failed logins".to_owned(),
            };
            // If it cannot be written, it holds until the next start.
            let _ = guessing.ledger.write(BanChange::Put(ban)).await;
        }
    }
}

/// Counts a failure; returns until when everything is refused, if this was the last that it took.
fn count(guessing: &Guessing, rules: &snapshot::Guessing, marked: &Marked, moment: Moment) -> Option<u32> {
    let of = rules_of(rules, marked);
    guessing.table.with(&marked.mark, moment, |record| {
        let until = record.fail(moment, &of, marked.factor);
        // The ban itself is told.
        let _ = until.is_some() && record.is_news(moment, of.window);
        until
    })
}

impl Attempt {
    /// It may no longer fail.
    fn settle(&mut self) {
        if !std::mem::take(&mut self.is_under_way) {
            return;
        }
        for marked in &self.marks {
            if let Some(mut count) = self.guessing.under_way.get_mut(&marked.mark) {
                *count = count.saturating_sub(1);
            }
            self.guessing.under_way.remove_if(&marked.mark, |_, count| *count == 0);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.settle();
    }
}
