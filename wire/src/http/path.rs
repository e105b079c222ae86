//! The one normal form of a path, on which identities and rules match.
//!
//! What is forwarded is the path as it came, so both must mean the same to every backend: a path that some
//! servers would resolve to another one (`/a/../b`, `//`, `%2e%2e`, a backslash) has no normal form here.

use std::borrow::Cow;

/// The path's normal form: percent-encoded octets decoded, but for `%25` and `%2F`, which stay as `%25` and
/// `%2F`, so that a segment stays one. `None` for a path that not every server would read alike.
pub fn normalise(path: &str) -> Option<Cow<'_, str>> {
    if !path.starts_with('/') {
        return None;
    }
    let normal = if path.contains('%') { Cow::Owned(decode(path)?) } else { Cow::Borrowed(path) };
    let ambiguous = normal.bytes().any(|b| b == b'\\' || b.is_ascii_control())
        || normal.get(1..)?.split('/').rev().enumerate().any(|(from_end, segment)| {
            // An empty segment at the end is a directory's slash. Some servers read `%2F` as one.
            let dots = segment.split("%2F").any(|part| matches!(part, "." | ".."));
            dots || (segment.is_empty() && from_end > 0)
        });
    (!ambiguous).then_some(normal)
}

/// The name that a segment of a normal form stands for.
pub fn name(segment: &str) -> Vec<u8> {
    let mut name = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        match (first, after) {
            (b'%', [b'2', b'5', left @ ..]) => {
                name.push(b'%');
                rest = left;
            }
            (b'%', [b'2', b'F', left @ ..]) => {
                name.push(b'/');
                rest = left;
            }
            (other, left) => {
                name.push(*other);
                rest = left;
            }
        }
    }
    name
}

fn decode(path: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first != b'%' {
            decoded.push(*first);
            rest = after;
            continue;
        }
        let (digits, left) = after.split_at_checked(2)?;
        let digit = |b: u8| char::from(b).to_digit(16).map(|digit| digit as u8);
        match digits.iter().try_fold(0, |value, b| Some(value << 4 | digit(*b)?))? {
            b'%' => decoded.extend_from_slice(b"%25"),
            b'/' => decoded.extend_from_slice(b"%2F"),
            octet => decoded.push(octet),
        }
        rest = left;
    }
    String::from_utf8(decoded).ok()
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
            ("/%ff", None),
            ("a", None),
            ("", None),
        ] {
            assert_eq!(normalise(path).as_deref(), expected, "{path}");
        }
        assert_eq!(name("a%2Fb%25c"), b"a/b%c");
        assert_eq!(name("%252F"), b"%2F");
    }
}
