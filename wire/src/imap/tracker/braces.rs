//! Whether a command line contains a brace that might open a literal, however many pieces the line comes in.

use memchr::memchr2;

/// What is known of the line so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Braces {
    /// Within a quoted string.
    pub(super) in_quotes: bool,
    /// The next byte of the quoted string is escaped.
    is_escaped: bool,
    /// A brace was found outside quoted strings.
    outside: bool,
    /// A brace was found in the current quoted string.
    inside: bool,
    /// The last byte is a closing brace.
    closed: bool,
}

impl Braces {
    /// Follows more of the line.
    pub(super) fn follow(&mut self, part: &[u8]) {
        if let Some(last) = part.last() {
            self.closed = *last == b'}';
        }
        // Most lines have neither.
        if !self.in_quotes && memchr2(b'"', b'{', part).is_none() {
            return;
        }
        for octet in part {
            match (self.in_quotes, self.is_escaped, octet) {
                (true, true, _) => self.is_escaped = false,
                (true, false, b'\\') => self.is_escaped = true,
                (true, false, b'"') => (self.in_quotes, self.inside) = (false, false),
                (true, false, b'{') => self.inside = true,
                (false, _, b'"') => self.in_quotes = true,
                (false, _, b'{') => self.outside = true,
                _ => {}
            }
        }
    }

    /// Whether a line that ends here ends in a closing brace, with one before it that might belong to it: outside of
    /// quoted strings, or in a quoted string that does not end.
    pub(super) fn may_announce(&self) -> bool {
        self.closed && (self.outside || self.inside)
    }
}
