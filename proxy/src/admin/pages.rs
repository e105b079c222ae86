//! Health for load balancers, metrics for Prometheus, and the configuration that is in force.

use super::State;
use super::change::blocking;
use super::error::Refusal;
use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde_json::Value;

/// Whether the process is alive.
#[utoipa::path(get, path = "/livez", operation_id = "livez", responses((status = 200, description = "Done.")))]
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// Whether usher accepts connections; fails as soon as it is stopping.
#[utoipa::path(get, path = "/readyz", operation_id = "readyz", responses((status = 200, description = "Done."), (status = 503, description = "usher is stopping.")))]
pub(super) async fn readyz(context: State) -> (StatusCode, &'static str) {
    match context.shutdown.is_announced() {
        true => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        false => (StatusCode::OK, "ok\n"),
    }
}

/// Metrics in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", responses((status = 200, description = "Done.", content_type = "text/plain")))]
pub(super) async fn metrics(context: State) -> Result<impl IntoResponse, Refusal> {
    let context = context.0.clone();
    // It walks through all sessions and hosts.
    let page = blocking(move || Ok(context.scrape())).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page))
}

/// The active configuration as it was read from its file.
#[utoipa::path(get, path = "/v1/config/text", operation_id = "getConfigText", responses((status = 200, description = "Done.", body = String, content_type = "text/plain")))]
pub(super) async fn config_text(context: State) -> String {
    context.config.load().text.to_string()
}

/// The active configuration, with all defaults. It names files that contain secrets, and contains none itself.
#[utoipa::path(get, path = "/v1/config", operation_id = "getConfig", responses((status = 200, description = "Done.", body = Object)))]
pub(super) async fn config(context: State) -> Json<Value> {
    Json(serde_json::to_value(&context.config.load().snapshot).unwrap_or(Value::Null))
}
