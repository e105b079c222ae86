//! The API's own description.

use super::model::*;
use super::{
    backends, bans, certificates, change, changes, console, directory, error, explain, hosts, keys,
    log_level, moves, pages, rules, sessions, sources,
};
use crate::reload::Reloaded;
use axum::Json;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Content, Ref, ResponseBuilder};
use utoipa::{Modify, OpenApi};

#[derive(OpenApi)]
#[openapi(
    info(title = "usher", description = "The admin API of usher: hosts, holds, sessions, directory."),
    paths(
        pages::livez,
        pages::readyz,
        pages::metrics,
        pages::config,
        pages::config_text,
        backends::status,
        backends::hosts,
        backends::host,
        backends::holds,
        changes::list,
        console::live::events,
        keys::me,
        sources::list,
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
        directory::note,
        directory::duplicates,
        moves::list,
        moves::show,
        moves::begin,
        moves::renew,
        moves::finish,
        moves::undo,
        moves::begin_many,
        moves::stop_many,
        rules::list,
        rules::test,
        rules::replay,
        bans::list,
        bans::ban,
        bans::unban,
        certificates::list,
        log_level::show,
        log_level::raise,
        log_level::lower,
        explain::explain,
    ),
    modifiers(&Everywhere),
    components(schemas(Status, Backend, Holds, Sessions, Entries, Explanation, Reloaded, error::Problem))
)]
struct Document;

/// What applies to every operation.
struct Everywhere;

impl Modify for Everywhere {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let token = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document.components.get_or_insert_default().add_security_scheme("token", token);
        // Over TCP the token is required; over the socket, whoever may open it may ask.
        let none = SecurityRequirement::default();
        document.security = Some(vec![SecurityRequirement::new("token", Vec::<String>::new()), none]);
        let refused = || {
            ResponseBuilder::new()
                .description("The request was refused; `error` says why.")
                .content("application/json", Content::new(Some(Ref::from_schema_name("Problem"))))
                .build()
        };
        for item in document.paths.paths.values_mut() {
            let operations =
                [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
            for operation in operations.into_iter().flatten() {
                operation.responses.responses.insert("default".to_owned(), refused().into());
            }
        }
    }
}

/// The description, as OpenAPI.
pub(super) async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(Document::openapi())
}
