//! The console: pages for people, which ask this API for everything that they show.
//!
//! They keep the token in the tab that it was typed into and send it as a header with each request, so no browser does
//! anything for another page by itself: there is no cookie.

mod history;
pub(super) mod live;

pub(super) use live::{Live, events, watch_over};

use axum::extract::Path;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Scripts and styles of this place alone, nothing inline, no frames, no forms to elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'";

const PAGE: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// A file of the console, as it is in the program.
macro_rules! file {
    ($name:literal, $kind:ident) => {
        ($name, $kind, include_str!(concat!("files/", $name)))
    };
}

/// Everything that a browser loads after the page itself.
const FILES: &[(&str, &str, &str)] = &[
    file!("console.css", STYLE),
    file!("main.js", SCRIPT),
    file!("api.js", SCRIPT),
    file!("feed.js", SCRIPT),
    file!("parts.js", SCRIPT),
    file!("fleet.js", SCRIPT),
    file!("host.js", SCRIPT),
    file!("user.js", SCRIPT),
    file!("sessions.js", SCRIPT),
    file!("directory.js", SCRIPT),
    file!("certificates.js", SCRIPT),
    file!("changes.js", SCRIPT),
    file!("configuration.js", SCRIPT),
    file!("lit-html/lit-html.js", SCRIPT),
    file!("lit-html/directive.js", SCRIPT),
    file!("lit-html/directive-helpers.js", SCRIPT),
    file!("lit-html/directives/repeat.js", SCRIPT),
];

/// Whether the console itself has `path`, which is for everybody: there is nothing of this usher in it.
pub(super) fn has(path: &str) -> bool {
    path == "/" || path.starts_with("/console/")
}

/// The page.
pub(super) async fn page() -> Response {
    served(PAGE, include_str!("files/index.html"))
}

/// One of the page's files.
pub(super) async fn file(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(known, ..)| *known == name) {
        Some((_, kind, text)) => served(kind, text),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn served(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        // Another version of usher has other files under the same names.
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    (headers, text).into_response()
}
