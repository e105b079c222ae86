//! A request as HTTP/1.1 writes it (RFC 9112).

use super::coding::{Coding, write_field};
use http::HeaderValue;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::request::Parts;
use http_body::Body;

/// Room for a head as most are.
const HEAD: usize = 1024;

/// Appends the head of a request with this body to `out`, and `fields` to its own. Returns what is still to be sent.
pub(super) fn encode_head<B: Body>(
    parts: &mut Parts,
    fields: &[u8],
    body: B,
    out: &mut Vec<u8>,
) -> Option<(B, Coding)> {
    let headers = &mut parts.headers;
    let is_empty = body.is_end_stream();
    let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let coding = match declared.or_else(|| body.size_hint().exact()) {
        _ if is_empty => {
            headers.remove(TRANSFER_ENCODING);
            Coding::Sized(0)
        }
        Some(length) if !headers.contains_key(TRANSFER_ENCODING) => {
            headers.entry(CONTENT_LENGTH).or_insert_with(|| length.into());
            Coding::Sized(length)
        }
        _ => {
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            headers.remove(CONTENT_LENGTH);
            Coding::chunked(headers, true)
        }
    };
    out.reserve(HEAD);
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    for part in [parts.method.as_str(), " ", target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    for (name, value) in &parts.headers {
        write_field(name.as_str(), value.as_bytes(), out);
    }
    out.extend_from_slice(fields);
    out.extend_from_slice(b"\r\n");
    (!is_empty).then_some((body, coding))
}
