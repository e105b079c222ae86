//! `[guessing]`.

use crate::shown;
use ipnet::IpNet;
use serde::Serialize;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use usher_policy::guessing::Rules;

/// How guessing is slowed and stopped, and how much one user or one address may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Guessing {
    /// How long the first login waits after a few failures.
    #[serde(with = "shown::duration")]
    pub delay: Duration,
    /// Longest wait; each failure doubles it up to this.
    #[serde(with = "shown::duration")]
    pub max_delay: Duration,
    /// Failures within `ban_window` from one source after which its logins are refused; 0: never.
    pub ban_after: u32,
    /// The same under one name, from wherever.
    pub ban_user_after: u32,
    /// For how long a failure counts.
    #[serde(with = "shown::duration")]
    pub ban_window: Duration,
    /// For how long logins are refused.
    #[serde(with = "shown::duration")]
    pub ban_for: Duration,
    /// Sources that are remembered at most.
    pub sources: u32,
    /// For how long somebody who has logged in from an address is not held up there for what others do.
    #[serde(with = "shown::duration")]
    pub known_for: Duration,
    /// Sessions of one user at a time; `None`: no bound.
    pub sessions_per_user: Option<u32>,
    /// Sessions from one address at a time.
    pub sessions_per_address: Option<u32>,
    /// Logins of one user in a minute.
    pub logins_per_minute_per_user: Option<u32>,
    /// Logins from one address in a minute.
    pub logins_per_minute_per_address: Option<u32>,
    /// Networks that are never held up, and whose failures do not count.
    pub never: Vec<IpNet>,
    /// Networks that are never let in.
    pub always: Vec<IpNet>,
    /// The file with the key of everything that is remembered as a digest; `None`: `guessing.key` in the state directory.
    pub key_file: Option<PathBuf>,
}

impl Default for Guessing {
    fn default() -> Self {
        let s = Duration::from_secs;
        Self {
            delay: s(1),
            max_delay: s(15),
            ban_after: 20,
            ban_user_after: 20,
            ban_window: s(600),
            ban_for: s(1800),
            sources: 1_000_000,
            known_for: s(14 * 24 * 60 * 60),
            sessions_per_user: None,
            sessions_per_address: None,
            logins_per_minute_per_user: None,
            logins_per_minute_per_address: None,
            never: Vec::new(),
            always: Vec::new(),
            key_file: None,
        }
    }
}

impl Guessing {
    /// Whether nobody is held up who comes from `address`.
    pub fn spares(&self, address: IpAddr) -> bool {
        is_in(&self.never, address)
    }

    /// Whether nobody is let in who comes from `address`.
    pub fn bars(&self, address: IpAddr) -> bool {
        is_in(&self.always, address)
    }

    /// The rules for sources.
    pub fn of_sources(&self) -> Rules {
        Rules {
            delay: self.delay,
            max_delay: self.max_delay,
            ban_after: self.ban_after,
            window: self.ban_window,
            ban_for: self.ban_for,
        }
    }

    /// The rules for names.
    pub fn of_users(&self) -> Rules {
        Rules { ban_after: self.ban_user_after, ..self.of_sources() }
    }
}

fn is_in(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}
