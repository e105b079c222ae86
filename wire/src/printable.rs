//! Makes text from others safe for a terminal, a log line or a mail client. There is no other way to get it there.

use std::borrow::Cow;

/// `text` with every character escaped that has an effect other than being displayed: control characters, including
/// line ends, and characters that have no width or change the direction of text.
pub fn printable(text: &str) -> Cow<'_, str> {
    escape(text, |_| false)
}

/// Like [`printable`], for text with several lines.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escape(text, |c| c == '\n')
}

/// `text` as one value in a line of values: quoted if it could be taken for more than one value, or for none.
pub fn quoted(text: &str) -> Cow<'_, str> {
    // Most values are, and a byte at a time is told sooner than a character.
    let is_evident = |b: &u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\' | b'=');
    if !text.is_empty() && text.as_bytes().iter().all(is_evident) {
        return Cow::Borrowed(text);
    }
    let is_plain = |c: char| !(c.is_whitespace() || matches!(c, '"' | '\\' | '=') || acts(c));
    if !text.is_empty() && text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            _ if acts(c) => quoted.extend(c.escape_default()),
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    Cow::Owned(quoted)
}

fn escape(text: &str, may_stay: impl Fn(char) -> bool) -> Cow<'_, str> {
    if text.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
        return Cow::Borrowed(text);
    }
    let stays = |c: char| !acts(c) || may_stay(c);
    if text.chars().all(stays) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if stays(c) { escaped.push(c) } else { escaped.extend(c.escape_default()) }
    }
    Cow::Owned(escaped)
}

/// Whether a character has an effect other than being displayed.
pub(crate) fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_shown() {
        for (text, shown) in [
            ("CN=ih1.example.com", "CN=ih1.example.com"),
            ("a\x1b[2Ab\r", "a\\u{1b}[2Ab\\r"),
            ("a\u{9b}2J", "a\\u{9b}2J"),
            ("a\u{7f}\0\t\n", "a\\u{7f}\\u{0}\\t\\n"),
            ("a\u{202e}b\u{200b}\u{feff}", "a\\u{202e}b\\u{200b}\\u{feff}"),
            ("\u{e4}\u{4e2d}\u{1f600} x", "\u{e4}\u{4e2d}\u{1f600} x"),
        ] {
            assert_eq!(printable(text), shown);
        }
        assert_eq!(printable_lines("a\nb\r\n\x1b"), "a\nb\\r\n\\u{1b}");
    }

    #[test]
    fn a_value_is_one_value() {
        for (text, shown) in [
            ("plain-1.2:3/[::1]", "plain-1.2:3/[::1]"),
            ("", "\"\""),
            ("no answer in time", "\"no answer in time\""),
            ("a=b", "\"a=b\""),
            ("a\"b\\c", "\"a\\\"b\\\\c\""),
            ("a\n\x1b", "\"a\\n\\u{1b}\""),
            ("a\u{a0}b", "\"a\u{a0}b\""),
        ] {
            assert_eq!(quoted(text), shown);
        }
    }
}
