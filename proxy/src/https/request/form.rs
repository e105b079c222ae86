//! The user's name in a posted login form or JSON object, read without consuming the body.

use crate::https::message::body::RequestBody;
use crate::https::message::refusal::Refusal;
use crate::https::request::pairs::{AMBIGUOUS, is_ambiguous, one_of};
use crate::json;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;

/// Longest body that is read ahead, in bytes. A longer one is no login.
const CAP: usize = 64 * 1024;

/// How the body is written.
enum Kind {
    /// `application/x-www-form-urlencoded`.
    UrlEncoded,
    /// `application/json`.
    Json,
}

/// The value of `field` in the body; `None` if the body is not a form.
///
/// # Errors
/// If the body breaks off, or contains two different names.
pub(crate) async fn read(
    parts: &Parts,
    body: &mut RequestBody,
    field: &str,
) -> Result<Option<String>, Refusal> {
    let Some(kind) = kind(parts) else { return Ok(None) };
    let Some(text) = body.read_ahead(CAP).await.map_err(Refusal::from)? else { return Ok(None) };
    Ok(match kind {
        Kind::UrlEncoded if is_ambiguous(&text, field) => return Err(AMBIGUOUS),
        Kind::UrlEncoded => one_of(&text, field),
        Kind::Json => json::text_of(&text, field).map_err(|json::Doubled| AMBIGUOUS)?,
    })
}

fn kind(parts: &Parts) -> Option<Kind> {
    if parts.headers.contains_key(CONTENT_ENCODING) {
        return None;
    }
    let kind = parts.headers.get(CONTENT_TYPE)?.to_str().ok()?;
    match kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "application/x-www-form-urlencoded" => Some(Kind::UrlEncoded),
        "application/json" => Some(Kind::Json),
        _ => None,
    }
}
