//! How one backend stands in one roster: its holds, what health has taken out, and its gate.

use super::admission::{AdmissionCounter, Denied};
use super::queue::Logins;
use crate::backend::Service;
use crate::hold::Holds;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A service that health has taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Out {
    /// Which.
    pub service: Service,
    /// Since when, in seconds since 1970.
    pub since: i64,
    /// What the last failure was.
    pub why: String,
    /// Whether it is out because of failures of real sessions alone, not yet confirmed by a probe.
    pub passive: bool,
}

/// A service that has come back and takes new sessions gradually.
#[derive(Debug, Clone, Copy)]
pub(super) struct Returning {
    pub(super) service: Service,
    pub(super) since: Instant,
    pub(super) over: Duration,
}

/// The share of new sessions that a service takes when it comes back.
const FIRST_SHARE: f64 = 0.1;

/// Why a backend takes nobody now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailable {
    /// It is stopped: nobody waits for it.
    Stopped,
    /// It drains, or its agent holds it.
    Draining,
    /// Health has taken the service out.
    Unhealthy,
    /// It has as many sessions as it may have.
    Full,
    /// It is not configured any more.
    Gone,
}

impl Unavailable {
    /// A word of a closed set, for logs and labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Draining => "draining",
            Self::Unhealthy => "unhealthy",
            Self::Full => "full",
            Self::Gone => "unknown-host",
        }
    }
}

/// How a service of a backend is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceState {
    /// In service.
    Up,
    /// In service again, and taking less than its share.
    Returning,
    /// Health has taken it out.
    Unhealthy,
    /// Its agent holds it.
    Held,
    /// An operator has taken it out; some sessions are left.
    Draining,
    /// An operator has taken it out, and nobody is left.
    Drained,
    /// An operator has stopped it.
    Stopped,
}

impl ServiceState {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Up,
        Self::Returning,
        Self::Unhealthy,
        Self::Held,
        Self::Draining,
        Self::Drained,
        Self::Stopped,
    ];

    /// A word of a closed set, for people and labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Returning => "returning",
            Self::Unhealthy => "unhealthy",
            Self::Held => "held",
            Self::Draining => "draining",
            Self::Drained => "drained",
            Self::Stopped => "stopped",
        }
    }
}

/// How a backend stands.
#[derive(Clone, Default)]
pub struct Standing {
    pub(super) gate: Arc<AdmissionCounter>,
    /// The logins of a host that has just come back.
    pub logins: Arc<Logins>,
    /// The holds on it as a whole.
    pub holds: Holds,
    /// The services that health has taken out.
    pub out: Vec<Out>,
    pub(super) returning: Vec<Returning>,
}

impl Standing {
    /// Sessions and requests that hold a lease now.
    pub fn leases(&self) -> u32 {
        self.gate.count()
    }

    /// Whether `service` is in service: no hold anywhere.
    pub fn serves(&self, service: Service) -> bool {
        !self.holds.any() && self.out_by_health(service).is_none()
    }

    /// Why health has taken `service` out, if it has.
    pub fn out_by_health(&self, service: Service) -> Option<&Out> {
        self.out.iter().find(|out| out.service == service)
    }

    /// The share of new sessions that `service` takes now, above 0 and at most 1.
    pub fn share(&self, service: Service) -> f64 {
        let returning = self.returning.iter().find(|returning| returning.service == service);
        returning.map_or(1.0, |returning| {
            let passed = returning.since.elapsed().as_secs_f64() / returning.over.as_secs_f64();
            (FIRST_SHARE + (1.0 - FIRST_SHARE) * passed).min(1.0)
        })
    }

    /// How `service` is.
    pub fn state(&self, service: Service) -> ServiceState {
        match (&self.holds.operator, self.holds.boot, self.holds.agent.hold()) {
            _ if self.holds.stopped() => ServiceState::Stopped,
            (Some(_), _, _) if self.leases() > 0 => ServiceState::Draining,
            (Some(_), _, _) => ServiceState::Drained,
            (None, _, Some(_)) => ServiceState::Held,
            (None, _, None) if self.out_by_health(service).is_some() => ServiceState::Unhealthy,
            (None, _, None) if self.share(service) < 1.0 => ServiceState::Returning,
            (None, _, None) => ServiceState::Up,
        }
    }

    /// Admits one user of `service`, unless it is out of service.
    pub(super) fn enter(&self, service: Service, most: Option<u32>) -> Result<(), Unavailable> {
        if self.out_by_health(service).is_some() && !self.holds.any() {
            return Err(Unavailable::Unhealthy);
        }
        self.gate.enter(most).map_err(|barred| match barred {
            Denied::Closed if self.holds.stopped() => Unavailable::Stopped,
            Denied::Closed => Unavailable::Draining,
            Denied::Full => Unavailable::Full,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_returning_service_has_a_share_and_lets_everybody_in() {
        let since = Instant::now().checked_sub(Duration::from_secs(1000)).unwrap();
        let over = Duration::from_secs(4000);
        let returning = vec![Returning { service: Service::Imap, since, over }];
        let standing = Standing { returning, ..Standing::default() };
        // A tenth, and a quarter of the rest.
        assert!((0.31..0.34).contains(&standing.share(Service::Imap)), "{}", standing.share(Service::Imap));
        assert!((0..100).all(|_| standing.enter(Service::Imap, None).is_ok()));
        assert_eq!(standing.share(Service::Http), 1.0);
    }

    #[test]
    fn each_hold_keeps_out_by_itself() {
        let held = |holds: Holds| {
            let standing = Standing { holds, ..Standing::default() };
            standing.gate.close();
            standing.enter(Service::Imap, None)
        };
        assert_eq!(held(Holds { boot: true, ..Holds::default() }), Err(Unavailable::Stopped));
        assert_eq!(held(Holds::default()), Err(Unavailable::Draining));
        let out = Out { service: Service::Imap, since: 0, why: String::new(), passive: false };
        let standing = Standing { out: vec![out], ..Standing::default() };
        assert_eq!(standing.enter(Service::Imap, None), Err(Unavailable::Unhealthy));
        assert_eq!(standing.enter(Service::Http, None), Ok(()));
    }
}
