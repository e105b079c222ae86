//! Field lines, and what they say about the length of a body (RFC 9112 sections 5 and 6).

use super::Fault;
use crate::http::field::{content_length, is_token_octet, is_value};

/// One field line; the value without the white space around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field<'h> {
    pub(super) name: &'h [u8],
    pub(super) value: &'h [u8],
}

impl Field<'_> {
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The elements of a list, trimmed; empty ones are included.
    pub(super) fn elements(&self) -> impl Iterator<Item = &[u8]> {
        self.value.split(|b| *b == b',').map(<[u8]>::trim_ascii)
    }
}

/// Where the names and the values of fields are within `head`, as it is read.
#[derive(Debug)]
pub(super) struct Places(Vec<[u32; 4]>);

impl Places {
    /// With room for as many as most heads have.
    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(16))
    }

    pub(super) fn note(&mut self, head: &[u8], field: &Field<'_>) {
        // A head has a cap far below what fits.
        let at = |part: &[u8]| (part.as_ptr().addr() - head.as_ptr().addr()) as u32;
        let (name, value) = (at(field.name), at(field.value));
        self.0.push([name, name + field.name.len() as u32, value, value + field.value.len() as u32]);
    }

    pub(super) fn into_inner(self) -> Vec<[u32; 4]> {
        self.0
    }
}

/// Reads a line without its CRLF.
pub(super) fn field(line: &[u8]) -> Result<Field<'_>, Fault> {
    if line.first().is_some_and(|b| matches!(b, b' ' | b'\t')) {
        return Err(Fault::Malformed("folded-field"));
    }
    let colon = memchr::memchr(b':', line).ok_or(Fault::Malformed("field"))?;
    let (name, rest) = line.split_at(colon);
    if name.is_empty() || !name.iter().all(|b| is_token_octet(*b)) {
        return Err(Fault::Malformed("field-name"));
    }
    let value = rest.get(1..).unwrap_or_default();
    if !is_value(value) {
        return Err(Fault::Malformed("field-value"));
    }
    Ok(Field { name, value: value.trim_ascii() })
}

/// Reads the lines of `block`, each with its CRLF: at most `cap` of them.
pub(super) fn fields(block: &[u8], cap: usize) -> impl Iterator<Item = Result<Field<'_>, Fault>> {
    let mut rest = block;
    let mut count = 0;
    std::iter::from_fn(move || {
        let end = memchr::memchr(b'\n', rest)?;
        let (line, after) = rest.split_at(end + 1);
        rest = after;
        count += 1;
        if count > cap {
            return Some(Err(Fault::HeadTooLarge));
        }
        Some(field(line.strip_suffix(b"\r\n").unwrap_or(line)))
    })
}

/// What a head says about the length of its body.
#[derive(Debug, Default)]
pub(super) struct Lengths {
    pub(super) sized: Option<u64>,
    pub(super) chunked: bool,
}

impl Lengths {
    /// Takes framing fields into account. Each may appear once, but not both.
    pub(super) fn note(&mut self, field: &Field<'_>) -> Result<(), Fault> {
        if field.is("content-length") {
            let length = content_length(field.value).ok_or(Fault::Malformed("content-length"))?;
            if self.sized.replace(length).is_some() {
                return Err(Fault::Malformed("content-length-twice"));
            }
        } else if field.is("transfer-encoding") {
            if self.chunked {
                return Err(Fault::Malformed("transfer-encoding-twice"));
            }
            if !field.value.eq_ignore_ascii_case(b"chunked") {
                return Err(coding(field));
            }
            self.chunked = true;
        }
        if self.chunked && self.sized.is_some() {
            return Err(Fault::Malformed("two-lengths"));
        }
        Ok(())
    }
}

/// Why a transfer coding is refused: it is malformed, or unknown here.
fn coding(field: &Field<'_>) -> Fault {
    let is_known = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let mut elements = field.elements().peekable();
    let mut unknown = false;
    while let Some(element) = elements.next() {
        let is_last = elements.peek().is_none();
        let is_token = !element.is_empty() && element.iter().all(|b| is_token_octet(*b));
        if !is_token || element.eq_ignore_ascii_case(b"identity") || (is_known(element) && !is_last) {
            return Fault::Malformed("transfer-encoding");
        }
        unknown |= !is_known(element);
    }
    if unknown { Fault::Coding } else { Fault::Malformed("transfer-encoding") }
}
