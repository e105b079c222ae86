//! The directory's entries, and the holds on keys.

use super::Context;
use super::State;
use super::audit::Author;
use super::change::blocking;
use super::error::Refusal;
use super::json_body::JsonBody;
use super::model::{Change, Duplicate, Duplicates, Entries, Entry, Former, Home, Reason};
use super::params::Params;
use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use serde::Deserialize;
use usher_policy::ArchiveKey;
use utoipa::IntoParams;

/// Most entries in one answer.
const PAGE: u32 = 1000;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// Only those on this host.
    host: Option<String>,
    /// Only those after this key.
    after: Option<String>,
    /// At most this many, and never more than 1,000.
    limit: Option<u32>,
}

/// A page of entries, in the order of keys.
#[utoipa::path(get, path = "/v1/directory", operation_id = "listUsers", params(Which), responses((status = 200, description = "Done.", body = Entries)))]
pub(super) async fn list(context: State, Params(which): Params<Which>) -> Result<Json<Entries>, Refusal> {
    let context = context.0.clone();
    blocking(move || {
        let after = which.after.map(|after| key(&context, &after)).transpose()?;
        let most = which.limit.unwrap_or(PAGE).min(PAGE);
        let found = context.directory.page(which.host.as_deref(), after.as_ref(), most)?;
        let full = found.len() as u64 == u64::from(most);
        let next = found.last().filter(|_| full).map(|entry| entry.key.to_string());
        Ok(Json(Entries { entries: found.into_iter().map(view).collect(), next }))
    })
    .await
}

/// The entry of exactly this key.
#[utoipa::path(get, path = "/v1/directory/{key}", operation_id = "getUser", responses((status = 200, description = "Done.", body = Entry), (status = 404, description = "Not found.")))]
pub(super) async fn show(context: State, Path(typed): Path<String>) -> Result<Json<Entry>, Refusal> {
    let context = context.0.clone();
    blocking(move || {
        let key = key(&context, &typed)?;
        let found = context.directory.get(&key)?;
        found.map(view).map(Json).ok_or_else(|| Refusal::unknown(format!("{key} is not on any host")))
    })
    .await
}

/// Puts a key on a host.
#[utoipa::path(put, path = "/v1/directory/{key}", operation_id = "setUser", request_body = Home,
    responses((status = 200, description = "Done.", body = Former), (status = 400, description = "The request is invalid; `error` says why."), (status = 404, description = "Not found."), (status = 507, description = "The disk is full; nothing has changed.")))]
pub(super) async fn set(
    context: State,
    author: Author,
    Path(typed): Path<String>,
    JsonBody(Home { host }): JsonBody<Home>,
) -> Result<Json<Former>, Refusal> {
    let context = context.0.clone();
    blocking(move || {
        let (key, host) = (key(&context, &typed)?, host.to_ascii_lowercase());
        if context.fleet.roster().host(&host).is_none() {
            return Err(Refusal::unknown(format!("there is no instance host {host:?}")));
        }
        let former = context.directory.set(&key, &host, &author.name)?;
        author.did("set user", &key.to_string(), &host);
        Ok(Json(Former { host: former }))
    })
    .await
}

/// Removes a key.
#[utoipa::path(delete, path = "/v1/directory/{key}", operation_id = "removeUser",
    responses((status = 200, description = "Done.", body = Former), (status = 400, description = "The request is invalid; `error` says why."), (status = 507, description = "The disk is full; nothing has changed.")))]
pub(super) async fn remove(
    context: State,
    author: Author,
    Path(typed): Path<String>,
) -> Result<Json<Former>, Refusal> {
    let context = context.0.clone();
    blocking(move || {
        let key = key(&context, &typed)?;
        let former = context.directory.remove(&key, &author.name)?;
        author.did("remove user", &key.to_string(), "");
        Ok(Json(Former { host: former }))
    })
    .await
}

/// Records what the command line has changed in the directory directly.
#[utoipa::path(post, path = "/v1/changes", operation_id = "noteChange", request_body = Change,
    responses((status = 204, description = "It has been recorded.")))]
pub(super) async fn note(author: Author, JsonBody(change): JsonBody<Change>) -> StatusCode {
    author.did(change.what.name(), &change.on, &change.why);
    StatusCode::NO_CONTENT
}

/// Makes the logins of a key wait while its archive is moved.
#[utoipa::path(post, path = "/v1/directory/{key}/hold", operation_id = "holdUser", request_body = Reason,
    responses((status = 200, description = "Done."), (status = 400, description = "The request is invalid; `error` says why."), (status = 507, description = "The disk is full; nothing has changed.")))]
pub(super) async fn hold(
    context: State,
    author: Author,
    Path(typed): Path<String>,
    JsonBody(reason): JsonBody<Reason>,
) -> Result<StatusCode, Refusal> {
    let context = context.0.clone();
    blocking(move || {
        let key = key(&context, &typed)?;
        not_moving(&context, &key)?;
        context.fleet.hold_key(&key, &author.name, &reason.why)?;
        context.router.sources.forget(&key);
        author.did("hold user", &key.to_string(), &reason.why);
        Ok(StatusCode::OK)
    })
    .await
}

/// Lets the logins of a key continue.
#[utoipa::path(delete, path = "/v1/directory/{key}/hold", operation_id = "releaseUser",
    responses((status = 200, description = "Done."), (status = 404, description = "Not found."), (status = 507, description = "The disk is full; nothing has changed.")))]
pub(super) async fn release(
    context: State,
    author: Author,
    Path(typed): Path<String>,
) -> Result<StatusCode, Refusal> {
    let context = context.0.clone();
    blocking(move || {
        let key = key(&context, &typed)?;
        not_moving(&context, &key)?;
        if !context.fleet.release_key(&key)? {
            return Err(Refusal::unknown(format!("there is no hold on {key}")));
        }
        author.did("release user", &key.to_string(), "");
        Ok(StatusCode::OK)
    })
    .await
}

/// The users whom several hosts have, as far as nobody has decided: they are not served.
#[utoipa::path(get, path = "/v1/duplicates", operation_id = "listDuplicates", responses((status = 200, description = "Done.", body = Duplicates)))]
pub(super) async fn duplicates(context: State) -> Result<Json<Duplicates>, Refusal> {
    let context = context.0.clone();
    blocking(move || {
        let found = context.router.peers.duplicates().into_iter();
        Ok(Json(Duplicates { users: found.map(|(user, hosts)| Duplicate { user, hosts }).collect() }))
    })
    .await
}

/// While usher moves a key, its hold is the move's.
fn not_moving(context: &Context, key: &ArchiveKey) -> Result<(), Refusal> {
    match context.mover.is_moving(key) {
        true => Err(Refusal::conflict(format!("{key} is being moved; wait until that is over, or undo it"))),
        false => Ok(()),
    }
}

/// The key that an operator writes as `typed`.
pub(super) fn key(context: &Context, typed: &str) -> Result<ArchiveKey, Refusal> {
    let key = context.config.load().snapshot.domains.written(typed);
    key.ok_or_else(|| Refusal::bad(format!("{typed:?} is not a valid name for an archive")))
}

/// An entry as the API shows it.
pub(super) fn view(entry: usher_backends::directory::Entry) -> Entry {
    Entry {
        key: entry.key.to_string(),
        host: entry.host,
        set_at: entry.set_at,
        set_by: entry.set_by,
        attributes: entry.attributes,
    }
}
