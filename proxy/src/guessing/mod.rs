//! Guessing that gets nowhere: failed logins of all protocols are counted by where they come from and by whom they name.
//! Those that follow wait, and are refused for a while; who has lately logged in from an address is not held up there for
//! what others do.

mod attempt;
mod bans;
mod barred;
mod known;
mod ledger;
mod places;
mod standing;
mod who;

pub(crate) use attempt::Attempt;
pub(crate) use places::Place;
pub(crate) use standing::Standing;
pub(crate) use who::Who;

use crate::active::CurrentConfig;
use crate::digester::Digester;
use crate::metrics::Metrics;
use barred::{Barred, Until};
use dashmap::DashMap;
use known::Known;
use ledger::Ledger;
use places::Places;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use usher_backends::bans::{Ban, BanChange, Banned, Bans};
use usher_backends::roster::now;
use usher_config::snapshot::{self, Protocol};
use usher_policy::guessing::{Mark, Moment, Table};
use who::Marked;

/// Seconds after which whoever is banned for good may ask again.
const FOR_GOOD: Duration = Duration::from_secs(24 * 60 * 60);
/// Seconds after which whoever has too many sessions may ask again.
const FULL: Duration = Duration::from_secs(10);

/// What is remembered of failed logins.
pub(crate) struct Guessing {
    config: Arc<CurrentConfig>,
    metrics: Arc<Metrics>,
    digester: Digester,
    table: Table,
    /// Logins that may yet fail.
    under_way: DashMap<Mark, u32>,
    known: Known,
    barred: Barred,
    ledger: Ledger,
    places: Arc<Places>,
    /// From when on nothing is remembered that could hold anybody up, in seconds since 1970.
    quiet_from: AtomicI64,
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
    /// The system's, when it gives no thread.
    pub(crate) fn open(
        state_dir: &Path,
        config: Arc<CurrentConfig>,
        metrics: Arc<Metrics>,
        bans: Bans,
        in_force: &[Ban],
    ) -> std::io::Result<Arc<Self>> {
        let rules = config.load().snapshot.guessing.clone();
        let key_file = rules.key_file.clone().unwrap_or_else(|| state_dir.join("guessing.key"));
        let guessing = Self {
            config,
            metrics,
            digester: Digester::with_key_in(key_file),
            table: Table::new(rules.sources as usize),
            under_way: DashMap::new(),
            known: Known::open(state_dir.join("known")),
            barred: Barred::default(),
            ledger: Ledger::start(bans)?,
            places: Places::new(),
            quiet_from: AtomicI64::new(0),
        };
        in_force.iter().for_each(|ban| guessing.apply(ban));
        Ok(Arc::new(guessing))
    }

    fn rules(&self) -> snapshot::Guessing {
        self.config.load().snapshot.guessing.clone()
    }

    /// Makes digests that are the same on all nodes and after every start.
    pub(crate) fn digester(&self) -> &Digester {
        &self.digester
    }

    /// Whether nothing is remembered and nothing is configured that could hold anybody up.
    pub(crate) fn is_quiet(&self) -> bool {
        let active = self.config.load();
        let rules = &active.snapshot.guessing;
        let limits = [
            rules.sessions_per_user,
            rules.sessions_per_address,
            rules.logins_per_minute_per_user,
            rules.logins_per_minute_per_address,
        ];
        limits.iter().all(Option::is_none) && now() >= self.quiet_from.load(Ordering::Relaxed)
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
        match self.barred.user(&who.users) {
            Some(until) => Err(self.held_off("operator", time_to(until))),
            None => Ok(()),
        }
    }

    /// Takes a place for a session, where sessions or logins are limited.
    fn take_place(
        &self,
        rules: &snapshot::Guessing,
        who: &Who,
        is_spared: bool,
    ) -> Result<Option<Place>, HeldOff> {
        let bounds = |user: Option<u32>, address: Option<u32>| (user, address.filter(|_| !is_spared));
        let sessions = bounds(rules.sessions_per_user, rules.sessions_per_address);
        let logins = bounds(rules.logins_per_minute_per_user, rules.logins_per_minute_per_address);
        if sessions == (None, None) && logins == (None, None) {
            return Ok(None);
        }
        let marks = who.elsewhere(&self.digester);
        let wanted = |(user, address): (Option<u32>, Option<u32>)| {
            let most = move |marked: &Marked| match (&marked.whose, marked.factor) {
                (Banned::User(_), _) => user,
                // The narrowest of the sources.
                (_, 1) => address,
                _ => None,
            };
            marks.iter().filter_map(|marked| Some((marked, most(marked)?))).collect::<Vec<_>>()
        };
        if !self.places.count(&wanted(logins), moment()) {
            return Err(self.held_off("rate", Duration::from_secs(60)));
        }
        let place = self.places.take(&wanted(sessions));
        place.map(Some).map_err(|()| self.held_off("sessions", FULL))
    }

    fn held_off(&self, by: &'static str, retry: Duration) -> HeldOff {
        self.metrics.guess_refused(by);
        HeldOff { retry, by }
    }

    /// Notes that something is remembered from now on.
    fn note_failure(&self, rules: &snapshot::Guessing, protocol: Protocol) {
        self.metrics.guess_failed(protocol);
        let lasts = rules.ban_window.saturating_mul(2).max(rules.ban_for);
        self.stay_awake(now().saturating_add(i64::try_from(lasts.as_secs()).unwrap_or(i64::MAX)));
    }

    fn stay_awake(&self, until: i64) {
        self.quiet_from.fetch_max(until, Ordering::Relaxed);
    }

    /// Tells operators of the first refusal of many.
    fn tell(&self, who: &Who, marked: &Marked, retry: Duration) {
        tracing::warn!(
            client = %who.client,
            protocol = who.protocol.name(),
            user = who.users.first().map(String::as_str).unwrap_or_default(),
            whose = %marked.whose,
            retry_seconds = retry.as_secs(),
            "logins are refused untried; the next ones are only counted"
        );
    }

    /// Saves what is kept across restarts, and forgets what is over.
    pub(crate) fn tidy_up(&self) {
        let lately = self.config.load().snapshot.guessing.known_for;
        self.known.save(lately);
        self.barred.tidy_up();
        self.ledger.note(BanChange::Expire(now()));
    }

    /// How many sources and names are remembered.
    pub(crate) fn remembered(&self) -> usize {
        self.table.len()
    }
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
