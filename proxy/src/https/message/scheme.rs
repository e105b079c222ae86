//! Schemes of credentials and challenges (RFC 9110 section 11), parsed the same way everywhere.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

/// The scheme at the beginning of `value`, and what follows it, both without surrounding blanks.
pub(crate) fn split(value: &[u8]) -> (&[u8], &[u8]) {
    let value = value.trim_ascii();
    let end = value.iter().position(|b| matches!(b, b' ' | b'\t')).unwrap_or(value.len());
    let (scheme, rest) = value.split_at(end);
    (scheme, rest.trim_ascii())
}

/// Whether credentials log in on their connection (RFC 4559, and NTLM).
fn logs_in_on_connection(value: &HeaderValue) -> bool {
    is_of_connection(split(value.as_bytes()).0)
}

/// Whether a request logs in on its connection.
pub(crate) fn is_connection_login(headers: &HeaderMap) -> bool {
    headers.get_all(AUTHORIZATION).iter().any(logs_in_on_connection)
}

/// Whether one of the challenges asks for such a login: a field may have several (RFC 9110 section 11.6.1).
pub(crate) fn asks_for_connection(value: &HeaderValue) -> bool {
    value.as_bytes().split(|b| *b == b',').any(|challenge| is_of_connection(split(challenge).0))
}

fn is_of_connection(scheme: &[u8]) -> bool {
    ["ntlm", "negotiate", "nego2", "kerberos"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known.as_bytes()))
}
