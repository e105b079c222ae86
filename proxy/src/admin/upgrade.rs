//! Another process takes over; and what it tells this one afterwards.

use super::State;
use super::audit::Author;
use super::change::blocking;
use super::error::Refusal;
use super::json_body::JsonBody;
use super::model::{UpgradeOrder, Upgraded};
use crate::succession::Request;
use axum::Json;
use axum::http::StatusCode;
use std::time::Duration;
use tokio::sync::oneshot;

/// Most seconds that a new process may take to be ready.
const LONGEST: u64 = 600;

/// Starts the program anew, and leaves it the listeners once it is ready.
#[utoipa::path(post, path = "/v1/upgrade", operation_id = "upgrade", request_body = UpgradeOrder,
    responses((status = 200, description = "Done.", body = Upgraded), (status = 409, description = "Nothing has changed, and this process goes on serving; `why` says why.", body = Upgraded)))]
pub(super) async fn upgrade(
    context: State,
    author: Author,
    JsonBody(UpgradeOrder { wait_seconds, if_changed }): JsonBody<UpgradeOrder>,
) -> Result<(StatusCode, Json<Upgraded>), Refusal> {
    if wait_seconds.is_some_and(|seconds| seconds == 0 || seconds > LONGEST) {
        return Err(Refusal::bad(format!("`wait_seconds` is between 1 and {LONGEST}")));
    }
    if if_changed && !context.orders.program.is_another() {
        return Ok((StatusCode::OK, Json(Upgraded::default())));
    }
    let upgrades = context.orders.upgrades.clone();
    // Goes on and is recorded even if whoever asked does not wait.
    let asking = tokio::spawn(async move {
        let (answer, answered) = oneshot::channel();
        let patience = wait_seconds.map(Duration::from_secs);
        upgrades.send(Request { patience, answer }).await.ok()?;
        let upgraded = answered.await.ok()?;
        author.did("upgrade", "usher", if upgraded.is_ok() { "done" } else { "refused" });
        Some(upgraded)
    });
    match asking.await.ok().flatten() {
        Some(Ok(process)) => Ok((StatusCode::OK, Json(Upgraded { process: Some(process), why: None }))),
        Some(Err(why)) => Ok((StatusCode::CONFLICT, Json(Upgraded { process: None, why: Some(why) }))),
        None => Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "usher is stopping")),
    }
}

/// Reads again what is kept on the disk: another process has changed it.
#[utoipa::path(post, path = "/v1/look", operation_id = "look", responses((status = 204, description = "Done.")))]
pub(super) async fn look(context: State) -> Result<StatusCode, Refusal> {
    let context = context.0.clone();
    blocking(move || {
        // Whoever is on the way to a host by what was read before asks again.
        context.router.note_move();
        context.fleet.look()?;
        context.guessing.look().map_err(|error| Refusal::internal(&error))?;
        // A directory that cannot be read is reported where logins need it.
        let _ = context.router.sources.follow_changes();
        context.enforcer.look();
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
