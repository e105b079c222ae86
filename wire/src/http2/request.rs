//! What a request must be, by RFC 9113 section 8.

use super::hpack::Fields;
use crate::http::field::{content_length, is_token_octet, is_value};
use std::ops::Range;

/// The head of a request.
#[derive(Debug)]
pub struct RequestHead {
    /// Its fields, without those that begin with a colon; the bytes are those of all of them.
    pub fields: Fields,
    /// Where `:method` is.
    pub method: Range<usize>,
    /// Where `:scheme` is.
    pub scheme: Option<Range<usize>>,
    /// Where `:authority` is.
    pub authority: Option<Range<usize>>,
    /// Where `:path` is.
    pub path: Option<Range<usize>>,
    /// Where `:protocol` is (RFC 8441 section 4).
    pub protocol: Option<Range<usize>>,
    /// The length of its body, where it says one.
    pub(super) length: Option<u64>,
}

/// A message that breaks the rules (section 8.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Fields of one connection, which HTTP/2 has none of (section 8.2.2).
const OF_A_CONNECTION: [&[u8]; 5] =
    [b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"];

impl RequestHead {
    /// Reads it from `fields`.
    pub(super) fn read(mut fields: Fields) -> Result<Self, Malformed> {
        let [mut method, mut scheme, mut authority, mut path, mut protocol] = [const { None }; 5];
        let mut count = 0;
        for ((name, value), (_, place)) in fields.iter().zip(fields.places()) {
            let slot = match name {
                b":method" => &mut method,
                b":scheme" => &mut scheme,
                b":authority" => &mut authority,
                b":path" => &mut path,
                b":protocol" => &mut protocol,
                _ => break,
            };
            if slot.replace(place).is_some() || !is_value(value) {
                return Err(Malformed);
            }
            count += 1;
        }
        fields.skip(count);
        let length = check(&fields)?;
        let method = method.ok_or(Malformed)?;
        let connects = fields.bytes.get(method.clone()) == Some(b"CONNECT");
        // A plain CONNECT names nothing but an authority (section 8.5); all others name a scheme and a path.
        let is_complete = match connects && protocol.is_none() {
            true => authority.is_some() && scheme.is_none() && path.is_none(),
            false => scheme.is_some() && path.as_ref().is_some_and(|path| !path.is_empty()),
        };
        if !is_complete || (protocol.is_some() && !connects) {
            return Err(Malformed);
        }
        Ok(Self { fields, method, scheme, authority, path, protocol, length })
    }
}

/// Checks fields that are none of those above, and returns the length that they say.
pub(super) fn check(fields: &Fields) -> Result<Option<u64>, Malformed> {
    let mut length = None;
    for (name, value) in fields.iter() {
        let is_name = !name.is_empty() && name.iter().all(|b| is_token_octet(*b) && !b.is_ascii_uppercase());
        let is_foreign =
            OF_A_CONNECTION.contains(&name) || (name == b"te" && !value.eq_ignore_ascii_case(b"trailers"));
        if !is_name || !is_value(value) || is_foreign {
            return Err(Malformed);
        }
        if name == b"content-length" {
            let said = content_length(value).ok_or(Malformed)?;
            if length.replace(said).is_some_and(|former| former != said) {
                return Err(Malformed);
            }
        }
    }
    Ok(length)
}
