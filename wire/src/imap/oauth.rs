//! Tokens in place of passwords: OAUTHBEARER (RFC 7628) and XOAUTH2, which Google has made and others have taken over.

use crate::secret::Secret;
use zeroize::Zeroizing;

/// What separates the parts of a message.
const SEPARATOR: u8 = 1;

/// A name, empty if the token alone says who it is, and a token.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bearer {
    pub(super) user: Vec<u8>,
    pub(super) token: Secret,
}

/// Parses a message of XOAUTH2: `user=NAME ^A auth=Bearer TOKEN ^A ^A`.
pub(super) fn parse_xoauth2(message: &[u8]) -> Option<Bearer> {
    let parts = message.strip_suffix(&[SEPARATOR, SEPARATOR])?;
    let (user, rest) = split_at(parts, SEPARATOR)?;
    let user = user.strip_prefix(b"user=").filter(|user| !user.is_empty())?;
    Some(Bearer { user: user.to_vec(), token: token(rest)? })
}

/// Parses a message of OAUTHBEARER: a GS2 header, perhaps with a name, and fields, one of which is the token.
pub(super) fn parse_oauthbearer(message: &[u8]) -> Option<Bearer> {
    let parts = message.strip_suffix(&[SEPARATOR, SEPARATOR])?;
    let (header, rest) = split_at(parts, SEPARATOR)?;
    // Neither "y" nor "p=": no channel is bound (RFC 7628 section 3.1).
    let header = header.strip_prefix(b"n,").or_else(|| header.strip_prefix(b"y,"))?.strip_suffix(b",")?;
    let user = match header {
        b"" => Vec::new(),
        name => plain_name(name.strip_prefix(b"a=")?)?,
    };
    Some(Bearer { user, token: token(rest)? })
}

/// The token among the fields.
fn token(fields: &[u8]) -> Option<Secret> {
    let mut tokens = fields.split(|b| *b == SEPARATOR).filter_map(|field| {
        let (name, value) = split_at(field, b'=')?;
        name.eq_ignore_ascii_case(b"auth").then_some(value)
    });
    let (value, another) = (tokens.next()?, tokens.next());
    let (scheme, token) = split_at(value, b' ')?;
    // What RFC 6750 section 2.1 allows, so that it cannot become anything else on its way.
    let is_token =
        !token.is_empty() && token.iter().all(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(b));
    (another.is_none() && is_token && scheme.eq_ignore_ascii_case(b"bearer")).then(|| Secret::copy_of(token))
}

/// The message of XOAUTH2; `None` if the name cannot be in one.
pub(super) fn xoauth2(user: &[u8], token: &Secret) -> Option<Zeroizing<Vec<u8>>> {
    if user.contains(&SEPARATOR) {
        return None;
    }
    let parts = [b"user=", user, b"\x01auth=Bearer ", token.reveal(), b"\x01\x01"];
    Some(joined(&parts))
}

/// The message of OAUTHBEARER.
pub(super) fn oauthbearer(user: &[u8], token: &Secret) -> Option<Zeroizing<Vec<u8>>> {
    if user.contains(&SEPARATOR) {
        return None;
    }
    let mut name = Vec::with_capacity(user.len());
    for octet in user {
        match octet {
            b',' => name.extend_from_slice(b"=2C"),
            b'=' => name.extend_from_slice(b"=3D"),
            other => name.push(*other),
        }
    }
    let before: &[u8] = if user.is_empty() { b"n," } else { b"n,a=" };
    Some(joined(&[before, &name, b",\x01auth=Bearer ", token.reveal(), b"\x01\x01"]))
}

fn joined(parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let mut message = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
    parts.iter().for_each(|part| message.extend_from_slice(part));
    message
}

/// A name in its plain form (RFC 5801 section 4); `None`: an `=` that stands for nothing.
fn plain_name(name: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'=' {
            plain.push(*first);
            continue;
        }
        let (code, after) = rest.split_at_checked(2)?;
        plain.push(match code {
            b"2C" | b"2c" => b',',
            b"3D" | b"3d" => b'=',
            _ => return None,
        });
        rest = after;
    }
    (!plain.is_empty() && !plain.contains(&0)).then_some(plain)
}

fn split_at(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|b| *b == separator)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bearer(user: &str, token: &str) -> Bearer {
        Bearer { user: user.as_bytes().to_vec(), token: Secret::copy_of(token.as_bytes()) }
    }

    #[test]
    fn messages() {
        for (message, expected) in [
            (
                "user=anna@example.com\x01auth=Bearer abc.def\x01\x01",
                Some(bearer("anna@example.com", "abc.def")),
            ),
            ("user=anna\x01auth=bearer abc==\x01\x01", Some(bearer("anna", "abc=="))),
            ("user=\x01auth=Bearer abc\x01\x01", None),
            ("user=anna\x01auth=Bearer a b\x01\x01", None),
            ("user=anna\x01auth=Basic abc\x01\x01", None),
            ("user=anna\x01auth=Bearer abc\x01", None),
            ("user=anna\x01auth=Bearer abc\x01auth=Bearer def\x01\x01", None),
        ] {
            assert_eq!(parse_xoauth2(message.as_bytes()), expected, "{message:?}");
        }
        for (message, expected) in [
            (
                "n,a=anna@example.com,\x01host=h\x01port=993\x01auth=Bearer abc\x01\x01",
                Some(bearer("anna@example.com", "abc")),
            ),
            ("n,,\x01auth=Bearer abc\x01\x01", Some(bearer("", "abc"))),
            ("y,a=a=2Cb=3Dc,\x01auth=Bearer abc\x01\x01", Some(bearer("a,b=c", "abc"))),
            ("n,a=a=2,\x01auth=Bearer abc\x01\x01", None),
            ("p=tls-unique,,\x01auth=Bearer abc\x01\x01", None),
            ("n,a=,\x01auth=Bearer abc\x01\x01", None),
            ("n,a=anna,\x01\x01", None),
        ] {
            assert_eq!(parse_oauthbearer(message.as_bytes()), expected, "{message:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(user in "[^\u{0}\u{1}]{1,40}", token in "[A-Za-z0-9._~+/=-]{1,60}") {
            let secret = Secret::copy_of(token.as_bytes());
            let read = bearer(&user, &token);
            prop_assert_eq!(parse_xoauth2(&xoauth2(user.as_bytes(), &secret).unwrap()), Some(bearer(&user, &token)));
            prop_assert_eq!(parse_oauthbearer(&oauthbearer(user.as_bytes(), &secret).unwrap()), Some(read));
        }

        #[test]
        fn whatever_comes(message in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = (parse_xoauth2(&message), parse_oauthbearer(&message));
        }
    }
}
