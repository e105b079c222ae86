//! The API's own description.

use super::model::*;
use super::{backends, change, directory, error, explain, hosts, pages, sessions};
use crate::reload::Reloaded;
use axum::Json;
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    info(title = "usher", description = "The admin API of usher: hosts, holds, sessions, directory."),
    paths(
        pages::livez,
        pages::readyz,
        pages::metrics,
        pages::config,
        backends::status,
        backends::hosts,
        backends::host,
        backends::holds,
        change::drain,
        change::stop,
        change::start,
        change::reload,
        hosts::add,
        hosts::set,
        hosts::remove,
        sessions::list,
        sessions::kick,
        directory::list,
        directory::show,
        directory::set,
        directory::remove,
        directory::hold,
        directory::release,
        explain::explain,
    ),
    components(schemas(Status, Backend, Holds, Sessions, Entries, Explanation, Reloaded, error::Problem))
)]
struct Document;

/// The description, as OpenAPI.
pub(super) async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(Document::openapi())
}
