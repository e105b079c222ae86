//! Guessing that gets nowhere: failed logins of all protocols are counted by where they come from and by whom they name.
//! Those that follow wait, and are refused for a while; who has lately logged in from an address is not held up there for
//! what others do.

mod attempt;
mod bans;
mod barred;
mod known;
mod ledger;
mod marker;
mod places;
mod standing;
mod under_way;
mod who;

pub(crate) use attempt::Attempt;
pub(crate) use places::Place;
pub(crate) use standing::Standing;
pub(crate) use who::Who;

use crate::active::{ActiveConfig, CurrentConfig};
use crate::digester::Digester;
use crate::metrics::Metrics;
use arc_swap::Guard;
use barred::{Barred, Until};
use known::Known;
use ledger::Ledger;
use marker::Marker;
use places::Places;
use std::io;
use std::net::IpAddr;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use under_way::UnderWay;
use usher_backends::bans::{Ban, BanChange, Banned, Bans};
use usher_backends::roster::now;
use usher_config::snapshot;
use usher_policy::guessing::{Moment, Table};
use who::Marked;

/// Seconds after which whoever is banned for good may ask again.
const FOR_GOOD: Duration = Duration::from_secs(24 * 60 * 60);
/// In which logins are counted.
const MINUTE: Duration = Duration::from_secs(60);
/// Seconds after which whoever has too many sessions may ask again.
const FULL: Duration = Duration::from_secs(10);

/// What is remembered of failed logins.
pub(crate) struct Guessing {
    config: Arc<CurrentConfig>,
    metrics: Arc<Metrics>,
    digester: Digester,
    marker: Marker,
    table: Table,
    under_way: UnderWay,
    known: Known,
    barred: Barred,
    ledger: Ledger,
    places: Arc<Places>,
}

/// A login that is refused without being tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeldOff {
    /// When another one may have more success.
    pub(crate) retry: Duration,
    /// A word of a closed set.
    pub(crate) by: &'static str,
}

impl Guessing {
    /// Continues with what is kept in `state_dir`, and with the bans there that are `in_force`.
    ///
    /// # Errors
    /// The system's, when it gives no thread, or when the key that the configuration names cannot be used.
    pub(crate) fn open(
        state_dir: &Path,
        config: Arc<CurrentConfig>,
        metrics: Arc<Metrics>,
        bans: Bans,
        in_force: &[Ban],
    ) -> io::Result<Arc<Self>> {
        let rules = config.load().snapshot.guessing.clone();
        let digester = match &rules.key_file {
            Some(file) => Digester::with_key_in(file).map_err(|error| {
                io::Error::new(error.kind(), format!("[guessing] key_file {}: {error}", file.display()))
            })?,
            None => Digester::with_key_in_or_none(&state_dir.join("guessing.key")),
        };
        let guessing = Self {
            config,
            metrics,
            marker: Marker::new(&digester),
            digester,
            table: Table::new(rules.sources as usize),
            under_way: UnderWay::default(),
            known: Known::open(state_dir.join("known")),
            barred: Barred::default(),
            ledger: Ledger::start(bans)?,
            places: Places::new(),
        };
        in_force.iter().for_each(|ban| guessing.apply(ban));
        Ok(Arc::new(guessing))
    }

    /// The rules as they are now, for a moment: nothing that all logins share is written to.
    fn rules(&self) -> impl Deref<Target = snapshot::Guessing> {
        Current(self.config.load())
    }

    /// Makes digests that are the same on all nodes and after every start.
    pub(crate) fn digester(&self) -> &Digester {
        &self.digester
    }

    /// Refuses everything from an address that operators never let in.
    ///
    /// # Errors
    /// If that is so.
    pub(crate) fn refuse_address(&self, address: IpAddr) -> Result<(), HeldOff> {
        let active = self.config.load();
        let is_barred = active.snapshot.guessing.bars(address);
        let until = if is_barred { Some(Until(None)) } else { self.barred.source(address) };
        until.map_or(Ok(()), |until| Err(self.held_off("operator", time_to(until))))
    }

    /// Refuses whom operators have banned.
    fn refuse_banned(&self, who: &Who) -> Result<(), HeldOff> {
        self.refuse_address(who.client.ip())?;
        self.refuse_user(&who.key, &who.users)
    }

    /// Refuses users whom operators have banned, by the key of the archive or by any name that the login shows.
    ///
    /// # Errors
    /// If one of them is.
    pub(crate) fn refuse_user(&self, key: &str, users: &[String]) -> Result<(), HeldOff> {
        let until = self.barred_user(key, users);
        until.map_or(Ok(()), |until| Err(self.held_off("operator", time_to(until))))
    }

    /// Until when a user is banned, by a name, by the key of the archive or with its whole domain.
    fn barred_user(&self, key: &str, users: &[String]) -> Option<Until> {
        self.barred.any_user(|| {
            let domain = key.rfind('@').map(|at| &key[at..]);
            users.iter().map(String::as_str).chain([key]).chain(domain)
        })
    }

    /// Takes a place for a session, where sessions or logins are limited. Of users only `at_home`: elsewhere, others could
    /// take all of theirs.
    fn take_place(&self, who: &Who, at_home: bool) -> Result<Option<Place>, HeldOff> {
        let rules = self.rules();
        if !has_limits(&rules) {
            return Ok(None);
        }
        let is_spared = rules.spares(who.client.ip());
        let marks = who.elsewhere(&self.marker);
        let wanted =
            |user: Option<u32>, address: Option<u32>| most_of(&marks, user, address.filter(|_| !is_spared));
        let logins = wanted(rules.logins_per_minute_per_user, rules.logins_per_minute_per_address);
        let sessions = wanted(rules.sessions_per_user, rules.sessions_per_address);
        let refused = |by, retry| {
            if let Some(first) = marks.first()
                && self.table.with(&first.mark, moment(), |record| record.is_news(moment(), rules.ban_window))
            {
                self.tell(who, by, retry);
            }
            Err(self.held_off(by, retry))
        };
        if !self.places.has_room_for_login(&logins, moment()) {
            return refused("rate", MINUTE);
        }
        if !self.places.has_room_for_session(&sessions) {
            return refused("sessions", FULL);
        }
        let is_taken = |(marked, _): &&(&Marked, u32)| at_home || !matches!(marked.whose, Banned::User(_));
        self.places.count(logins.iter().filter(is_taken).map(|(marked, _)| marked.mark), moment());
        Ok(Some(self.places.take(sessions.iter().filter(is_taken).map(|(marked, _)| marked.mark))))
    }

    /// Takes the place of somebody who is known only now.
    fn take_place_of_user(&self, who: &Who, place: &mut Option<Place>) {
        let rules = self.rules();
        if !has_limits(&rules) {
            return;
        }
        let marks = who.elsewhere(&self.marker);
        let logins = most_of(&marks, rules.logins_per_minute_per_user, None);
        self.places.count(logins.iter().map(|(marked, _)| marked.mark), moment());
        let sessions = most_of(&marks, rules.sessions_per_user, None);
        let more = self.places.take(sessions.iter().map(|(marked, _)| marked.mark));
        match place {
            Some(place) => place.join(more),
            None => *place = Some(more),
        }
    }

    fn held_off(&self, by: &'static str, retry: Duration) -> HeldOff {
        self.metrics.guess_refused(by);
        HeldOff { retry, by }
    }

    /// Tells operators of the first refusal of many.
    fn tell(&self, who: &Who, whose: &str, retry: Duration) {
        tracing::warn!(
            client = %who.client,
            protocol = who.protocol.name(),
            user = who.users.first().map(String::as_str).unwrap_or_default(),
            whose,
            retry_seconds = retry.as_secs(),
            "logins are refused untried; the next ones are only counted"
        );
    }

    /// What stands for something that may refuse somebody, which is named by these `parts`.
    pub(crate) fn guard<'p>(&self, parts: impl IntoIterator<Item = &'p [u8]>) -> u64 {
        self.marker.guard(parts)
    }

    /// Whether something lets in only those who have proven who they are.
    pub(crate) fn is_proof(&self, guard: u64) -> bool {
        self.known.is_proof(guard)
    }

    /// Something has refused somebody: what it lets in has been judged.
    pub(crate) fn note_guard(&self, guard: u64) {
        self.known.note_guard(guard);
    }

    /// Saves what is kept across restarts, and forgets what is over.
    pub(crate) fn tidy_up(&self) {
        let lately = self.config.load().snapshot.guessing.known_for;
        self.known.save(lately);
        self.barred.tidy_up();
        self.ledger.note(BanChange::Expire(now()));
    }

    /// What has failed, for a successor.
    pub(crate) fn counted(&self) -> Vec<u8> {
        self.table.to_octets()
    }

    /// Goes on with what a predecessor has counted.
    pub(crate) fn go_on_with(&self, counted: &[u8]) {
        self.table.go_on_with(counted, moment());
    }

    /// How many sources and names are remembered.
    pub(crate) fn remembered(&self) -> usize {
        self.table.len()
    }
}

/// The rules of a configuration that is in force.
struct Current(Guard<Arc<ActiveConfig>>);

impl Deref for Current {
    type Target = snapshot::Guessing;

    fn deref(&self) -> &snapshot::Guessing {
        &self.0.snapshot.guessing
    }
}

/// Whether sessions or logins are limited.
fn has_limits(rules: &snapshot::Guessing) -> bool {
    let limits = [
        rules.sessions_per_user,
        rules.sessions_per_address,
        rules.logins_per_minute_per_user,
        rules.logins_per_minute_per_address,
    ];
    limits.iter().any(Option::is_some)
}

/// Which of `marks` are limited, and to how many: users, and the narrowest of the sources.
fn most_of(marks: &[Marked], user: Option<u32>, address: Option<u32>) -> Vec<(&Marked, u32)> {
    let most = |marked: &Marked| match (&marked.whose, marked.factor) {
        (Banned::User(_), _) => user,
        (_, 1) => address,
        _ => None,
    };
    marks.iter().filter_map(|marked| Some((marked, most(marked)?))).collect()
}

fn time_to(until: Until) -> Duration {
    let left = |until: i64| Duration::from_secs(u64::try_from(until - now()).unwrap_or(1).max(1));
    until.0.map_or(FOR_GOOD, left)
}

/// The time in milliseconds since 1970.
fn moment() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
