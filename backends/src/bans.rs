//! Whose logins are refused, in `state.db`: by operators, or because too many have failed. On the disk once a call returns.

use crate::store::StoreError;
use ipnet::IpNet;
use rusqlite::{Connection, TransactionBehavior};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Whose logins are refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Banned {
    /// Everybody's from there.
    Source(IpNet),
    /// Those under this name, from wherever.
    User(String),
    /// Those under this name from where it is at home.
    UserAt(String, IpNet),
}

impl Banned {
    /// A word of a closed set: `source`, `user` or `user-at`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Source(_) => "source",
            Self::User(_) => "user",
            Self::UserAt(..) => "user-at",
        }
    }

    fn columns(&self) -> (u8, String) {
        match self {
            Self::Source(network) => (0, network.to_string()),
            Self::User(user) => (1, user.clone()),
            Self::UserAt(user, network) => (2, format!("{network} {user}")),
        }
    }

    fn read(kind: u8, subject: String) -> Option<Self> {
        match kind {
            0 => Some(Self::Source(subject.parse().ok()?)),
            1 => Some(Self::User(subject)),
            2 => {
                let (network, user) = subject.split_once(' ')?;
                Some(Self::UserAt(user.to_owned(), network.parse().ok()?))
            }
            _ => None,
        }
    }
}

impl std::fmt::Display for Banned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Source(network) if network.prefix_len() == network.max_prefix_len() => {
                write!(f, "{}", network.addr())
            }
            Self::Source(network) => write!(f, "{network}"),
            Self::User(user) => f.write_str(user),
            Self::UserAt(user, network) => write!(f, "{user} from {}", Self::Source(*network)),
        }
    }
}

/// One refusal of logins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    /// Whose.
    pub whose: Banned,
    /// Since when, in seconds since 1970.
    pub since: i64,
    /// Until when, in seconds since 1970; `None`: until an operator ends it.
    pub until: Option<i64>,
    /// By which operator; `None`: because too many logins have failed.
    pub by: Option<String>,
    /// Why, in the operator's words.
    pub why: String,
}

/// What is written to the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BanChange {
    /// A ban, which replaces a former one.
    Put(Ban),
    /// The end of one.
    Remove(Banned),
    /// The end of all that were over by then, in seconds since 1970.
    Expire(i64),
}

/// The bans on the disk.
pub struct Bans(Arc<Mutex<Connection>>);

impl Bans {
    /// Those in `state.db`.
    pub(crate) fn in_file(file: Arc<Mutex<Connection>>) -> Self {
        Self(file)
    }

    /// All of them that are not over by `now`, in seconds since 1970.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn all(&self, now: i64) -> Result<Vec<Ban>, StoreError> {
        let file = self.file();
        let mut select = file.prepare(
            "SELECT kind, subject, since, until, by, why FROM ban WHERE until IS NULL OR until > ?1
             ORDER BY kind, subject",
        )?;
        let bans = select.query_map([now], |row| {
            let whose = Banned::read(row.get(0)?, row.get(1)?);
            let ban = |whose| {
                let (since, until, by, why) = (row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?);
                Ok(Ban { whose, since, until, by, why })
            };
            whose.map(ban).transpose()
        })?;
        bans.filter_map(|ban| ban.transpose()).collect::<Result<_, rusqlite::Error>>().map_err(Into::into)
    }

    /// Writes `changes`, all of them or none.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, changes: &[BanChange]) -> Result<(), StoreError> {
        let mut file = self.file();
        let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for change in changes {
            match change {
                BanChange::Put(ban) => {
                    let (kind, subject) = ban.whose.columns();
                    transaction
                        // What an operator has said stays.
                        .prepare_cached(
                            "INSERT INTO ban VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                             ON CONFLICT DO UPDATE SET since = ?3, until = ?4, by = ?5, why = ?6
                             WHERE ban.by IS NULL OR ?5 IS NOT NULL",
                        )?
                        .execute((kind, subject, ban.since, ban.until, &ban.by, &ban.why))?
                }
                BanChange::Remove(whose) => transaction
                    .prepare_cached("DELETE FROM ban WHERE kind = ?1 AND subject = ?2")?
                    .execute(whose.columns())?,
                BanChange::Expire(now) => transaction.execute("DELETE FROM ban WHERE until <= ?1", [now])?,
            };
        }
        transaction.commit()?;
        Ok(())
    }

    fn file(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::State;

    #[test]
    fn bans_are_there_after_a_restart_until_they_are_over() {
        let dir = tempfile::tempdir().unwrap();
        let ban = |whose, until, by: Option<&str>| Ban {
            whose,
            since: 100,
            until,
            by: by.map(str::to_owned),
            why: "guesses".to_owned(),
        };
        let network = ban(Banned::Source("2001:db8::/56".parse().unwrap()), Some(200), None);
        let user = ban(Banned::User("anna@example.com".to_owned()), None, Some("root"));
        let at = ban(
            Banned::UserAt("a b@example.com".to_owned(), "192.0.2.7/32".parse().unwrap()),
            Some(200),
            None,
        );
        let bans = State::open(dir.path()).unwrap().bans();
        bans.write(&[network.clone(), user.clone(), at.clone()].map(BanChange::Put)).unwrap();
        drop(bans);
        let bans = State::open(dir.path()).unwrap().bans();
        assert_eq!(bans.all(150).unwrap(), [network, user.clone(), at]);
        assert_eq!(bans.all(200).unwrap(), std::slice::from_ref(&user));
        bans.write(&[BanChange::Expire(200), BanChange::Remove(user.whose)]).unwrap();
        assert_eq!(bans.all(0).unwrap(), []);
    }
}
