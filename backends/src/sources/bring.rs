//! Sources that are asked for everything that they know, once, to bring it elsewhere.

use super::engine::{Engine, Question};
use super::engines::engine;
use super::fault::SourceFault;
use super::postgres::{Place, failed};
use crate::directory::Placement;
use futures_util::TryStreamExt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::config::TargetSessionAttrs;
use usher_config::shown::duration;
use usher_config::snapshot::{Source, SourceAccess};
use usher_policy::ArchiveKey;

/// Times that a source may want to be asked again.
const ATTEMPTS: u32 = 5;
/// Longest time that it is given for that.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// A source that is asked about one user after the other.
pub struct Inquirer {
    engine: Arc<dyn Engine>,
    deadline: Duration,
}

impl Inquirer {
    /// `deadline`: for one answer.
    ///
    /// # Errors
    /// [`SourceFault`], if what is said of the source cannot be used.
    pub fn new(source: &Source, deadline: Duration) -> Result<Self, SourceFault> {
        Ok(Self { engine: engine(source, deadline)?, deadline })
    }

    /// Where the source says that `key` is; `None`: it has nobody of this name, or refuses the login.
    ///
    /// # Errors
    /// [`SourceFault`]; [`SourceFault::Answer`] is about this user alone.
    pub async fn ask(&self, key: ArchiveKey) -> Result<Option<Placement>, SourceFault> {
        let question = Question { key, visitor: None };
        for _ in 0..ATTEMPTS {
            let answer = timeout(self.deadline, self.engine.look_up(&question)).await;
            return match answer {
                Err(_) => Err(SourceFault::out("it does not answer in time")),
                Ok(Err(SourceFault::Wait(wait))) => {
                    sleep(wait.min(LONGEST_WAIT)).await;
                    continue;
                }
                Ok(Err(SourceFault::Refused(_))) => Ok(None),
                Ok(answer) => answer,
            };
        }
        Err(SourceFault::out("it wants to be asked again, and again"))
    }
}

/// Hands each row of `query` to `take`, as pairs of a column's name and its value; what is NULL is left out. `deadline`: for
/// connecting; `patience`: for the first row, and for each one after it.
///
/// # Errors
/// [`SourceFault`], if the database cannot be asked or falls silent; what `take` has been given until then is not all.
pub async fn rows(
    access: &SourceAccess,
    query: &str,
    deadline: Duration,
    patience: Duration,
    mut take: impl FnMut(Vec<(&str, &str)>),
) -> Result<(), SourceFault> {
    let client = Place::new(access, deadline)?.connect(TargetSessionAttrs::Any).await?;
    let silent = |_| {
        let waited = duration::text(patience);
        SourceFault::Out(format!("it does not answer in time: no row for {waited}"))
    };
    let mut until = Instant::now() + patience;
    let asked = timeout_at(until, client.simple_query_raw(query)).await.map_err(silent)?;
    let mut messages = pin!(asked.map_err(failed)?);
    while let Some(message) = timeout_at(until, messages.try_next()).await.map_err(silent)?.map_err(failed)? {
        if let SimpleQueryMessage::Row(row) = message {
            let columns = row.columns().iter().enumerate();
            take(columns.filter_map(|(at, column)| Some((column.name(), row.get(at)?))).collect());
            until = Instant::now() + patience;
        }
    }
    Ok(())
}
