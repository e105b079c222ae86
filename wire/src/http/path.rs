//! The one normal form of a path, on which identities and rules match.
//!
//! The path is forwarded as it came, so both forms must mean the same to every backend: a path that some servers would
//! resolve to another one (`/a/../b`, `//`, `%2e%2e`, a backslash) has no normal form here.

use std::borrow::Cow;

/// The normal form of a path. Percent-encoded bytes are decoded, except for `%25` and `%2F`, so that a segment stays
/// one segment, and for bytes that are not UTF-8. `None` for a path that some servers would read differently.
pub fn normalise(path: &str) -> Option<Cow<'_, str>> {
    normal_form(path, false)
}

/// Like [`normalise`], for a path in which empty segments mean nothing: its normal form omits them.
pub fn normalise_lenient(path: &str) -> Option<String> {
    let normal = normal_form(path, true)?;
    let mut shown = String::with_capacity(normal.len());
    for b in normal.chars() {
        if b != '/' || !shown.ends_with('/') {
            shown.push(b);
        }
    }
    Some(shown)
}

fn normal_form(path: &str, may_have_empty: bool) -> Option<Cow<'_, str>> {
    if !path.starts_with('/') {
        return None;
    }
    let normal = if path.contains('%') { Cow::Owned(decode(path)?) } else { Cow::Borrowed(path) };
    let ambiguous = normal.bytes().any(|b| b == b'\\' || b.is_ascii_control())
        || normal.get(1..)?.split('/').rev().enumerate().any(|(from_end, segment)| {
            // An empty last segment is a trailing slash, even if a parameter stands there. Some servers read `%2F` as a
            // slash, and some ignore what follows a semicolon.
            let parts = segment.split("%2F").map(|part| part.split(';').next().unwrap_or_default());
            let dots = parts.clone().any(|part| matches!(part, "." | ".."));
            let is_empty = segment.is_empty() || segment.starts_with(';');
            let nameless = is_empty && from_end > 0 && !may_have_empty;
            dots || nameless
        });
    (!ambiguous).then_some(normal)
}

/// The name that a segment of a normal form stands for.
pub fn name(segment: &str) -> Vec<u8> {
    octets(segment).unwrap_or_default()
}

/// Decodes every percent-encoded byte; `None` if a percent sign is not followed by two digits.
fn octets(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first != b'%' {
            decoded.push(*first);
            rest = after;
            continue;
        }
        let (digits, left) = after.split_at_checked(2)?;
        let digit = |b: u8| char::from(b).to_digit(16).map(|digit| digit as u8);
        decoded.push(digits.iter().try_fold(0, |value, b| Some(value << 4 | digit(*b)?))?);
        rest = left;
    }
    Some(decoded)
}

/// Decodes characters. Delimiters and bytes that are not UTF-8 stay encoded, with one spelling each.
fn decode(path: &str) -> Option<String> {
    let mut decoded = String::with_capacity(path.len());
    let mut parts = path.split('%');
    decoded.push_str(parts.next()?);
    // Adjacent encoded bytes may form one character.
    let mut encoded: Vec<u8> = Vec::new();
    for part in parts {
        let (digits, plain) = part.split_at_checked(2)?;
        encoded.extend(octets(&format!("%{digits}"))?);
        if !plain.is_empty() {
            append(&mut decoded, &encoded)?;
            encoded.clear();
            decoded.push_str(plain);
        }
    }
    append(&mut decoded, &encoded)?;
    Some(decoded)
}

/// `None` for overlong encodings, which some servers decode all the same.
fn append(decoded: &mut String, encoded: &[u8]) -> Option<()> {
    let overlong =
        |pair: &[u8]| matches!(pair, [0xc0 | 0xc1, 0x80..=0xbf] | [0xe0, 0x80..=0x9f] | [0xf0, 0x80..=0x8f]);
    if encoded.windows(2).any(overlong) {
        return None;
    }
    for chunk in encoded.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '%' => decoded.push_str("%25"),
                '/' => decoded.push_str("%2F"),
                other => decoded.push(other),
            }
        }
        for octet in chunk.invalid() {
            decoded.push_str(&format!("%{octet:02X}"));
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_forms() {
        for (path, expected) in [
            ("/", Some("/")),
            ("/a/b", Some("/a/b")),
            ("/a/", Some("/a/")),
            ("/a%20b", Some("/a b")),
            ("/%61nna", Some("/anna")),
            ("/a%2Fb", Some("/a%2Fb")),
            ("/a%2fb", Some("/a%2Fb")),
            ("/a%252Fb", Some("/a%252Fb")),
            ("/...", Some("/...")),
            ("/%C3%A4", Some("/\u{e4}")),
            ("/a/../b", None),
            ("/..", None),
            ("/./a", None),
            ("/%2e%2e/x", None),
            ("/%2E./x", None),
            ("/%2e%2e%2fx", None),
            ("/a%2F..", None),
            ("/a/..;x/b", None),
            ("/a/%2e%2e%3bx", None),
            ("/;/a", None),
            ("/;jsessionid=1A2B", Some("/;jsessionid=1A2B")),
            ("/a/;v=1", Some("/a/;v=1")),
            ("/..;/x", None),
            ("/a/..;v", None),
            ("/;/..", None),
            ("/a;v=1/b", Some("/a;v=1/b")),
            ("/%c0%ae%c0%ae%c0%af", None),
            ("/%e0%80%af", None),
            ("/%C1x", Some("/%C1x")),
            ("//", None),
            ("//a", None),
            ("/a//b", None),
            ("/a%00", None),
            ("/a%0d", None),
            ("/a%7f", None),
            ("/a\\b", None),
            ("/a%5cb", None),
            ("/%zz", None),
            ("/%+1", None),
            ("/%4", None),
            ("/caf%e9/x", Some("/caf%E9/x")),
            ("/%ff", Some("/%FF")),
            ("/%C3%A4%C3", Some("/\u{e4}%C3")),
            ("a", None),
            ("", None),
        ] {
            assert_eq!(normalise(path).as_deref(), expected, "{path}");
        }
        for (path, expected) in [
            ("//principals/", Some("/principals/")),
            ("/a///b//", Some("/a/b/")),
            ("//a/../b", None),
            ("//..;/x", None),
            ("//%2e%2e/", None),
        ] {
            assert_eq!(normalise_lenient(path).as_deref(), expected, "{path}");
        }
        assert_eq!(name("a%2Fb%25c"), b"a/b%c");
        assert_eq!(name("%252F"), b"%2F");
    }
}
