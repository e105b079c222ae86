//! Names and values of fields, in every version of HTTP.

/// Whether `value` begins or ends with a blank. HTTP/1 strips such blanks. In HTTP/2 such a value is malformed (RFC
/// 9113 section 8.2.1), because a recipient that strips them sees a different value from one that does not.
pub fn ends_in_blanks(value: &[u8]) -> bool {
    let is_blank = |b: Option<&u8>| matches!(b, Some(b' ' | b'\t'));
    is_blank(value.first()) || is_blank(value.last())
}

/// For every byte, whether it may stand in a token (RFC 9110 section 5.6.2).
const TOKEN: [bool; 256] = {
    let mut token = [false; 256];
    let mut b = 0;
    while b < 256 {
        token[b] = (b as u8).is_ascii_alphanumeric();
        b += 1;
    }
    let others = b"!#$%&'*+-.^_`|~";
    let mut at = 0;
    while at < others.len() {
        token[others[at] as usize] = true;
        at += 1;
    }
    token
};

pub(crate) fn is_token_octet(b: u8) -> bool {
    TOKEN[usize::from(b)]
}

/// Whether `value` has no control characters but tabs.
pub(crate) fn is_value(value: &[u8]) -> bool {
    // Without an early exit, so that many bytes are checked at a time.
    !value.iter().fold(false, |found, b| found | ((*b < b' ') & (*b != b'\t')) | (*b == 0x7f))
}

/// Parses `Content-Length`: decimal digits without leading zeros, at most 2^63 - 1.
pub fn content_length(value: &[u8]) -> Option<u64> {
    let plain = !value.is_empty()
        && value.iter().all(u8::is_ascii_digit)
        && (value.len() == 1 || !value.starts_with(b"0"));
    let text = std::str::from_utf8(value).ok().filter(|_| plain)?;
    text.parse::<u64>().ok().filter(|length| i64::try_from(*length).is_ok())
}
