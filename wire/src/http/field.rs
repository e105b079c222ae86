//! Values of fields, in whichever version they come.

/// Whether `value` begins or ends with a blank. HTTP/1 takes the blanks off; in HTTP/2 such a value is malformed
/// (RFC 9113 section 8.2.1), because whoever takes them off reads another value than whoever does not.
pub fn ends_in_blanks(value: &[u8]) -> bool {
    let is_blank = |b: Option<&u8>| matches!(b, Some(b' ' | b'\t'));
    is_blank(value.first()) || is_blank(value.last())
}
