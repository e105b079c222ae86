//! SCRAM (RFC 5802) as far as somebody between client and server reads it: whom the first message names, and what a server
//! says first. Passwords and proofs are of no concern here.

use crate::secret::Secret;

/// Longest message of a client, in bytes. Servers have limits of their own, and whoever exceeds one would learn who has a
/// server.
pub(crate) const CAP: usize = 1024;

/// What of a client's first message decides where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientFirst {
    /// Whom to act as; empty when it is the one who logs in.
    pub(crate) authorize_as: Vec<u8>,
    /// Who logs in.
    pub(crate) user: Vec<u8>,
    /// The whole message, for the server.
    pub(crate) message: Secret,
}

/// Parses a client's first message (RFC 5802 section 7). Channel binding ends at usher: a client that insists on it is
/// refused, and so is one with a mandatory extension.
pub(crate) fn parse_client_first(message: &[u8]) -> Option<ClientFirst> {
    if message.len() > CAP {
        return None;
    }
    let mut parts = message.split(|b| *b == b',');
    let authorize_as = match (parts.next()?, parts.next()?) {
        (b"n" | b"y", b"") => Vec::new(),
        (b"n" | b"y", named) => name(named.strip_prefix(b"a=")?)?,
        _ => return None,
    };
    let user = name(parts.next()?.strip_prefix(b"n=")?)?;
    let nonce = parts.next()?.strip_prefix(b"r=")?;
    if user.is_empty() || nonce.is_empty() || !nonce.iter().all(is_printable) {
        return None;
    }
    Some(ClientFirst { authorize_as, user, message: Secret::copy_of(message) })
}

/// A `saslname` with its escapes resolved.
fn name(written: &[u8]) -> Option<Vec<u8>> {
    if written.contains(&0) {
        return None;
    }
    let mut name = Vec::with_capacity(written.len());
    let mut rest = written;
    while let Some((first, after)) = rest.split_first() {
        rest = match (first, after) {
            (b'=', [b'2', b'C', after @ ..]) => {
                name.push(b',');
                after
            }
            (b'=', [b'3', b'D', after @ ..]) => {
                name.push(b'=');
                after
            }
            (b'=', _) => return None,
            (other, after) => {
                name.push(*other);
                after
            }
        };
    }
    Some(name)
}

/// The nonce of a client's first message.
pub fn client_nonce(message: &[u8]) -> Option<&[u8]> {
    message.split(|b| *b == b',').nth(3)?.strip_prefix(b"r=")
}

fn is_printable(octet: &u8) -> bool {
    matches!(octet, 0x21..=0x2b | 0x2d..=0x7e)
}

/// What a server says first (RFC 5802 section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerFirst<'m> {
    /// The client's nonce, and the server's after it.
    pub nonce: &'m [u8],
    /// The salt, in base64.
    pub salt: &'m [u8],
    /// How often the password is hashed.
    pub iterations: u32,
}

impl<'m> ServerFirst<'m> {
    /// The server's part of the nonce, after the client's `own`; `None` if it is not there or empty.
    pub fn of_server(&self, own: &[u8]) -> Option<&'m [u8]> {
        self.nonce.strip_prefix(own).filter(|rest| !rest.is_empty())
    }

    /// Parses a server's first message; extensions are skipped.
    pub fn parse(message: &'m [u8]) -> Option<Self> {
        let mut parts = message.split(|b| *b == b',');
        let nonce = parts.next()?.strip_prefix(b"r=")?;
        let salt = parts.next()?.strip_prefix(b"s=")?;
        let iterations = parts.next()?.strip_prefix(b"i=")?;
        let iterations = std::str::from_utf8(iterations).ok()?.parse().ok()?;
        Some(Self { nonce, salt, iterations })
    }

    /// The message.
    pub fn written(&self) -> Vec<u8> {
        let mut message = Vec::with_capacity(self.nonce.len() + self.salt.len() + 20);
        for part in
            [&b"r="[..], self.nonce, b",s=", self.salt, b",i=", self.iterations.to_string().as_bytes()]
        {
            message.extend_from_slice(part);
        }
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn whom_a_first_message_names() {
        // The example of RFC 5802 section 5, and others.
        let named = |message: &[u8]| {
            let parsed = parse_client_first(message)?;
            let text = |name: Vec<u8>| String::from_utf8(name).unwrap();
            Some((text(parsed.user), text(parsed.authorize_as)))
        };
        let some = |user: &str, acting: &str| Some((user.to_owned(), acting.to_owned()));
        for (message, expected) in [
            (&b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL"[..], some("user", "")),
            (b"y,,n=user,r=x", some("user", "")),
            (b"n,a=anna@example.com,n=boss,r=x,f=1", some("boss", "anna@example.com")),
            (b"n,,n=a=2Cb=3Dc,r=x", some("a,b=c", "")),
            (b"n,,n=a=2cb,r=x", None),
            (b"p=tls-exporter,,n=user,r=x", None),
            (b"n,,m=1,n=user,r=x", None),
            (b"n,,n=,r=x", None),
            (b"n,,n=user,r=", None),
            (b"n,,n=us\0er,r=x", None),
            (b"n,b=x,n=user,r=x", None),
            (b"n=user,r=x", None),
            (b"", None),
        ] {
            assert_eq!(named(message), expected, "{}", String::from_utf8_lossy(message));
        }
        assert_eq!(client_nonce(b"n,,n=user,r=abc,f=1"), Some(&b"abc"[..]));
    }

    proptest! {
        #[test]
        fn what_a_server_says_first(
            nonce in "[!-+--~]{1,90}", salt in "[A-Za-z0-9+/]{1,44}={0,2}", iterations in 1_u32..1_000_000
        ) {
            let first = ServerFirst { nonce: nonce.as_bytes(), salt: salt.as_bytes(), iterations };
            let written = first.written();
            prop_assert_eq!(ServerFirst::parse(&written), Some(first));
        }
    }
}
