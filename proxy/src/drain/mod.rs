//! Ends sessions without cutting anything off: those of a host for its maintenance, or all of them when usher stops.
//!
//! Quiet sessions go first, spread over the goodbye window, so that clients do not all come back at once. A running
//! command may finish until the deadline. After it, every session is told goodbye at its next response end, and those
//! that reach none are cut off.

mod progress;

pub(crate) use progress::{Drains, Phase, Progress};

use self::progress::Drain;
use crate::active::CurrentConfig;
use crate::listen::Admission;
use crate::session::{Doing, Order, Session, Table, Why};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use usher_backends::roster::{Fleet, HoldKind};
use usher_config::snapshot::OldSessions;

/// Interval at which the remaining sessions are checked.
const LOOK: Duration = Duration::from_millis(50);
/// Time for responses in progress when a session is told goodbye.
const GRACE: Duration = Duration::from_secs(5);

/// Whose sessions are ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whose {
    /// All sessions: usher is stopping.
    All,
    /// Those on the machine of this name.
    Host(String),
}

/// Ends sessions.
pub(crate) struct Drainer {
    pub(crate) config: Arc<CurrentConfig>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) sessions: Arc<Table>,
    pub(crate) admission: Admission,
    pub(crate) drains: Arc<Drains>,
}

impl Whose {
    fn includes(&self, session: &Session) -> bool {
        match self {
            Self::All => true,
            Self::Host(name) => session.is_at(name),
        }
    }

    /// How many sessions are left: those that hold a lease, even if their place in the table is not known yet.
    fn left(&self, drainer: &Drainer) -> u32 {
        match self {
            Self::All => u32::try_from(drainer.sessions.len()).unwrap_or(u32::MAX),
            Self::Host(name) => {
                let roster = drainer.fleet.roster();
                let leases: u32 = roster.standings(name).map(|(_, standing)| standing.leases()).sum();
                // A host that is no longer configured has no leases to be counted by.
                let joined = |session: &Session| session.is_at(name) && session.doing() != Doing::Connecting;
                leases.max(u32::try_from(drainer.sessions.select(joined).len()).unwrap_or(u32::MAX))
            }
        }
    }

    /// Whether the reason still applies: an operator may have changed their mind.
    fn is_meant(&self, drainer: &Drainer) -> bool {
        match self {
            Self::All => true,
            Self::Host(name) => {
                let roster = drainer.fleet.roster();
                let mut standings = roster.standings(name).peekable();
                standings.peek().is_none() || standings.any(|(_, standing)| standing.holds.operator.is_some())
            }
        }
    }
}

/// Begins to drain or stop the machine called `name`, which an operator is already holding. This ends a previous drain
/// of it.
pub(crate) fn begin(drainer: &Arc<Drainer>, name: &str, kind: HoldKind, deadline: Duration) {
    let whose = Whose::Host(name.to_owned());
    let deadline = if kind == HoldKind::Stop { Duration::ZERO } else { deadline };
    let drain = drainer.drains.begin(name, kind, whose.left(drainer), deadline);
    tracing::info!(host = name, kind = kind.name(), sessions = drain.progress().left, "draining");
    let why = if kind == HoldKind::Stop { Why::Stopped } else { Why::Drained };
    let drainer = drainer.clone();
    tokio::spawn(async move {
        let grace = if why == Why::Stopped { drainer.config.load().snapshot.limits.farewell } else { GRACE };
        take_down(&drainer, &whose, why, &drain, grace).await;
        let left = whose.left(&drainer);
        if drain.finish(left) {
            tracing::info!(host = drain.name(), sessions = left, "drained");
        }
    });
}

/// Stops usher: waits for connections before login, which end by themselves, and ends the sessions: within the
/// `deadline`, if there is one, after which those that are in the middle of something get no longer than that again.
pub(crate) async fn stop(drainer: &Arc<Drainer>, deadline: Option<Duration>) {
    let (configured, farewell) = {
        let active = drainer.config.load();
        (active.snapshot.server.drain_deadline, active.snapshot.limits.farewell)
    };
    let patience = deadline.unwrap_or(GRACE);
    let deadline = deadline.unwrap_or(configured);
    let_in(drainer, farewell.min(patience) + LOOK * 4).await;
    let drain = drainer.drains.begin("", HoldKind::Drain, Whose::All.left(drainer), deadline);
    tracing::info!(
        sessions = drain.progress().left,
        seconds = deadline.as_secs_f64(),
        "stopping: waiting for sessions"
    );
    take_down(drainer, &Whose::All, Why::Stopping, &drain, patience).await;
    // What the last responses have left in buffers is still being sent.
    rest(drainer, patience).await;
}

/// Ends what is left here once a successor has the listeners: sessions as it is configured, and connections before login
/// when they have become sessions. Whoever is idle on HTTP/1.1 is told by the next answer.
pub(crate) async fn retire(drainer: &Arc<Drainer>) {
    let (deadline, old_sessions) = {
        let server = &drainer.config.load().snapshot.server;
        (server.drain_deadline, server.old_sessions)
    };
    let drain = drainer.drains.begin("", HoldKind::Drain, Whose::All.left(drainer), deadline);
    let until = drain.begun() + deadline;
    tracing::info!(sessions = drain.progress().left, ?old_sessions, "waiting for those who are left here");
    let is_empty = || drainer.admission.connections.count() == 0;
    while !is_empty() && Instant::now() < until {
        if old_sessions == OldSessions::Drain {
            take_down(drainer, &Whose::All, Why::Stopping, &drain, GRACE).await;
        }
        drain.note(Whose::All.left(drainer));
        sleep(LOOK).await;
    }
    take_down(drainer, &Whose::All, Why::Stopping, &drain, GRACE).await;
}

/// Waits until nobody is before login any more, or `patience` is over.
pub(crate) async fn let_in(drainer: &Drainer, patience: Duration) {
    let until = Instant::now() + patience;
    while drainer.admission.before_login.count() > 0 && Instant::now() < until {
        sleep(LOOK).await;
    }
}

/// Waits for those who have been told that usher stops.
async fn rest(drainer: &Drainer, patience: Duration) {
    let until = Instant::now() + drainer.config.load().snapshot.limits.farewell.min(patience) + patience;
    while drainer.admission.connections.count() > 0 && Instant::now() < until {
        sleep(LOOK).await;
    }
}

/// Ends the sessions of `whose`; those that are in the middle of something after the deadline get `grace`. Returns once none
/// is left, or all have been told to end and have had time to, or an operator has changed their mind.
async fn take_down(drainer: &Drainer, whose: &Whose, why: Why, drain: &Drain, grace: Duration) {
    let limits = drainer.config.load().snapshot.limits.clone();
    let begun = drain.begun();
    let deadline = begun + drain.deadline();
    let window = limits.goodbye_window.min(drain.deadline());
    let (last, gone) =
        (deadline + grace + limits.farewell.min(grace), (limits.farewell + GRACE).min(2 * grace));
    let mut told = 0_u32;
    while !drain.is_over() && whose.is_meant(drainer) {
        let left = whose.left(drainer);
        drain.note(left);
        let now = Instant::now();
        if left == 0 || now >= last + gone {
            return;
        }
        // A login that waits for a drained host has a deadline of its own.
        let waits = |session: &Session| why == Why::Drained && session.doing() == Doing::Connecting;
        let sessions = drainer.sessions.select(|session| whose.includes(session) && !waits(session));
        if now >= last {
            if drain.enter(Phase::Ending) {
                tracing::warn!(host = drain.name(), sessions = left, "ending the remaining sessions");
            }
            sessions.iter().for_each(|session| {
                session.tell(Order::end(why));
            });
        } else if now >= deadline {
            if drain.enter(Phase::Goodbyes) {
                tracing::info!(
                    host = drain.name(),
                    sessions = left,
                    "the deadline has passed, saying goodbye"
                );
            }
            sessions.iter().for_each(|session| {
                session.tell(Order::goodbye(why));
            });
        } else {
            let due = share_due(drain.progress().began_with.max(left), now - begun, window);
            let quiet =
                sessions.iter().filter(|session| session.told().is_none() && session.is_quiet(limits.quiet));
            for session in quiet.take(due.saturating_sub(told) as usize) {
                told += u32::from(session.tell(Order::goodbye(why)));
            }
        }
        sleep(LOOK).await;
    }
}

/// How many of `all` should have been told after `passed` of `window`, so that they come back evenly.
fn share_due(all: u32, passed: Duration, window: Duration) -> u32 {
    if passed >= window {
        return u32::MAX;
    }
    (f64::from(all) * passed.as_secs_f64() / window.as_secs_f64()).ceil() as u32
}

/// Tells the sessions that `chosen` selects to end with a goodbye, and to end anyway after a while. Returns how many
/// there were.
pub(crate) fn kick(sessions: &Table, chosen: impl Fn(&Session) -> bool) -> usize {
    end(sessions.select(chosen), Why::Kicked)
}

/// Tells these sessions to end with a goodbye, and to end anyway after a while. Returns how many have not been told to
/// end before.
pub(crate) fn end(mut sessions: Vec<Arc<Session>>, why: Why) -> usize {
    // One that has been told to end for another reason may still have much time.
    let count = sessions.iter().filter(|session| session.tell(Order::goodbye(why))).count();
    sessions.retain(|session| session.told() != Some(Order::end(why)));
    if !sessions.is_empty() {
        tokio::spawn(async move {
            sleep(GRACE).await;
            for session in sessions {
                session.tell(Order::end(why));
            }
        });
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goodbyes_are_spread_evenly() {
        let window = Duration::from_secs(30);
        let due = |seconds| share_due(300, Duration::from_secs(seconds), window);
        assert_eq!([due(0), due(1), due(15), due(29)], [0, 10, 150, 290]);
        assert_eq!(due(30), u32::MAX);
        assert_eq!(share_due(300, Duration::ZERO, Duration::ZERO), u32::MAX);
    }
}
