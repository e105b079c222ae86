//! More of the log for a while.

use super::State;
use super::audit::Author;
use super::error::Refusal;
use super::json_body::JsonBody;
use super::model::{LogLevel, LogLevelOrder};
use crate::log::{self, Whose};
use crate::succession::Answer;
use axum::Json;
use axum::http::{Method, StatusCode};
use serde_json::Value;
use std::time::{Duration, Instant};
use tracing::level_filters::LevelFilter;

/// Longest time, in seconds: what is forgotten must not fill the disk.
const LONGEST: u64 = 24 * 60 * 60;

/// What more is logged now than usually.
#[utoipa::path(get, path = "/v1/log-level", operation_id = "getLogLevel", responses((status = 200, description = "Done.", body = LogLevel)))]
pub(super) async fn show() -> Json<LogLevel> {
    let raised = log::raised();
    Json(match raised {
        None => LogLevel::default(),
        Some(raised) => LogLevel {
            level: Some(raised.level.to_string().to_lowercase()),
            seconds: raised.until.saturating_duration_since(Instant::now()).as_secs(),
            user: raised.of.user.clone(),
            client: raised.of.client,
            host: raised.of.host.clone(),
        },
    })
}

/// Logs more for a while: of everything, or of one user, client or host.
#[utoipa::path(post, path = "/v1/log-level", operation_id = "raiseLogLevel", request_body = LogLevelOrder,
    responses((status = 204, description = "Done."), (status = 400, description = "The request is invalid; `error` says why.")))]
pub(super) async fn raise(
    context: State,
    author: Author,
    JsonBody(order): JsonBody<LogLevelOrder>,
) -> Result<StatusCode, Refusal> {
    let level = match order.level.as_str() {
        "debug" => LevelFilter::DEBUG,
        "trace" => LevelFilter::TRACE,
        _ => return Err(Refusal::bad("`level` is debug or trace")),
    };
    if order.seconds == 0 || order.seconds > LONGEST {
        return Err(Refusal::bad(format!("`seconds` is between 1 and {LONGEST}")));
    }
    // As the log writes names.
    let domains = &context.config.load().snapshot.domains;
    let written = |user: &String| domains.written(user).map_or_else(|| user.clone(), |key| key.to_string());
    let of = Whose {
        user: order.user.as_ref().map(written),
        client: order.client.map(|client| client.to_canonical()),
        host: order.host.as_ref().map(|host| host.to_ascii_lowercase()),
    };
    log::raise(level, Duration::from_secs(order.seconds), of);
    let on = [order.user.clone(), order.client.map(|client| client.to_string()), order.host.clone()];
    let on: Vec<_> = on.into_iter().flatten().collect();
    author.did("log-level", &on.join(" "), &format!("{} for {} s", order.level, order.seconds));
    context.tell_formers("/v1/log-level", &order, &author.name).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Logs as usual again.
#[utoipa::path(delete, path = "/v1/log-level", operation_id = "lowerLogLevel", responses((status = 204, description = "Done.")))]
pub(super) async fn lower(context: State, author: Author) -> StatusCode {
    log::lower();
    author.did("log-level", "", "as usual");
    let _: Vec<Answer<Value>> = context.ask_formers(Method::DELETE, "/v1/log-level", &author.name).await;
    StatusCode::NO_CONTENT
}
