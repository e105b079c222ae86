//! Drain, stop, start, reload. A change is on disk before the request is answered.

use super::audit::Author;
use super::error::Refusal;
use super::json_body::JsonBody;
use super::model::{Reason, ReloadOrder, Started};
use super::{Context, State};
use crate::drain;
use crate::reload::{Reloaded, Request};
use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use std::sync::Arc;
use std::time::Duration;
use usher_backends::roster::{HoldKind, Standing};

/// Longest deadline of a drain, in seconds.
const LONGEST: u64 = 365 * 24 * 60 * 60;

/// Runs `work`, which may take long or wait for the disk, where it does not delay anyone.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(Refusal::internal(&error)))
}

/// Allows no new sessions; existing ones finish, quiet ones first.
#[utoipa::path(post, path = "/v1/hosts/{name}/drain", operation_id = "drainHost", request_body = Reason,
    responses((status = 202, description = "Accepted: it has been saved, and continues in the background."), (status = 404, description = "Not found."), (status = 507, description = "The disk is full; nothing has changed.")))]
pub(super) async fn drain(
    context: State,
    author: Author,
    Path(name): Path<String>,
    JsonBody(reason): JsonBody<Reason>,
) -> Result<StatusCode, Refusal> {
    hold(&context, author, name, HoldKind::Drain, reason).await
}

/// Allows no new sessions; existing ones end at once, between two responses if possible.
#[utoipa::path(post, path = "/v1/hosts/{name}/stop", operation_id = "stopHost", request_body = Reason,
    responses((status = 202, description = "Accepted: it has been saved, and continues in the background."), (status = 404, description = "Not found."), (status = 507, description = "The disk is full; nothing has changed.")))]
pub(super) async fn stop(
    context: State,
    author: Author,
    Path(name): Path<String>,
    JsonBody(reason): JsonBody<Reason>,
) -> Result<StatusCode, Refusal> {
    hold(&context, author, name, HoldKind::Stop, reason).await
}

async fn hold(
    context: &Arc<Context>,
    author: Author,
    name: String,
    kind: HoldKind,
    reason: Reason,
) -> Result<StatusCode, Refusal> {
    let Reason { why, deadline_seconds } = reason;
    let context = context.clone();
    let configured = context.config.load().snapshot.server.drain_deadline;
    if deadline_seconds.is_some_and(|seconds| seconds > LONGEST) {
        return Err(Refusal::bad(format!("a deadline may be at most {LONGEST} seconds (one year)")));
    }
    // Who stops a host does not wait for its sessions.
    let deadline = match kind {
        HoldKind::Stop => Duration::ZERO,
        HoldKind::Drain => deadline_seconds.map_or(configured, Duration::from_secs),
    };
    let name = name.to_ascii_lowercase();
    let handle = tokio::runtime::Handle::current();
    let told = Reason { why: why.clone(), deadline_seconds: Some(deadline.as_secs()) };
    let (path, by) = (path_of(&name, kind.name()), author.name.clone());
    let done = blocking({
        let context = context.clone();
        move || {
            if author.is_successor {
                context.fleet.look()?;
                let is_held = |standing: &Standing| standing.holds.operator.is_some();
                if !context.fleet.roster().standings(&name).any(|(_, standing)| is_held(standing)) {
                    // It has been started again meanwhile.
                    return Ok(StatusCode::ACCEPTED);
                }
            } else {
                context.fleet.hold(&name, kind, &author.name, &why)?;
            }
            author.did(kind.name(), &name, &format!("{why} (within {} s)", deadline.as_secs()));
            let _entered = handle.enter();
            drain::begin(&context.drainer, &name, kind, deadline);
            Ok(StatusCode::ACCEPTED)
        }
    })
    .await?;
    context.tell_formers(&path, &told, &by).await;
    Ok(done)
}

/// Where what is to happen with the machine called `name` is ordered.
fn path_of(name: &str, what: &str) -> String {
    let name = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
    format!("/v1/hosts/{name}/{what}")
}

/// Removes drain, stop and boot holds.
#[utoipa::path(post, path = "/v1/hosts/{name}/start", operation_id = "startHost",
    responses((status = 200, description = "Done.", body = Started), (status = 404, description = "Not found."), (status = 507, description = "The disk is full; nothing has changed.")))]
pub(super) async fn start(
    context: State,
    author: Author,
    Path(name): Path<String>,
) -> Result<Json<Started>, Refusal> {
    let context = context.0.clone();
    let name = name.to_ascii_lowercase();
    let (path, by) = (path_of(&name, "start"), author.name.clone());
    let started = blocking({
        let context = context.clone();
        move || {
            let held = match author.is_successor {
                true => context.fleet.look().map(|()| Vec::new())?,
                false => context.fleet.start(&name)?,
            };
            context.drains.cancel(&name);
            author.did("start", &name, "");
            Ok(Json(Started { still_held_by: held.into_iter().map(str::to_owned).collect() }))
        }
    })
    .await?;
    context.tell_formers(&path, &(), &by).await;
    Ok(started)
}

/// Reloads the configuration file, and waits for the result.
#[utoipa::path(post, path = "/v1/reload", operation_id = "reload", request_body = ReloadOrder, responses((status = 200, description = "Done.", body = Reloaded), (status = 422, description = "The configuration has faults; the previous one stays in force.", body = Reloaded)))]
pub(super) async fn reload(
    context: State,
    author: Author,
    JsonBody(ReloadOrder { from, force }): JsonBody<ReloadOrder>,
) -> Result<(StatusCode, Json<Reloaded>), Refusal> {
    let from = from.or(author.address).map(|from| from.to_canonical());
    let reloads = context.orders.reloads.clone();
    // Continues and is recorded even if whoever asked does not wait.
    let asking = tokio::spawn(async move {
        let (request, result) = Request::new();
        reloads.send(Request { from, force, ..request }).await.ok()?;
        let reloaded = result.await.ok()?;
        author.did("reload", "configuration", if reloaded.applied { "applied" } else { "refused" });
        Some(reloaded)
    });
    let reloaded = asking.await.ok().flatten();
    let reloaded =
        reloaded.ok_or_else(|| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "usher is stopping"))?;
    let status = if reloaded.applied { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Ok((status, Json(reloaded)))
}
