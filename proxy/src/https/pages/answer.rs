//! What clients are told when usher itself answers: a status, and a few words in the format that they accept.

use crate::https::message::fields::X_REQUEST_ID;
use crate::https::message::refusal::{NO_TOKEN, Refusal};
use crate::https::response::ResponseBody;
use bytes::Bytes;
use http::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

/// Seconds after which whoever was sent away may come back.
const RETRY: u32 = 5;

/// The answer to a refused request, in the format that the client accepts. `realm` is who asks for a password.
pub(crate) fn refused(refusal: Refusal, form: Form, id: &str, realm: &str) -> Response<ResponseBody> {
    let words = words(refusal.status);
    let code = refusal.status.as_u16();
    let (kind, body) = match form {
        Form::Json => (
            "application/json",
            format!("{{\"status\":{code},\"error\":\"{words}\",\"request\":\"{id}\"}}\n"),
        ),
        Form::Html => ("text/html; charset=utf-8", page(code, words, id)),
    };
    let mut response = Response::new(ResponseBody::of(Bytes::from(body.clone())));
    *response.status_mut() = refusal.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(X_REQUEST_ID, id);
    }
    let retry = refusal.retry.or(matches!(code, 502..=504).then_some(RETRY));
    if let Some(seconds) = retry {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if code == 401 {
        let challenge = match refusal.cause {
            NO_TOKEN => format!("Bearer realm=\"{realm}\""),
            _ => format!("Basic realm=\"{realm}\", charset=\"UTF-8\""),
        };
        if let Ok(challenge) = HeaderValue::from_str(&challenge) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
    }
    if code == 405 {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    }
    response
}

/// The format that a client accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Html,
    Json,
}

impl Form {
    /// The format that `Accept` gives more weight, or that it names first if both weigh the same; HTML for clients that
    /// accept anything (RFC 9110 section 12.5.1).
    pub(crate) fn accepted(headers: &HeaderMap) -> Self {
        let accepts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut best = (Self::Html, 0.0);
        for range in accepts.flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default();
            let is = |known: &str| kind.eq_ignore_ascii_case(known);
            let suffix = kind.rsplit_once('+').map_or("", |(_, suffix)| suffix);
            let form = if is("text/html") || is("application/xhtml+xml") {
                Self::Html
            } else if is("application/json") || suffix.eq_ignore_ascii_case("json") {
                Self::Json
            } else {
                continue;
            };
            let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
            if weight > best.1 {
                best = (form, weight);
            }
        }
        best.0
    }
}

fn words(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "A user name and a password are needed.",
        404 => "There is nothing here.",
        408 => "The request took too long.",
        413 => "The request is too large.",
        429 => "There have been too many logins. Please try again later.",
        421 => "This connection is for a different host name.",
        502 => "The server behind this one gave an invalid answer.",
        503 => "The server is not available at the moment. Please try again.",
        504 => "The server behind this one did not answer in time.",
        _ => status.canonical_reason().unwrap_or("The request cannot be served."),
    }
}

fn page(code: u16, words: &str, id: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{code}</title>\
         <body style=\"font-family:sans-serif;margin:4em auto;max-width:32em\">\
         <h1>{code}</h1><p>{words}</p><p><small>Request {id}</small></p></body></html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_that_weighs_more() {
        for (accept, expected) in [
            ("", Form::Html),
            ("*/*", Form::Html),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Form::Html),
            ("application/json", Form::Json),
            ("application/problem+json", Form::Json),
            ("application/json;q=0.9, text/html", Form::Html),
            ("text/html;q=0.5, application/json; q=0.6", Form::Json),
            ("application/json, text/html", Form::Json),
            ("application/json;q=0", Form::Html),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(Form::accepted(&headers), expected, "{accept}");
        }
    }
}
