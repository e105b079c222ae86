//! Drain, stop, start, reload. Each is on the disk before it is answered.

use super::audit::Author;
use super::error::Refusal;
use super::json_body::JsonBody;
use super::model::{Reason, Started};
use super::{Context, State};
use crate::drain;
use crate::reload::Reloaded;
use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use usher_backends::roster::HoldKind;

/// Longest deadline of a drain, in seconds.
const LONGEST: u64 = 365 * 24 * 60 * 60;

/// Runs `work`, which takes its time or waits for the disk, where it keeps nobody from being served.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(Refusal::internal(&error)))
}

/// No new sessions; those that are there finish, quiet ones first.
#[utoipa::path(post, path = "/v1/hosts/{name}/drain", operation_id = "drainHost", request_body = Reason,
    responses((status = 202, description = "Accepted: it is on the disk, and goes on from here."), (status = 404, description = "There is no such thing."), (status = 507, description = "The disk is full; nothing has changed.")))]
pub(super) async fn drain(
    context: State,
    author: Author,
    Path(name): Path<String>,
    JsonBody(reason): JsonBody<Reason>,
) -> Result<StatusCode, Refusal> {
    hold(&context, author, name, HoldKind::Drain, reason).await
}

/// No new sessions; those that are there end at once, between two responses where possible.
#[utoipa::path(post, path = "/v1/hosts/{name}/stop", operation_id = "stopHost", request_body = Reason,
    responses((status = 202, description = "Accepted: it is on the disk, and goes on from here."), (status = 404, description = "There is no such thing."), (status = 507, description = "The disk is full; nothing has changed.")))]
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
        return Err(Refusal::bad(format!("a deadline is at most {LONGEST} seconds, a year")));
    }
    let deadline = deadline_seconds.map_or(configured, Duration::from_secs);
    let name = name.to_ascii_lowercase();
    let handle = tokio::runtime::Handle::current();
    blocking(move || {
        context.fleet.hold(&name, kind, &author.name, &why)?;
        author.did(kind.name(), &name, &format!("{why} (within {} s)", deadline.as_secs()));
        let _entered = handle.enter();
        drain::begin(&context.drainer, &name, kind, deadline);
        Ok(StatusCode::ACCEPTED)
    })
    .await
}

/// Takes drain, stop and boot holds back.
#[utoipa::path(post, path = "/v1/hosts/{name}/start", operation_id = "startHost",
    responses((status = 200, description = "Done.", body = Started), (status = 404, description = "There is no such thing."), (status = 507, description = "The disk is full; nothing has changed.")))]
pub(super) async fn start(
    context: State,
    author: Author,
    Path(name): Path<String>,
) -> Result<Json<Started>, Refusal> {
    let context = context.0.clone();
    let name = name.to_ascii_lowercase();
    blocking(move || {
        let held = context.fleet.start(&name)?;
        context.drains.cancel(&name);
        author.did("start", &name, "");
        Ok(Json(Started { still_held_by: held.into_iter().map(str::to_owned).collect() }))
    })
    .await
}

/// Reads the configuration file anew; waits for what comes of it.
#[utoipa::path(post, path = "/v1/reload", operation_id = "reload", responses((status = 200, description = "Done.", body = Reloaded), (status = 422, description = "The configuration has faults; the former one stays.", body = Reloaded)))]
pub(super) async fn reload(context: State, author: Author) -> Result<(StatusCode, Json<Reloaded>), Refusal> {
    let reloads = context.reloads.clone();
    // Goes on and is written down also where whoever asked does not wait for it.
    let asking = tokio::spawn(async move {
        let (request, answer) = oneshot::channel();
        reloads.send(request).await.ok()?;
        let reloaded = answer.await.ok()?;
        author.did("reload", "configuration", if reloaded.applied { "applied" } else { "refused" });
        Some(reloaded)
    });
    let reloaded = asking.await.ok().flatten();
    let reloaded = reloaded.ok_or_else(|| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "usher stops"))?;
    let status = if reloaded.applied { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Ok((status, Json(reloaded)))
}
