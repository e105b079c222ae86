//! A connection by which the tables that usher makes are changed, for those who wait for it.

use super::connect::Place;
use super::{failed, tables};
use crate::directory::{DirectoryError, kind};
use crate::roster::now;
use crate::sources::engine::{News, Tell};
use crate::sources::fault::SourceFault;
use futures_util::future::BoxFuture;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, GenericClient, Transaction};
use usher_policy::ArchiveKey;

/// Time in which a change must be made.
const DEADLINE: Duration = Duration::from_secs(15);
/// The same for one that takes long: a list of millions, and its commit where others have to have it as well.
const LONG: Duration = Duration::from_secs(6 * 60 * 60);

/// How a session behaves: it waits for nobody for longer than it is waited for, the server ends it soon when this side is gone,
/// and each statement sees what others have changed before it.
const MANNERS: &str = "SET lock_timeout = '14s'; SET idle_in_transaction_session_timeout = '60s';
    SET tcp_keepalives_idle = 20; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 4;
    SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED";

/// Work on a connection that changes nothing.
type Work<T> =
    Box<dyn for<'c> FnOnce(&'c mut Client) -> BoxFuture<'c, Result<T, SourceFault>> + Send + 'static>;

/// What a change does before it is committed.
type Change<T> =
    Box<dyn for<'t> FnOnce(&'t Transaction<'_>) -> BoxFuture<'t, Result<T, SourceFault>> + Send + 'static>;

/// Why something is not done, as far as is known.
enum Undone {
    Surely(SourceFault),
    /// It was told to do it, and has not said that it has.
    Perhaps(SourceFault),
}

impl From<SourceFault> for Undone {
    fn from(why: SourceFault) -> Self {
        Self::Surely(why)
    }
}

#[derive(Clone)]
pub(super) struct Writer {
    place: Arc<Place>,
    runtime: Handle,
    idle: Arc<Mutex<Option<Client>>>,
    tell: Arc<Tell>,
}

impl Writer {
    /// `tell` is called with what has been changed here.
    pub(super) fn new(place: Place, runtime: &Handle, tell: Tell) -> Self {
        Self { place: Arc::new(place), runtime: runtime.clone(), idle: Arc::default(), tell: Arc::new(tell) }
    }

    /// Makes the tables, unless they are there. Returns whether they were not.
    pub(super) fn init(&self) -> Result<bool, DirectoryError> {
        let writer = self.clone();
        self.wait(async move {
            let until = Instant::now() + DEADLINE;
            let mut client = in_time(until, writer.place.connect(TargetSessionAttrs::ReadWrite)).await?;
            Ok(in_time(until, tables::make(&mut client)).await?)
        })
    }

    /// Runs `work` on a connection to a server that can be written.
    pub(super) fn run<T: Send + 'static>(&self, work: Work<T>) -> Result<T, DirectoryError> {
        let writer = self.clone();
        self.wait(async move {
            let until = Instant::now() + DEADLINE;
            let mut client = in_time(until, writer.connected()).await?;
            let done = in_time(until, work(&mut client)).await?;
            writer.keep(client);
            Ok(done)
        })
    }

    /// Makes a change, all of it or nothing.
    pub(super) fn change<T: Send + 'static>(&self, work: Change<T>) -> Result<T, DirectoryError> {
        self.change_if(false, work, |_| true)
    }

    /// Makes a change, if it `is_wanted` by what has come of it, all of it or nothing, within a deadline unless it `is_long`.
    pub(super) fn change_if<T: Send + 'static>(
        &self,
        is_long: bool,
        work: Change<T>,
        is_wanted: fn(&T) -> bool,
    ) -> Result<T, DirectoryError> {
        let writer = self.clone();
        self.wait(async move {
            let until = Instant::now() + DEADLINE;
            let mut client = in_time(until, writer.connected()).await?;
            let transaction = in_time(until, begin(&mut client)).await?;
            let until = if is_long { until + LONG } else { until };
            let done = in_time(until, work(&transaction)).await?;
            if !is_wanted(&done) {
                in_time(Instant::now() + DEADLINE, async { transaction.rollback().await.map_err(failed) })
                    .await?;
                writer.keep(client);
                return Ok(done);
            }
            // Until here nothing has changed, whatever goes wrong; from here on, nobody knows if no answer comes.
            let until = Instant::now() + if is_long { LONG } else { DEADLINE };
            match timeout_at(until, transaction.commit()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) if is_answer(&error) => return Err(failed(error).into()),
                Ok(Err(error)) => return Err(Undone::Perhaps(failed(error))),
                Err(_) => return Err(Undone::Perhaps(SourceFault::out("no answer in time"))),
            }
            writer.keep(client);
            Ok(done)
        })
    }

    async fn connected(&self) -> Result<Client, SourceFault> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(client) = idle.filter(|client| !client.is_closed()) {
            return Ok(client);
        }
        let client = self.place.connect(TargetSessionAttrs::ReadWrite).await?;
        client.batch_execute(MANNERS).await.map_err(failed)?;
        tables::check(&client).await?;
        Ok(client)
    }

    fn keep(&self, client: Client) {
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(client);
    }

    /// Waits for `work`, on the thread of whoever has asked for it.
    fn wait<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Undone>> + Send + 'static,
    ) -> Result<T, DirectoryError> {
        let (sender, receiver) = mpsc::channel();
        self.runtime.spawn(async move { sender.send(work.await) });
        let ending = |_| Err(Undone::Perhaps(SourceFault::out("usher is ending")));
        receiver.recv().unwrap_or_else(ending).map_err(|undone| match undone {
            Undone::Surely(why) => DirectoryError::Source(format!("postgres: {why}")),
            Undone::Perhaps(why) => DirectoryError::InDoubt(format!("postgres: {why}")),
        })
    }

    pub(super) fn told<T>(
        &self,
        key: &ArchiveKey,
        done: Result<T, DirectoryError>,
    ) -> Result<T, DirectoryError> {
        // If only the answer was lost, the server's notification tells it.
        if done.is_ok() {
            (self.tell)(News::Of(key.clone()));
        }
        done
    }

    pub(super) fn tell_of_everything(&self) {
        (self.tell)(News::Everything);
    }
}

/// Records a change of `key`, or of many keys at once.
pub(super) async fn new_change(
    client: &impl GenericClient,
    by: &str,
    key: Option<&ArchiveKey>,
) -> Result<i64, SourceFault> {
    let sql = "INSERT INTO usher.change (at, by, kind, key) VALUES ($1, $2, $3, $4) RETURNING id";
    let (kind, name) = (key.map(|key| i16::from(kind(key))), key.map(ArchiveKey::name));
    let row = client.query_one(sql, &[&now(), &by, &kind, &name]).await.map_err(failed)?;
    row.try_get(0).map_err(failed)
}

/// Whether the server has answered a COMMIT that it has not been carried out: it says so also of one that it has just carried out,
/// when it ends the connection (class 57) or does not know (40003), and class 08 is of the connection.
fn is_answer(error: &tokio_postgres::Error) -> bool {
    let code = error.code().map(SqlState::code);
    code.is_some_and(|code| !code.starts_with("57") && !code.starts_with("08") && code != "40003")
}

async fn begin(client: &mut Client) -> Result<Transaction<'_>, SourceFault> {
    client.transaction().await.map_err(failed)
}

async fn in_time<T>(
    until: Instant,
    work: impl Future<Output = Result<T, SourceFault>>,
) -> Result<T, SourceFault> {
    let late = |_| Err(SourceFault::out("no answer in time"));
    timeout_at(until, work).await.unwrap_or_else(late)
}
