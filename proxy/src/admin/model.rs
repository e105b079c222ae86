//! What the API says, as values: written here, read by the command line.

mod bans;
mod certificates;
mod console;
mod log_level;
mod moves;
mod rules;
mod sources;
mod upgrade;

pub(crate) use bans::*;
pub(crate) use certificates::*;
pub(crate) use console::*;
pub(crate) use log_level::*;
pub(crate) use moves::*;
pub(crate) use rules::*;
pub(crate) use sources::*;
pub(crate) use upgrade::*;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use utoipa::ToSchema;

/// usher as a whole.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Status {
    /// Its version.
    pub(crate) version: String,
    /// Its name in greetings.
    pub(crate) name: String,
    /// Seconds since its start.
    pub(crate) uptime_seconds: u64,
    /// Whether it is stopping.
    pub(crate) stopping: bool,
    /// Connections that are open.
    pub(crate) connections: u32,
    /// Sessions.
    pub(crate) sessions: usize,
    /// Logins that wait for hosts that are out of service.
    pub(crate) held_logins: u32,
    /// Most hosts time out at once; the last good state is kept.
    pub(crate) checker_suspected: bool,
    /// Instance hosts and array members.
    pub(crate) backends: Vec<Backend>,
    /// Keys whose logins wait.
    pub(crate) moving: Vec<KeyHold>,
    /// Who is asked where an archive is, in this order.
    pub(crate) sources: Vec<Source>,
    /// The number of its process.
    pub(crate) process: u32,
    /// How far usher's own end has come.
    pub(crate) drain: Option<Drain>,
    /// Those that it has succeeded, whose sessions are counted above too.
    pub(crate) former: Vec<FormerProcess>,
}

/// A process that has been succeeded and still has sessions.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct FormerProcess {
    /// Its number.
    pub(crate) process: u32,
    /// Its version.
    pub(crate) version: String,
    /// Connections that are open there.
    pub(crate) connections: u32,
    /// Sessions there.
    pub(crate) sessions: usize,
    /// How far it has come with ending them.
    pub(crate) drain: Option<Drain>,
}

/// An instance host, or a member of an array.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Backend {
    /// Its name.
    pub(crate) name: String,
    /// Its array, for a member.
    pub(crate) array: Option<String>,
    /// Where it is defined: `file`, or `added` at run time.
    pub(crate) origin: String,
    /// Its services.
    pub(crate) services: Vec<ServiceView>,
    /// Why it takes nobody new; empty: in service.
    pub(crate) holds: Vec<Hold>,
    /// Sessions that use it or are being set up there.
    pub(crate) sessions: u32,
    /// Most sessions at a time.
    pub(crate) max_sessions: Option<u32>,
    /// Its share of the array's sessions.
    pub(crate) weight: u32,
    /// Its pins.
    pub(crate) fingerprints: Vec<String>,
    /// How far its drain has come.
    pub(crate) drain: Option<Drain>,
}

/// One service of a backend.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct ServiceView {
    /// `imap`, `http` or `tcp`.
    pub(crate) service: String,
    /// Where it is.
    pub(crate) address: String,
    /// `up`, `returning`, `unhealthy`, `held`, `draining`, `drained` or `stopped`.
    pub(crate) state: String,
    /// The share of new sessions that it takes, at most 1.
    pub(crate) share: f64,
    /// Sessions and requests that use it now; missing if one login is explained.
    #[serde(default)]
    pub(crate) sessions: Option<u32>,
    /// When it was last checked, in seconds since 1970.
    pub(crate) checked_at: Option<i64>,
    /// How long that took, in seconds.
    pub(crate) check_seconds: Option<f64>,
    /// Why the last check failed.
    pub(crate) fault: Option<String>,
    /// Its capabilities before login, if checks have seen them.
    pub(crate) capabilities: Option<String>,
    /// When its certificate expires, in seconds since 1970, if checks have seen it.
    pub(crate) certificate_ends: Option<i64>,
}

/// One hold.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Hold {
    /// `operator`, `agent`, `boot` or `health`.
    pub(crate) hold: String,
    /// `drain` or `stop`; the agent's word; the service that health has taken out.
    pub(crate) kind: String,
    /// Since when, in seconds since 1970.
    pub(crate) since: Option<i64>,
    /// Who.
    pub(crate) by: Option<String>,
    /// Why.
    pub(crate) why: Option<String>,
}

/// A hold on a key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct KeyHold {
    /// The key.
    pub(crate) key: String,
    /// Since when, in seconds since 1970.
    pub(crate) since: i64,
    /// Who.
    pub(crate) by: String,
    /// Why.
    pub(crate) why: String,
}

/// All holds.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Holds {
    /// On hosts and members, by name.
    pub(crate) backends: std::collections::BTreeMap<String, Vec<Hold>>,
    /// On keys.
    pub(crate) keys: Vec<KeyHold>,
}

/// How far a drain has come.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Drain {
    /// `drain` or `stop`.
    pub(crate) kind: String,
    /// `waiting`, `goodbyes`, `ending`, `done` or `cancelled`.
    pub(crate) phase: String,
    /// Sessions at its beginning.
    pub(crate) began_with: u32,
    /// Sessions that are left.
    pub(crate) left: u32,
    /// Seconds since its beginning.
    pub(crate) passed_seconds: f64,
    /// Seconds from its beginning to its deadline.
    pub(crate) deadline_seconds: f64,
    /// Seconds that it will still take at this pace.
    pub(crate) estimate_seconds: Option<f64>,
}

/// One session.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Session {
    /// Its id, as in the log.
    pub(crate) id: String,
    /// The archive key; empty on plain TCP.
    pub(crate) user: String,
    /// Where it goes.
    pub(crate) host: Option<String>,
    /// The array, for a member.
    pub(crate) array: Option<String>,
    /// The listener's protocol.
    pub(crate) protocol: String,
    /// The listener's address.
    pub(crate) listener: String,
    /// The client's address.
    pub(crate) client: String,
    /// The version of TLS, `none` without.
    pub(crate) tls: String,
    /// `connecting`, `busy`, `between commands` or `idle`.
    pub(crate) doing: String,
    /// Seconds since it began.
    pub(crate) seconds: u32,
    /// Seconds without a byte.
    pub(crate) idle_seconds: u32,
}

/// Some sessions.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Sessions {
    /// How many match.
    pub(crate) matching: usize,
    /// The oldest of them.
    pub(crate) sessions: Vec<Session>,
}

/// How many sessions a change affected.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Count {
    /// Their number.
    pub(crate) count: usize,
}

/// Why somebody makes a change.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reason {
    /// The reason, for others to see.
    #[serde(default)]
    pub(crate) why: String,
    /// Seconds until the remaining sessions are ended; by default `drain_deadline`.
    #[serde(default)]
    pub(crate) deadline_seconds: Option<u64>,
}

/// The result of starting a host.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Started {
    /// What still holds it: `agent`, `health`.
    pub(crate) still_held_by: Vec<String>,
}

/// One entry of the directory.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Entry {
    /// The key.
    pub(crate) key: String,
    /// Its host.
    pub(crate) host: String,
    /// When it was set, in seconds since 1970.
    pub(crate) set_at: i64,
    /// By whom.
    pub(crate) set_by: String,
    /// What it says besides, for access rules.
    #[serde(default)]
    pub(crate) attributes: BTreeMap<String, String>,
}

/// A page of the directory.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Entries {
    /// In the order of keys.
    pub(crate) entries: Vec<Entry>,
    /// The value of `after` for the next page; missing on the last page.
    pub(crate) next: Option<String>,
}

/// Where a key is to be.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Home {
    /// The instance host.
    pub(crate) host: String,
}

/// What a change of the directory replaced.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Former {
    /// The host before; `None`: none.
    pub(crate) host: Option<String>,
}

/// Why a login goes where it goes.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Explanation {
    /// What was typed.
    pub(crate) typed: String,
    /// The key that it becomes; missing if no archive can have this name.
    pub(crate) key: Option<String>,
    /// The key of its domain, which is looked up if the key has no entry of its own.
    pub(crate) domain: Option<String>,
    /// The entry that decides.
    pub(crate) entry: Option<Entry>,
    /// Which source of the directory has answered, with `, remembered` while it cannot be asked.
    pub(crate) source: String,
    /// Seconds since the entry was set.
    pub(crate) age_seconds: Option<i64>,
    /// The access rule that decides.
    pub(crate) rule: String,
    /// How the login stands with failed ones before it, in sentences.
    pub(crate) guessing: Vec<String>,
    /// The hold on the key.
    pub(crate) moving: Option<KeyHold>,
    /// The host as it stands.
    pub(crate) host: Option<Backend>,
    /// The listeners that the login can use.
    pub(crate) listeners: Vec<String>,
    /// What would happen now, in a sentence.
    pub(crate) outcome: String,
}

/// How to reload.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReloadOrder {
    /// Where whoever asks works from: access rules that would lock out this address are not applied. Missing: the
    /// address of the request.
    #[schema(value_type = Option<String>)]
    pub(crate) from: Option<IpAddr>,
    /// Even if they are locked out by it.
    #[serde(default)]
    pub(crate) force: bool,
}

/// The users whom several hosts have.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Duplicates {
    /// Each, as far as nobody has decided.
    pub(crate) users: Vec<Duplicate>,
}

/// A user whom several hosts have.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Duplicate {
    /// The user.
    pub(crate) user: String,
    /// The hosts.
    pub(crate) hosts: Vec<String>,
}

/// What the command line has done to the directory.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    /// Which change.
    pub(crate) what: Changed,
    /// Of whom.
    pub(crate) on: String,
    /// Where to, or how many.
    pub(crate) why: String,
}

/// A change of the directory.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Changed {
    /// A user was put on a host.
    SetUser,
    /// A user was removed.
    RemoveUser,
    /// A user got another name.
    RenameUser,
    /// A file was imported.
    ImportUsers,
}

impl Changed {
    /// As the audit log says it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SetUser => "set user",
            Self::RemoveUser => "remove user",
            Self::RenameUser => "rename user",
            Self::ImportUsers => "import users",
        }
    }
}
