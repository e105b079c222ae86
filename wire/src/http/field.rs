//! Values of header fields, in every version of HTTP.

/// Whether `value` begins or ends with a blank. HTTP/1 strips such blanks. In HTTP/2 such a value is malformed (RFC
/// 9113 section 8.2.1), because a recipient that strips them sees a different value from one that does not.
pub fn ends_in_blanks(value: &[u8]) -> bool {
    let is_blank = |b: Option<&u8>| matches!(b, Some(b' ' | b'\t'));
    is_blank(value.first()) || is_blank(value.last())
}
