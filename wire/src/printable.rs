//! What others have written, made fit for a terminal, a log line or a mail client: the one way there.

use std::borrow::Cow;

/// `text` with everything escaped that would do something other than be seen: control characters, line ends among them,
/// and characters that turn the direction of what follows or have no width.
pub fn printable(text: &str) -> Cow<'_, str> {
    escape(text, |_| false)
}

/// The same for what has lines of its own.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escape(text, |c| c == '\n')
}

/// `text` as one value of a line of values: in quotes, where it could be taken for more than one or for none.
pub fn quoted(text: &str) -> Cow<'_, str> {
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

/// Whether a character does something instead of being seen.
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
