//! Moves of keys between hosts.

use super::audit::Author;
use super::change::blocking;
use super::directory::key;
use super::error::Refusal;
use super::json_body::JsonBody;
use super::model::{BulkMove, BulkMoveOrder, Count, MoveOrder, MoveState, MoveTest, Moves};
use super::{Context, State};
use crate::moves::{Bulk, BulkOrder, LoginTest, Move, Order};
use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use std::sync::Arc;
use tokio::runtime::Handle;
use usher_policy::ArchiveKey;
use usher_wire::secret::Secret;

/// Keys per second, unless the order says otherwise.
const RATE: u32 = 50;

/// The moves under way, and the latest that are over.
#[utoipa::path(get, path = "/v1/moves", operation_id = "listMoves", responses((status = 200, description = "Done.", body = Moves)))]
pub(super) async fn list(context: State) -> Json<Moves> {
    let moves = context.mover.moves().into_iter().map(view).collect();
    Json(Moves { moves, bulk: context.mover.bulk().map(|bulk| view_bulk(&bulk)) })
}

/// The latest move of a key.
#[utoipa::path(get, path = "/v1/moves/{key}", operation_id = "getMove", responses((status = 200, description = "Done.", body = MoveState), (status = 404, description = "Not found.")))]
pub(super) async fn show(context: State, Path(typed): Path<String>) -> Result<Json<MoveState>, Refusal> {
    let key = key(&context, &typed)?;
    let found = context.mover.latest(&key).map(view).map(Json);
    found.ok_or_else(|| Refusal::unknown(format!("{key} has not been moved lately")))
}

/// Moves a key: its logins wait, its sessions end, the directory changes, and its logins go on. With `prepare`, the rest is
/// left until it is asked to finish; it is undone if nobody says for half a minute that they are still there.
#[utoipa::path(post, path = "/v1/moves/{key}", operation_id = "move", request_body = MoveOrder,
    responses((status = 200, description = "Done, or prepared.", body = MoveState), (status = 404, description = "Not found."), (status = 409, description = "It is not possible now; `error` says why."), (status = 503, description = "How it has ended is not known, or cannot be saved yet: its logins wait."), (status = 507, description = "The disk is full; nothing has changed.")))]
pub(super) async fn begin(
    context: State,
    author: Author,
    Path(typed): Path<String>,
    JsonBody(MoveOrder { to, prepare, test }): JsonBody<MoveOrder>,
) -> Result<Json<MoveState>, Refusal> {
    let context = context.0.clone();
    blocking(move || {
        let order =
            Order { key: key(&context, &typed)?, to: to.to_ascii_lowercase(), by: author.name.clone() };
        author.did("move", &order.key.to_string(), &order.to);
        let test = test.map(login_test);
        let handle = Handle::current();
        match prepare {
            true => {
                handle.block_on(context.mover.begin(&order))?;
                context.mover.renew(&order.key)?;
            }
            false => handle.block_on(context.mover.carry_out(&order, test.as_ref()))?,
        }
        state(&context, &order.key)
    })
    .await
}

/// Whoever prepares a move is still there.
#[utoipa::path(post, path = "/v1/moves/{key}/renew", operation_id = "renewMove", responses((status = 204, description = "It goes on waiting."), (status = 404, description = "Not found.")))]
pub(super) async fn renew(context: State, Path(typed): Path<String>) -> Result<StatusCode, Refusal> {
    context.mover.renew(&key(&context, &typed)?)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends the sessions of a key that another process moves; whoever asks has held its logins.
#[utoipa::path(delete, path = "/v1/moves/{key}/sessions", operation_id = "endSessionsOfMove", responses((status = 200, description = "They have ended.", body = Count), (status = 404, description = "Not found."), (status = 409, description = "Some go on; `error` says how many.")))]
pub(super) async fn end_sessions(context: State, Path(typed): Path<String>) -> Result<Json<Count>, Refusal> {
    let key = key(&context, &typed)?;
    let count = context.mover.end_sessions_here(&key).await?;
    Ok(Json(Count { count }))
}

/// Finishes a move that was prepared, or undoes it if the new host is not fit or the test login fails there.
#[utoipa::path(post, path = "/v1/moves/{key}/finish", operation_id = "finishMove", request_body = MoveTest,
    responses((status = 200, description = "Done.", body = MoveState), (status = 404, description = "Not found."), (status = 409, description = "It has been undone; `error` says why."), (status = 503, description = "How it has ended is not known, or cannot be saved yet: its logins wait.")))]
pub(super) async fn finish(
    context: State,
    author: Author,
    Path(typed): Path<String>,
    JsonBody(test): JsonBody<MoveTest>,
) -> Result<Json<MoveState>, Refusal> {
    let context = context.0.clone();
    blocking(move || {
        let key = key(&context, &typed)?;
        let test = (!test.user.is_empty()).then(|| login_test(test));
        author.did("finish move", &key.to_string(), "");
        Handle::current().block_on(context.mover.finish(&key, test.as_ref(), &author.name))?;
        state(&context, &key)
    })
    .await
}

/// Undoes a move that was prepared.
#[utoipa::path(delete, path = "/v1/moves/{key}", operation_id = "undoMove",
    responses((status = 200, description = "Done.", body = MoveState), (status = 404, description = "Not found."), (status = 503, description = "How it has ended is not known, or cannot be saved yet: its logins wait.")))]
pub(super) async fn undo(
    context: State,
    author: Author,
    Path(typed): Path<String>,
) -> Result<Json<MoveState>, Refusal> {
    let context = context.0.clone();
    blocking(move || {
        let key = key(&context, &typed)?;
        author.did("undo move", &key.to_string(), "");
        context.mover.undo(&key, "whoever has begun it wants it undone")?;
        state(&context, &key)
    })
    .await
}

/// Moves the keys on one host to another, in the background.
#[utoipa::path(post, path = "/v1/moves", operation_id = "moveMany", request_body = BulkMoveOrder,
    responses((status = 200, description = "Listed.", body = BulkMove), (status = 202, description = "Accepted: it continues in the background.", body = BulkMove), (status = 404, description = "Not found."), (status = 409, description = "It is not possible now; `error` says why.")))]
pub(super) async fn begin_many(
    context: State,
    author: Author,
    JsonBody(order): JsonBody<BulkMoveOrder>,
) -> Result<(StatusCode, Json<BulkMove>), Refusal> {
    let context = context.0.clone();
    blocking(move || {
        let BulkMoveOrder { from, to, matching, rate, only_list } = order;
        let active = context.config.load_full();
        let order = BulkOrder {
            from: from.to_ascii_lowercase(),
            to: to.to_ascii_lowercase(),
            matching: matching.map(|written| active.snapshot.domains.pattern(&written)),
            rate: rate.unwrap_or(RATE),
            by: author.name.clone(),
        };
        if only_list {
            let keys = context.mover.keys(&order.from, order.matching.as_ref())?;
            let keys: Vec<_> = keys.iter().map(ToString::to_string).collect();
            let (total, from, to) = (keys.len(), order.from, order.to);
            let listed = BulkMove { from, to, total, is_over: true, keys, ..BulkMove::default() };
            return Ok((StatusCode::OK, Json(listed)));
        }
        author.did("move many", &order.from, &order.to);
        let bulk = context.mover.begin_bulk(order)?;
        Ok((StatusCode::ACCEPTED, Json(view_bulk(&bulk))))
    })
    .await
}

/// Moves no more than what is under way.
#[utoipa::path(delete, path = "/v1/moves", operation_id = "stopMoving", responses((status = 204, description = "Done."), (status = 404, description = "Not found.")))]
pub(super) async fn stop_many(context: State, author: Author) -> Result<StatusCode, Refusal> {
    let bulk = context.mover.bulk().ok_or_else(|| Refusal::unknown("nothing is being moved".to_owned()))?;
    author.did("stop moving", &bulk.from, &bulk.to);
    bulk.stop();
    Ok(StatusCode::NO_CONTENT)
}

fn login_test(mut test: MoveTest) -> LoginTest {
    let (user, password) = (std::mem::take(&mut test.user), std::mem::take(&mut test.password));
    LoginTest::new(user, Secret::from(password.into_bytes()))
}

fn state(context: &Context, key: &ArchiveKey) -> Result<Json<MoveState>, Refusal> {
    let found = context.mover.latest(key).map(view).map(Json);
    found.ok_or_else(|| Refusal::unknown(format!("{key} is not being moved")))
}

fn view(one: Move) -> MoveState {
    let Move { key, from, to, phase, ended, why } = one;
    MoveState { key: key.to_string(), from, to, phase: phase.name().to_owned(), ended_sessions: ended, why }
}

fn view_bulk(bulk: &Arc<Bulk>) -> BulkMove {
    let (moved, failed) = bulk.counts();
    BulkMove {
        from: bulk.from.clone(),
        to: bulk.to.clone(),
        total: bulk.total,
        moved,
        failed,
        is_over: bulk.is_over(),
        failures: bulk.failures(),
        keys: Vec::new(),
    }
}
