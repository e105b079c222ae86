//! A host with or without a port, as `Host` and `:authority` carry it (RFC 9110 section 7.2).

/// A valid authority: without userinfo, and with a valid port, if any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authority<'a> {
    /// The host: a name, an address, or an IPv6 address in brackets.
    pub host: &'a str,
    /// The port, where one is written.
    pub port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Reads one; `None` where it is empty, has userinfo, or is no host with a port from 1 to 65535.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.find(']')) {
            Some(end) => {
                let (host, rest) = text.split_at(end + 2);
                let inner = host.get(1..end + 1)?;
                inner.parse::<std::net::Ipv6Addr>().ok()?;
                match rest.strip_prefix(':') {
                    Some(port) => (host, Some(port)),
                    None if rest.is_empty() => (host, None),
                    None => return None,
                }
            }
            None => {
                let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
                let (host, port) = match text.split_once(':') {
                    Some((host, port)) => (host, Some(port)),
                    None => (text, None),
                };
                if !host.bytes().all(is_name) {
                    return None;
                }
                (host, port)
            }
        };
        if host.is_empty() || host.len() > 255 {
            return None;
        }
        let port = match port {
            // An empty port means none (RFC 3986 section 3.2.3).
            None | Some("") => None,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                Some(digits.parse().ok().filter(|port| *port != 0)?)
            }
            Some(_) => return None,
        };
        Some(Self { host, port })
    }

    /// Whether both are the same place on a listener whose own port is `default`.
    pub fn is_same(&self, other: &Self, default: u16) -> bool {
        self.host.eq_ignore_ascii_case(other.host)
            && self.port.unwrap_or(default) == other.port.unwrap_or(default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_and_bad() {
        for (text, expected) in [
            ("mail.example.com", Some(("mail.example.com", None))),
            ("mail.example.com:8443", Some(("mail.example.com", Some(8443)))),
            ("192.0.2.1:443", Some(("192.0.2.1", Some(443)))),
            ("[2001:db8::1]", Some(("[2001:db8::1]", None))),
            ("[2001:db8::1]:443", Some(("[2001:db8::1]", Some(443)))),
            ("", None),
            (":443", None),
            ("u@h", None),
            ("h:", Some(("h", None))),
            ("[::1]:", Some(("[::1]", None))),
            ("h:0", None),
            ("h:99999", None),
            ("h:+1", None),
            ("h:1:2", None),
            ("h/x", None),
            ("h,h", None),
            ("h h", None),
            ("[::1", None),
            ("[", None),
            ("[h\";for=\"192.0.2.9", None),
            ("[::1]x", None),
            ("[h]", None),
            ("h\u{e9}", None),
        ] {
            let found = Authority::parse(text.as_bytes()).map(|found| (found.host, found.port));
            assert_eq!(found, expected, "{text:?}");
        }
    }
}
