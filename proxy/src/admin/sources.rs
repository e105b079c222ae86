//! Who is asked where an archive is.

use super::State;
use super::change::blocking;
use super::error::Refusal;
use super::model::{Source, Sources};
use axum::Json;

/// The directory's sources, in the order in which they are asked.
#[utoipa::path(get, path = "/v1/sources", operation_id = "listSources", responses((status = 200, description = "Done.", body = Sources)))]
pub(super) async fn list(context: State) -> Result<Json<Sources>, Refusal> {
    let context = context.0.clone();
    blocking(move || {
        let counted = context.directory.count();
        Ok(Json(Sources {
            sources: vec![Source {
                name: "embedded".to_owned(),
                is_writable: true,
                is_stale: context.metrics.is_directory_stale(),
                error: counted.as_ref().err().map(ToString::to_string),
                entries: counted.ok(),
            }],
        }))
    })
    .await
}
