//! The reasons why a backend takes nothing new. Without any, it is in service.

use std::time::SystemTime;

/// How an operator takes a backend out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldKind {
    /// Sessions finish; new logins wait.
    Drain,
    /// Sessions end at once; new logins are sent away at once.
    Stop,
}

impl HoldKind {
    /// The word used by commands, the API and `state.db`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Stop => "stop",
        }
    }
}

/// An operator's hold on a backend, kept over restarts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorHold {
    /// Drain or stop.
    pub kind: HoldKind,
    /// Since when, in seconds since 1970.
    pub since: i64,
    /// Who wants it.
    pub by: String,
    /// Why.
    pub why: String,
}

/// A hold on a key: its archive is being moved, and its logins wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyHold {
    /// Since when, in seconds since 1970.
    pub since: i64,
    /// Who wants it.
    pub by: String,
    /// Why.
    pub why: String,
    /// From where to where usher moves the key; `None`: an operator does, and releases it.
    pub ends: Option<MoveEnds>,
}

/// Where a key is moved from, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveEnds {
    /// The host that has it.
    pub from: String,
    /// The host that gets it.
    pub to: String,
}

/// What the agent on a backend last said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentWord {
    /// `drain` or `maint`, until `ready`.
    pub admin: Option<AgentHold>,
    /// `down`, `fail` or `stopped`, until `up`.
    pub down: bool,
    /// The share of its weight that the agent asks for, in percent; at most 100.
    pub percent: u8,
}

/// The holds that an agent can set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentHold {
    /// No new sessions.
    Drain,
    /// Maintenance.
    Maint,
}

impl Default for AgentWord {
    fn default() -> Self {
        Self { admin: None, down: false, percent: 100 }
    }
}

impl AgentWord {
    /// The agent's word that holds the backend, if any.
    pub fn hold(self) -> Option<&'static str> {
        match (self.admin, self.down, self.percent) {
            (Some(AgentHold::Drain), _, _) => Some("drain"),
            (Some(AgentHold::Maint), _, _) => Some("maint"),
            (None, true, _) => Some("down"),
            (None, false, 0) => Some("0%"),
            (None, false, _) => None,
        }
    }
}

/// The holds on a backend as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holds {
    /// An operator's.
    pub operator: Option<OperatorHold>,
    /// Its agent's.
    pub agent: AgentWord,
    /// It is configured to come back stopped, and nobody has started it yet.
    pub boot: bool,
}

impl Holds {
    /// Whether there is any.
    pub fn any(&self) -> bool {
        self.operator.is_some() || self.boot || self.agent.hold().is_some()
    }

    /// Whether logins are to be sent away at once: somebody wants the backend stopped.
    pub fn stopped(&self) -> bool {
        self.boot || self.operator.as_ref().is_some_and(|hold| hold.kind == HoldKind::Stop)
    }
}

/// Seconds since 1970, for records.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
