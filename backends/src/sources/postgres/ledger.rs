//! The tables that usher makes, as a directory that can be written. Whoever changes a key holds its lock, so that each
//! change is made to what was read.

use super::connect::Place;
use super::writer::{Writer, new_change};
use super::{failed, import};
use crate::directory::{
    Conflict, DirectoryError, Entry, Flip, ImportOptions, ImportPhase, Imported, Ledger, Pairs, Placement,
    Renamed, key_of, kind, pairs, stored_as,
};
use crate::sources::engine::Tell;
use crate::sources::fault::SourceFault;
use crate::sources::placement;
use futures_util::FutureExt;
use std::io::Read;
use tokio::runtime::Handle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{GenericClient, Row, Transaction};
use usher_policy::ArchiveKey;

const ENTRIES: &str = "SELECT e.kind, e.key, e.host, c.at, c.by, e.attributes FROM usher.entry e \
     JOIN usher.change c ON c.id = e.change";
/// Entries that are read at once.
const PAGE: u32 = 10_000;
/// Up to so many entries are counted; of more, the server's own estimate is told.
const COUNTED: f32 = 100_000.0;

/// The name of the lock that whoever changes `key` holds.
fn lock_of(key: &ArchiveKey) -> String {
    format!("usher {}:{}", kind(key), key.name())
}

/// Keeps others from changing `key` until the transaction ends.
async fn lock(transaction: &Transaction<'_>, key: &ArchiveKey) -> Result<(), SourceFault> {
    // An import holds the table: everybody takes that first.
    let wait = "LOCK TABLE usher.entry IN ROW EXCLUSIVE MODE";
    transaction.batch_execute(wait).await.map_err(failed)?;
    let sql = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
    transaction.execute(sql, &[&lock_of(key)]).await.map_err(failed)?;
    Ok(())
}

async fn host_of(client: &impl GenericClient, key: &ArchiveKey) -> Result<Option<String>, SourceFault> {
    let sql = "SELECT host FROM usher.entry WHERE kind = $1 AND key = $2";
    let row = client.query_opt(sql, &[&i16::from(kind(key)), &key.name()]).await.map_err(failed)?;
    row.map(|row| row.try_get(0).map_err(failed)).transpose()
}

async fn look_up(client: &impl GenericClient, key: &ArchiveKey) -> Result<Option<Placement>, SourceFault> {
    for by in [Some(key.clone()), key.domain()].into_iter().flatten() {
        let sql = "SELECT host, attributes FROM usher.entry WHERE kind = $1 AND key = $2";
        let values: [&(dyn ToSql + Sync); 2] = [&i16::from(kind(&by)), &by.name()];
        let Some(row) = client.query_opt(sql, &values).await.map_err(failed)? else { continue };
        let mut found = placement(row.try_get(0).map_err(failed)?, by);
        found.attributes = row.try_get::<_, Option<String>>(1).map_err(failed)?.map(Into::into);
        return Ok(Some(found));
    }
    Ok(None)
}

async fn put(
    transaction: &Transaction<'_>,
    key: &ArchiveKey,
    host: &str,
    by: &str,
    attributes_of: &ArchiveKey,
) -> Result<(), SourceFault> {
    let change = new_change(transaction, by, Some(key)).await?;
    let sql = "INSERT INTO usher.entry (kind, key, host, change, attributes)
        VALUES ($1, $2, $3, $4, (SELECT attributes FROM usher.entry WHERE kind = $5 AND key = $6))
        ON CONFLICT (kind, key) DO UPDATE SET host = excluded.host, change = excluded.change";
    let (of, from) = (i16::from(kind(key)), i16::from(kind(attributes_of)));
    let values: [&(dyn ToSql + Sync); 6] = [&of, &key.name(), &host, &change, &from, &attributes_of.name()];
    transaction.execute(sql, &values).await.map_err(failed)?;
    Ok(())
}

fn entry(row: &Row) -> Result<Entry, SourceFault> {
    let of: i16 = row.try_get(0).map_err(failed)?;
    let attributes: Option<String> = row.try_get(5).map_err(failed)?;
    Ok(Entry {
        key: key_of(u8::try_from(of).unwrap_or_default(), row.try_get(1).map_err(failed)?),
        host: row.try_get(2).map_err(failed)?,
        set_at: row.try_get(3).map_err(failed)?,
        set_by: row.try_get(4).map_err(failed)?,
        attributes: attributes.map(|stored| pairs(&stored)).unwrap_or_default(),
    })
}

pub(in crate::sources) struct PostgresLedger(Writer);

impl PostgresLedger {
    /// `tell` is called with what has been changed here.
    pub(in crate::sources) fn new(place: Place, runtime: &Handle, tell: Tell) -> Self {
        Self(Writer::new(place, runtime, tell))
    }

    /// Makes the tables, unless they are there. Returns whether they were not.
    pub(in crate::sources) fn init(&self) -> Result<bool, DirectoryError> {
        self.0.init()
    }
}

impl Ledger for PostgresLedger {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn look_up(&self, key: &ArchiveKey) -> Result<Option<Placement>, DirectoryError> {
        let key = key.clone();
        self.0.run(Box::new(|client| async move { look_up(client, &key).await }.boxed()))
    }

    fn settled(&self, key: &ArchiveKey) -> Result<Option<Placement>, DirectoryError> {
        let key = key.clone();
        let found = self.0.run(Box::new(|client| {
            async move {
                let transaction = client.transaction().await.map_err(failed)?;
                // Whoever changes it holds its lock until that is done, or never will be. Nobody waits for it here: the server
                // would go on waiting when this side has given up.
                let sql = "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))";
                let row = transaction.query_one(sql, &[&lock_of(&key)]).await.map_err(failed)?;
                match row.try_get(0).map_err(failed)? {
                    true => look_up(&transaction, &key).await.map(Some),
                    false => Ok(None),
                }
            }
            .boxed()
        }))?;
        found.ok_or_else(|| DirectoryError::InDoubt("postgres: a change of it is under way".to_owned()))
    }

    fn get(&self, key: &ArchiveKey) -> Result<Option<Entry>, DirectoryError> {
        let key = key.clone();
        self.0.run(Box::new(|client| {
            async move {
                let sql = format!("{ENTRIES} WHERE e.kind = $1 AND e.key = $2");
                let values: [&(dyn ToSql + Sync); 2] = [&i16::from(kind(&key)), &key.name()];
                client.query_opt(&sql, &values).await.map_err(failed)?.as_ref().map(entry).transpose()
            }
            .boxed()
        }))
    }

    fn set(&self, key: &ArchiveKey, host: &str, by: &str) -> Result<Option<String>, DirectoryError> {
        let (owned, host, by) = (key.clone(), host.to_owned(), by.to_owned());
        let done = self.0.change(Box::new(|transaction| {
            async move {
                lock(transaction, &owned).await?;
                let before = host_of(transaction, &owned).await?;
                put(transaction, &owned, &host, &by, &owned).await?;
                Ok(before)
            }
            .boxed()
        }));
        self.0.told(key, done)
    }

    fn add(&self, key: &ArchiveKey, host: &str, by: &str) -> Result<Option<String>, DirectoryError> {
        let (owned, host, by) = (key.clone(), host.to_owned(), by.to_owned());
        let done = self.0.change(Box::new(|transaction| {
            async move {
                lock(transaction, &owned).await?;
                let there = host_of(transaction, &owned).await?;
                if there.is_none() {
                    put(transaction, &owned, &host, &by, &owned).await?;
                }
                Ok(there)
            }
            .boxed()
        }));
        self.0.told(key, done)
    }

    fn set_attributes(
        &self,
        key: &ArchiveKey,
        changes: &[(String, Option<String>)],
        by: &str,
    ) -> Result<bool, DirectoryError> {
        let (owned, changes, by) = (key.clone(), changes.to_vec(), by.to_owned());
        let done = self.0.change(Box::new(|transaction| {
            async move {
                lock(transaction, &owned).await?;
                let (of, name) = (i16::from(kind(&owned)), owned.name());
                let sql = "SELECT attributes FROM usher.entry WHERE kind = $1 AND key = $2";
                let Some(row) = transaction.query_opt(sql, &[&of, &name]).await.map_err(failed)? else {
                    return Ok(false);
                };
                let stored: Option<String> = row.try_get(0).map_err(failed)?;
                let mut now: Pairs = stored.map(|stored| pairs(&stored)).unwrap_or_default();
                for (name, value) in changes {
                    match value {
                        Some(value) => now.insert(name, value),
                        None => now.remove(&name),
                    };
                }
                let change = new_change(transaction, &by, Some(&owned)).await?;
                let sql = "UPDATE usher.entry SET attributes = $3, change = $4 WHERE kind = $1 AND key = $2";
                let values: [&(dyn ToSql + Sync); 4] = [&of, &name, &stored_as(&now), &change];
                transaction.execute(sql, &values).await.map_err(failed)?;
                Ok(true)
            }
            .boxed()
        }));
        self.0.told(key, done)
    }

    fn remove(&self, key: &ArchiveKey, by: &str) -> Result<Option<String>, DirectoryError> {
        let (owned, by) = (key.clone(), by.to_owned());
        let done = self.0.change(Box::new(|transaction| {
            async move {
                lock(transaction, &owned).await?;
                let before = host_of(transaction, &owned).await?;
                if before.is_some() {
                    new_change(transaction, &by, Some(&owned)).await?;
                    let sql = "DELETE FROM usher.entry WHERE kind = $1 AND key = $2";
                    let values: [&(dyn ToSql + Sync); 2] = [&i16::from(kind(&owned)), &owned.name()];
                    transaction.execute(sql, &values).await.map_err(failed)?;
                }
                Ok(before)
            }
            .boxed()
        }));
        self.0.told(key, done)
    }

    fn flip(&self, key: &ArchiveKey, from: &str, to: &str, by: &str) -> Result<Flip, DirectoryError> {
        let (owned, from, to, by) = (key.clone(), from.to_owned(), to.to_owned(), by.to_owned());
        let done = self.0.change(Box::new(|transaction| {
            async move {
                lock(transaction, &owned).await?;
                let mut found = None;
                for found_by in [Some(owned.clone()), owned.domain()].into_iter().flatten() {
                    found = host_of(transaction, &found_by).await?.map(|host| (found_by, host));
                    if found.is_some() {
                        break;
                    }
                }
                let Some((found_by, _)) = found.as_ref().filter(|(_, host)| *host == from) else {
                    return Ok(Flip::Elsewhere(found.map(|(_, host)| host)));
                };
                put(transaction, &owned, &to, &by, found_by).await?;
                Ok(Flip::Done)
            }
            .boxed()
        }));
        self.0.told(key, done)
    }

    fn rename(&self, from: &ArchiveKey, to: &ArchiveKey, by: &str) -> Result<Renamed, DirectoryError> {
        let (former, next, by) = (from.clone(), to.clone(), by.to_owned());
        let done = self.0.change(Box::new(|transaction| {
            async move {
                // In one order, so that two who want both do not wait for each other.
                for key in [(&former).min(&next), (&former).max(&next)] {
                    lock(transaction, key).await?;
                }
                let Some(host) = host_of(transaction, &former).await? else { return Ok(Renamed::Nobody) };
                if let Some(host) = host_of(transaction, &next).await? {
                    return Ok(Renamed::Taken(host));
                }
                new_change(transaction, &by, Some(&former)).await?;
                let change = new_change(transaction, &by, Some(&next)).await?;
                let sql =
                    "UPDATE usher.entry SET kind = $3, key = $4, change = $5 WHERE kind = $1 AND key = $2";
                let (of, to) = (i16::from(kind(&former)), i16::from(kind(&next)));
                let values: [&(dyn ToSql + Sync); 5] = [&of, &former.name(), &to, &next.name(), &change];
                transaction.execute(sql, &values).await.map_err(failed)?;
                Ok(Renamed::Done(host))
            }
            .boxed()
        }));
        let done = self.0.told(from, done);
        self.0.told(to, done)
    }

    fn names_host(&self, host: &str) -> Result<bool, DirectoryError> {
        let host = host.to_owned();
        self.0.run(Box::new(|client| {
            async move {
                let sql = "SELECT EXISTS (SELECT 1 FROM usher.entry WHERE host = $1)";
                client.query_one(sql, &[&host]).await.map_err(failed)?.try_get(0).map_err(failed)
            }
            .boxed()
        }))
    }

    fn count(&self) -> Result<u64, DirectoryError> {
        self.0.run(Box::new(|client| {
            async move {
                let sql = "SELECT reltuples FROM pg_class WHERE oid = 'usher.entry'::regclass";
                let about: f32 =
                    client.query_one(sql, &[]).await.map_err(failed)?.try_get(0).map_err(failed)?;
                if about > COUNTED {
                    return Ok(about as u64);
                }
                let counted = client.query_one("SELECT count(*) FROM usher.entry", &[]).await;
                let counted: i64 = counted.map_err(failed)?.try_get(0).map_err(failed)?;
                Ok(counted.unsigned_abs())
            }
            .boxed()
        }))
    }

    fn page(
        &self,
        host: Option<&str>,
        after: Option<&ArchiveKey>,
        most: u32,
    ) -> Result<Vec<Entry>, DirectoryError> {
        let host = host.map(ToOwned::to_owned);
        let after = after.map_or((0, String::new()), |key| (i16::from(kind(key)), key.name().to_owned()));
        self.0.run(Box::new(move |client| {
            async move {
                let order = "ORDER BY e.kind, e.key LIMIT $3";
                let mut values: Vec<&(dyn ToSql + Sync)> = vec![&after.0, &after.1];
                let most = i64::from(most);
                values.push(&most);
                let mut only = "";
                if let Some(host) = &host {
                    only = "AND e.host = $4";
                    values.push(host);
                }
                let sql = format!("{ENTRIES} WHERE (e.kind, e.key) > ($1, $2) {only} {order}");
                client.query(&sql, &values).await.map_err(failed)?.iter().map(entry).collect()
            }
            .boxed()
        }))
    }

    fn scan(&self, host: Option<&str>, visit: &mut dyn FnMut(Entry) -> bool) -> Result<(), DirectoryError> {
        let mut after: Option<ArchiveKey> = None;
        loop {
            let page = self.page(host, after.as_ref(), PAGE)?;
            let is_last = page.len() < PAGE as usize;
            for entry in page {
                after = Some(entry.key.clone());
                if !visit(entry) {
                    return Ok(());
                }
            }
            if is_last {
                return Ok(());
            }
        }
    }

    fn import(
        &self,
        source: &mut dyn Read,
        options: &ImportOptions<'_>,
        conflict: &mut dyn FnMut(&Conflict),
        progress: &mut dyn FnMut(ImportPhase),
    ) -> Result<Imported, DirectoryError> {
        import::import(&self.0, source, options, conflict, progress)
    }
}
