//! What clients are told where usher itself answers: a status, and a few words in the form that they take.

use super::fields::X_REQUEST_ID;
use super::response::ResponseBody;
use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

/// Seconds after which whoever was sent away may come back.
const RETRY: u16 = 5;

/// Why usher answers itself. For clients only; operators read more in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// A word of a closed set, for logs and labels.
    pub(super) cause: &'static str,
}

impl Refusal {
    pub(super) const fn new(status: StatusCode, cause: &'static str) -> Self {
        Self { status, cause }
    }

    /// The server that is meant cannot be reached now.
    pub(super) const fn unavailable(cause: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, cause)
    }

    /// The response, for a client that sent `headers`. `realm` is who asks for a password.
    pub(super) fn response(self, headers: &HeaderMap, id: &str, realm: &str) -> Response<ResponseBody> {
        let words = words(self.status);
        let code = self.status.as_u16();
        let (kind, body) = match form(headers) {
            Form::Json => (
                "application/json",
                format!("{{\"status\":{code},\"error\":\"{words}\",\"request\":\"{id}\"}}\n"),
            ),
            Form::Html => ("text/html; charset=utf-8", page(code, words, id)),
            Form::Text => ("text/plain; charset=utf-8", format!("{code} {words}\nrequest {id}\n")),
        };
        let mut response = Response::new(ResponseBody::of(Bytes::from(body.clone())));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(id) = HeaderValue::from_str(id) {
            headers.insert(X_REQUEST_ID, id);
        }
        if matches!(code, 502..=504) {
            headers.insert(RETRY_AFTER, HeaderValue::from(RETRY));
        }
        if code == 401 {
            let challenge = format!("Basic realm=\"{realm}\", charset=\"UTF-8\"");
            if let Ok(challenge) = HeaderValue::from_str(&challenge) {
                headers.insert(WWW_AUTHENTICATE, challenge);
            }
        }
        response
    }
}

/// The form that a client takes.
enum Form {
    Html,
    Json,
    Text,
}

/// By the first of the known types that `Accept` names (RFC 9110 section 12.5.1).
fn form(headers: &HeaderMap) -> Form {
    let accepts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    for range in accepts.flat_map(|value| value.split(',')) {
        let kind = range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if kind == "text/html" || kind == "application/xhtml+xml" {
            return Form::Html;
        }
        if kind == "application/json" || kind.ends_with("+json") {
            return Form::Json;
        }
    }
    Form::Text
}

fn words(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "A user name and a password are needed.",
        404 => "There is nothing here.",
        408 => "The request took too long.",
        413 => "The request is too large.",
        421 => "This connection is for another name.",
        502 => "The server behind this one gave no answer that can be passed on.",
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
