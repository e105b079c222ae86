//! Who is asked where an archive is.

use super::change::blocking;
use super::error::Refusal;
use super::model::{Source, Sources};
use super::{Context, State};
use axum::Json;
use std::time::UNIX_EPOCH;
use usher_backends::sources::Health;

/// The directory's sources, in the order in which they are asked.
#[utoipa::path(get, path = "/v1/sources", operation_id = "listSources", responses((status = 200, description = "Done.", body = Sources)))]
pub(super) async fn list(context: State) -> Result<Json<Sources>, Refusal> {
    let context = context.0.clone();
    blocking(move || {
        let mut sources = standing(&context);
        let written = sources.iter_mut().find(|source| source.is_writable);
        if let Some(source) = written.filter(|source| source.error.is_none()) {
            let counted = context.directory.count();
            source.error = counted.as_ref().err().map(ToString::to_string);
            source.entries = counted.ok();
        }
        Ok(Json(Sources { sources }))
    })
    .await
}

/// How each of them is, without asking it.
pub(super) fn standing(context: &Context) -> Vec<Source> {
    let standings = context.router.sources.standings().into_iter();
    let sources = standings.map(|standing| {
        let is_within = standing.health.is_none();
        let (error, since) = match standing.health {
            Some(Health::Down { since, why }) => (Some(why), Some(since)),
            Some(Health::Unknown | Health::Up) | None => (None, None),
        };
        Source {
            name: standing.name.to_owned(),
            is_writable: standing.name == context.directory.name(),
            is_stale: standing.is_stale || is_within && context.metrics.is_directory_stale(),
            entries: None,
            error,
            down_since: since.and_then(|since| Some(since.duration_since(UNIX_EPOCH).ok()?.as_secs())),
            remembered: (!is_within).then_some(standing.remembered),
        }
    });
    sources.collect()
}
