//! A connection by which the tables that usher makes are changed, for those who wait for it.

use super::connect::Place;
use super::{failed, tables};
use crate::directory::{DirectoryError, kind};
use crate::roster::now;
use crate::sources::engine::{News, Tell};
use crate::sources::fault::SourceFault;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::{Client, GenericClient};
use usher_policy::ArchiveKey;

/// Time in which a change must be made.
const DEADLINE: Duration = Duration::from_secs(15);

/// Work on a connection.
type Work<T> =
    Box<dyn for<'c> FnOnce(&'c mut Client) -> BoxFuture<'c, Result<T, SourceFault>> + Send + 'static>;

pub(super) struct Writer {
    place: Arc<Place>,
    runtime: Handle,
    idle: Arc<Mutex<Option<Client>>>,
    tell: Tell,
}

impl Writer {
    /// `tell` is called with what has been changed here.
    pub(super) fn new(place: Place, runtime: &Handle, tell: Tell) -> Self {
        Self { place: Arc::new(place), runtime: runtime.clone(), idle: Arc::default(), tell }
    }

    /// Makes the tables, unless they are there. Returns whether they were not.
    pub(super) fn init(&self) -> Result<bool, DirectoryError> {
        self.connected(false, Some(DEADLINE), Box::new(|client| tables::make(client).boxed()))
    }

    /// Runs `work` on a connection to a server that can be written.
    pub(super) fn run<T: Send + 'static>(&self, work: Work<T>) -> Result<T, DirectoryError> {
        self.connected(true, Some(DEADLINE), work)
    }

    pub(super) fn connected<T: Send + 'static>(
        &self,
        has_tables: bool,
        within: Option<Duration>,
        work: Work<T>,
    ) -> Result<T, DirectoryError> {
        let (place, idle) = (self.place.clone(), self.idle.clone());
        let (sender, receiver) = mpsc::channel();
        self.runtime.spawn(async move {
            let doing = async {
                let taken = idle.lock().unwrap_or_else(PoisonError::into_inner).take();
                let mut client = match taken.filter(|client| !client.is_closed()) {
                    Some(client) => client,
                    None => {
                        let client = place.connect(TargetSessionAttrs::ReadWrite).await?;
                        if has_tables {
                            tables::check(&client).await?;
                        }
                        client
                    }
                };
                let done = work(&mut client).await?;
                *idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(client);
                Ok(done)
            };
            let done = match within {
                Some(within) => {
                    let late = |_| Err(SourceFault::out("no answer in time"));
                    timeout(within, doing).await.unwrap_or_else(late)
                }
                None => doing.await,
            };
            let _ = sender.send(done);
        });
        let done = receiver.recv().unwrap_or_else(|_| Err(SourceFault::out("usher is ending")));
        done.map_err(|fault| DirectoryError::Source(format!("postgres: {fault}")))
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
