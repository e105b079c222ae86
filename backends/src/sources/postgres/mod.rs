//! PostgreSQL: the tables that usher makes, or a query of the site's own.

mod connect;
mod follow;
mod header;
mod import;
mod ledger;
mod news;
mod tables;
mod writer;

pub(super) use connect::Place;
pub(super) use ledger::PostgresLedger;

use super::engine::{Answer, Engine, Question, Tell};
use super::fault::SourceFault;
use super::names::read;
use super::placement;
use super::shared::Shared;
use crate::directory::kind;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row, Statement};
use usher_config::snapshot::Postgres;
use usher_policy::ArchiveKey;

/// In one statement, so that both are seen in the same state.
const LOOK_UP: &str = "SELECT host, attributes, false FROM usher.entry WHERE kind = $1 AND key = $2 \
     UNION ALL SELECT host, attributes, true FROM usher.entry WHERE kind = 2 AND key = $3 ORDER BY 3 LIMIT 1";

pub(super) struct PostgresEngine {
    place: Arc<Place>,
    query: Option<String>,
    notify: Option<String>,
    shared: Shared<Arc<Prepared>>,
}

/// A connection on which the question is prepared; questions on it do not wait for each other's answers.
struct Prepared {
    client: Client,
    question: Statement,
}

impl PostgresEngine {
    pub(super) fn new(postgres: &Postgres, deadline: Duration) -> Result<Self, SourceFault> {
        Ok(Self {
            place: Arc::new(Place::new(&postgres.access, deadline)?),
            query: postgres.query.clone(),
            notify: postgres.notify.clone(),
            shared: Shared::new(),
        })
    }

    async fn connect(&self) -> Result<Arc<Prepared>, SourceFault> {
        let client = Box::pin(self.place.for_look_ups()).await?;
        if self.query.is_none() {
            tables::check(&client).await?;
        }
        let question = client.prepare(self.query.as_deref().unwrap_or(LOOK_UP)).await;
        Ok(Arc::new(Prepared { question: question.map_err(failed)?, client }))
    }

    async fn find(&self, key: &ArchiveKey) -> Answer {
        let prepared = self.shared.get(self.connect()).await?;
        let found = match self.query {
            Some(_) => own(&prepared, key).await,
            None => shipped(&prepared, key).await,
        };
        if !matches!(found, Err(SourceFault::Out(_))) {
            prepared.done();
        }
        found
    }
}

async fn shipped(Prepared { client, question }: &Prepared, key: &ArchiveKey) -> Answer {
    let domain = key.domain();
    let (kind, domain_name) = (i16::from(kind(key)), domain.as_ref().map(ArchiveKey::name));
    let row = client.query_opt(question, &[&kind, &key.name(), &domain_name]).await.map_err(failed)?;
    let Some(row) = row else { return Ok(None) };
    let is_by_domain: bool = row.try_get(2).map_err(failed)?;
    let found_by = domain.filter(|_| is_by_domain).unwrap_or_else(|| key.clone());
    let mut found = placement(row.try_get(0).map_err(failed)?, found_by);
    found.attributes = row.try_get::<_, Option<String>>(1).map_err(failed)?.map(Into::into);
    Ok(Some(found))
}

async fn own(Prepared { client, question }: &Prepared, key: &ArchiveKey) -> Answer {
    let rows = client.query(question, &[&key.to_string()]).await.map_err(failed)?;
    let [row] = rows.as_slice() else {
        let many = || SourceFault::answer(format!("{key} has {} rows", rows.len()));
        return if rows.is_empty() { Ok(None) } else { Err(many()) };
    };
    let mut fields = Vec::new();
    for (at, column) in row.columns().iter().enumerate() {
        if let Some(value) = text(row, at, column.type_())
            .map_err(|why| SourceFault::Out(format!("the column `{}` of the query: {why}", column.name())))?
        {
            fields.push((column.name().to_owned(), value));
        }
    }
    read(key, key, fields).map(Some)
}

/// A value as text; `None`: it is NULL.
fn text(row: &Row, at: usize, of: &Type) -> Result<Option<String>, String> {
    fn shown<T: ToString>(value: Result<Option<T>, tokio_postgres::Error>) -> Result<Option<String>, String> {
        value.map(|value| value.map(|value| value.to_string())).map_err(|error| error.to_string())
    }
    match *of {
        Type::INT2 => shown(row.try_get::<_, Option<i16>>(at)),
        Type::INT4 => shown(row.try_get::<_, Option<i32>>(at)),
        Type::INT8 => shown(row.try_get::<_, Option<i64>>(at)),
        Type::BOOL => shown(row.try_get::<_, Option<bool>>(at)),
        Type::INET => shown(row.try_get::<_, Option<IpAddr>>(at)),
        _ => shown(row.try_get::<_, Option<String>>(at)).map_err(|_| format!("cast it to text, it is {of}")),
    }
}

/// An error, with what the server says of it.
#[allow(clippy::needless_pass_by_value)] // what `map_err` gives
pub(super) fn failed(error: tokio_postgres::Error) -> SourceFault {
    match error.as_db_error() {
        Some(said) if [SqlState::UNDEFINED_TABLE, SqlState::INVALID_SCHEMA_NAME].contains(said.code()) => {
            let hint = "if usher is to have tables there, make them with: usher directory init";
            SourceFault::Out(format!("{}: {}; {hint}", said.severity(), said.message()))
        }
        // What a name is, and not the server, brings about (class 22, data exceptions).
        Some(said) if said.code().code().starts_with("22") => SourceFault::answer(said.message()),
        Some(said) => SourceFault::Out(format!("{}: {}", said.severity(), said.message())),
        None => {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            SourceFault::Out(format!("{error}{}", cause.unwrap_or_default()))
        }
    }
}

impl Engine for PostgresEngine {
    fn look_up<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Answer> {
        self.find(&question.key).boxed()
    }

    fn follow(self: Arc<Self>, tell: Tell) -> Option<BoxFuture<'static, ()>> {
        let place = self.place.clone();
        match (&self.query, &self.notify) {
            (None, _) => Some(follow::shipped(place, tell).boxed()),
            (Some(_), Some(channel)) => Some(follow::own(place, channel.clone(), tell).boxed()),
            (Some(_), None) => None,
        }
    }
}
