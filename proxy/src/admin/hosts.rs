//! Adding, changing and removing hosts while running.

use super::Context;
use super::State;
use super::audit::Author;
use super::change::blocking;
use super::error::Refusal;
use super::json_body::JsonBody;
use super::params::Params;
use crate::route::registered;
use axum::extract::Path;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::sync::Arc;
use tokio::runtime::Handle;
use usher_backends::connect::Deadlines;
use usher_backends::directory::DirectoryError;
use usher_backends::health::secret;
use usher_backends::roster::HostOrigin;
use usher_config::fault;
use usher_config::health::ImapProbe;
use usher_config::snapshot::InstanceHost;
use utoipa::IntoParams;

/// Adds a host. The body has the keys of `[[instance_host]]`.
#[utoipa::path(post, path = "/v1/hosts", operation_id = "addHost", request_body = Object,
    responses((status = 201, description = "The host has been added."), (status = 400, description = "The request is invalid; `error` says why."), (status = 409, description = "It conflicts with the current state."), (status = 507, description = "The disk is full; nothing has changed.")))]
pub(super) async fn add(
    context: State,
    author: Author,
    JsonBody(keys): JsonBody<Map<String, Value>>,
) -> Result<StatusCode, Refusal> {
    put(context.0.clone(), author, keys, false).await?;
    Ok(StatusCode::CREATED)
}

/// Changes keys of a host that was added at run time; `null` removes one.
#[utoipa::path(patch, path = "/v1/hosts/{name}", operation_id = "changeHost", request_body = Object,
    responses((status = 200, description = "Done."), (status = 400, description = "The request is invalid; `error` says why."), (status = 404, description = "Not found."), (status = 409, description = "It conflicts with the current state."), (status = 507, description = "The disk is full; nothing has changed.")))]
pub(super) async fn set(
    context: State,
    author: Author,
    Path(name): Path<String>,
    JsonBody(changes): JsonBody<Map<String, Value>>,
) -> Result<StatusCode, Refusal> {
    let name = name.to_ascii_lowercase();
    if changes.get("name").is_some_and(|other| *other != name.as_str()) {
        return Err(Refusal::bad(
            "a host cannot be renamed, because users are assigned to it by name; add another host and move them",
        ));
    }
    let asked = context.0.clone();
    let former = blocking(move || Ok(asked.fleet.definition(&name)?)).await?;
    let former: toml::Table = toml::from_str(&former).map_err(|error| Refusal::internal(&error))?;
    let section = former.get("instance_host").and_then(|hosts| hosts.get(0)).cloned();
    let section = serde_json::to_value(section).map_err(|error| Refusal::internal(&error))?;
    let Value::Object(mut keys) = section else {
        return Err(Refusal::internal(&"the host's definition cannot be read"));
    };
    for (key, value) in changes {
        match (value, keys.get_mut(&key)) {
            (Value::Null, _) => {
                keys.shift_remove(&key);
            }
            // Keys of an inner table are changed individually, too.
            (Value::Object(inner), Some(Value::Object(former))) => {
                former.extend(inner);
                former.retain(|_, value| !value.is_null());
            }
            (value, _) => {
                keys.insert(key, value);
            }
        }
    }
    put(context.0.clone(), author, keys, true).await?;
    Ok(StatusCode::OK)
}

async fn put(
    context: Arc<Context>,
    author: Author,
    keys: Map<String, Value>,
    replace: bool,
) -> Result<(), Refusal> {
    let told = Value::Object(keys.clone()).to_string();
    let (config, definition) = read(keys)?;
    let handle = Handle::current();
    blocking(move || {
        let name = config.name.clone();
        if let ImapProbe::Login { password_file, .. } = &config.health.imap {
            let origin = HostOrigin::Added { since: 0, by: author.name.clone() };
            let secrets_dir = context.config.load().snapshot.admin.secrets_dir.clone();
            // Tried now, so that whoever adds the host learns of a fault.
            secret::read(password_file, &origin, secrets_dir.as_deref())
                .map_err(|fault| Refusal::bad(fault.to_string()))?;
        }
        context.fleet.put_host(&name, definition, &author.name, replace)?;
        author.did(if replace { "change host" } else { "add host" }, &name, &told);
        let _entered = handle.enter();
        context.health.reconcile(Deadlines::from(&context.config.load().snapshot.limits));
        Ok(())
    })
    .await
}

/// The host, checked by the same rules as one in the file, and its section of the file.
fn read(keys: Map<String, Value>) -> Result<(InstanceHost, String), Refusal> {
    let bad = |error: &dyn std::fmt::Display| Refusal::bad(error.to_string());
    let host = toml::Value::try_from(Value::Object(keys)).map_err(|error| bad(&error))?;
    let file = toml::Table::from_iter([("instance_host".to_owned(), toml::Value::Array(vec![host]))]);
    let definition = toml::to_string(&file).map_err(|error| bad(&error))?;
    match usher_config::load_host(&definition) {
        Ok(config) => Ok((config, definition)),
        Err(faults) => Err(Refusal::bad(fault::render("the host", &definition, &faults, false))),
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Removal {
    /// Remove it even if the directory has users there.
    #[serde(default)]
    force: bool,
}

/// Whether the directory has users on a host of the fleet, however it writes the host, or on one that it may mean: without this
/// host, it would mean the other one.
fn has_users(context: &Context, name: &str) -> Result<bool, DirectoryError> {
    let roster = context.fleet.roster();
    if roster.host(name).is_none() {
        return Ok(false);
    }
    for written in registered::spellings(&roster, name) {
        if context.directory.names_host(&written)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Removes a host that was added at run time. Its sessions continue; it gets no new ones.
#[utoipa::path(delete, path = "/v1/hosts/{name}", operation_id = "removeHost", params(Removal),
    responses((status = 204, description = "The host has been removed."), (status = 404, description = "Not found."), (status = 409, description = "It conflicts with the current state."), (status = 507, description = "The disk is full; nothing has changed.")))]
pub(super) async fn remove(
    context: State,
    author: Author,
    Path(name): Path<String>,
    Params(Removal { force }): Params<Removal>,
) -> Result<StatusCode, Refusal> {
    let (context, name) = (context.0.clone(), name.to_ascii_lowercase());
    let handle = Handle::current();
    blocking(move || {
        if !force && has_users(&context, &name)? {
            return Err(Refusal::conflict(format!(
                "the directory has users on {name}; move them first, or use force, and their logins will wait"
            )));
        }
        context.fleet.remove_host(&name)?;
        author.did("remove host", &name, if force { "by force" } else { "" });
        let _entered = handle.enter();
        context.health.reconcile(Deadlines::from(&context.config.load().snapshot.limits));
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
