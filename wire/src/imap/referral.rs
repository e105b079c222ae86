//! Login referrals (RFC 2221): a server says that a user is on another one.

/// The server that a referral names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referral {
    /// Its name or address, in lower case.
    pub host: String,
    /// Its port, if that is named.
    pub port: Option<u16>,
}

/// Longest name that is read, in bytes.
const HOST_CAP: usize = 255;

impl Referral {
    /// Reads the text of a tagged `NO` such as `[REFERRAL imap://anna;AUTH=*@server.test:143/] Not here.`
    pub fn read(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (code, rest) = text.strip_prefix('[')?.split_once(' ')?;
        if !code.eq_ignore_ascii_case("REFERRAL") {
            return None;
        }
        let url = rest.split(' ').next()?;
        let (scheme, rest) = url.split_once("://")?;
        if !scheme.eq_ignore_ascii_case("imap") && !scheme.eq_ignore_ascii_case("imaps") {
            return None;
        }
        // The code ends with a bracket, and so may an IPv6 address.
        let authority = match rest.find(['/', '?']) {
            Some(end) => &rest[..end],
            None => rest.strip_suffix(']')?,
        };
        let server = authority.rsplit_once('@').map_or(authority, |(_, server)| server);
        let (host, port) = match server.strip_prefix('[') {
            Some(address) => {
                let (address, port) = address.split_once(']')?;
                (address, port.strip_prefix(':'))
            }
            None => server.split_once(':').map_or((server, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map(str::parse).transpose().ok()?;
        let is_host = !host.is_empty()
            && host.len() <= HOST_CAP
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':'));
        is_host.then(|| Self { host: host.to_ascii_lowercase(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn referrals() {
        for (text, host, port) in [
            ("[REFERRAL imap://anna;AUTH=*@Server.test/] Not here.", "server.test", None),
            ("[referral IMAP://server.test:1143/INBOX] x", "server.test", Some(1143)),
            ("[REFERRAL imap://anna%40example.com@server.test] x", "server.test", None),
            ("[REFERRAL imaps://[2001:db8::1]:993/] x", "2001:db8::1", Some(993)),
            ("[REFERRAL imap://[2001:db8::1]]", "2001:db8::1", None),
            ("[REFERRAL imap://a@b@server.test/]", "server.test", None),
        ] {
            assert_eq!(Referral::read(text.as_bytes()), Some(Referral { host: host.into(), port }), "{text}");
        }
        for none in [
            "REFERRAL imap://x/",
            "[REFERRAL]",
            "[REFERRAL http://server.test/] x",
            "[REFERRAL imap:///] x",
            "[REFERRAL imap://x:70000/] x",
            "[REFERRAL imap://evil\u{7}host/] x",
            "[REFERRAL imap://server.test",
            "[ALERT] imap://server.test/",
        ] {
            assert_eq!(Referral::read(none.as_bytes()), None, "{none}");
        }
    }
}
