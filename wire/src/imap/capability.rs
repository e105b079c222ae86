//! What is offered before login, and what must not be offered after it.

use super::command::is_astring_char;
use super::sasl::Mechanism;

/// How private a client's connection is, which decides what it is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privacy {
    /// No TLS, and no login without it.
    Clear,
    /// No TLS, but the operator lets this network log in without it.
    ClearAllowed,
    /// Under TLS.
    Tls,
}

/// What is offered before login beside what usher has itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// How clients may log in.
    pub mechanisms: Vec<Mechanism>,
    /// Capabilities that all hosts have, separated by spaces.
    pub of_hosts: Box<str>,
}

impl Offer {
    /// Passwords alone, as every host takes them.
    pub fn passwords() -> Self {
        Self { mechanisms: vec![Mechanism::SaslPlain, Mechanism::SaslLogin], of_hosts: Box::default() }
    }

    /// Whether clients may log in by `mechanism`; the command LOGIN is one with the mechanism.
    pub fn has(&self, mechanism: Mechanism) -> bool {
        let mechanism = if mechanism == Mechanism::Login { Mechanism::SaslLogin } else { mechanism };
        self.mechanisms.contains(&mechanism)
    }
}

/// Appends the capabilities offered before login: a fixed list, because the user's host is not known yet, and the `offer`.
pub(super) fn before_login(privacy: Privacy, offer: &Offer, out: &mut Vec<u8>) {
    let mut push = |text: &str| out.extend_from_slice(text.as_bytes());
    push("IMAP4rev1 LITERAL- SASL-IR ID ENABLE");
    if privacy != Privacy::Tls {
        push(" STARTTLS");
    }
    if privacy == Privacy::Clear || !offer.has(Mechanism::Login) {
        push(" LOGINDISABLED");
    }
    if privacy != Privacy::Clear {
        for mechanism in &offer.mechanisms {
            push(" AUTH=");
            push(mechanism.name());
        }
    }
    if !offer.of_hosts.is_empty() {
        push(" ");
        push(&offer.of_hosts);
    }
}

/// Whether the capability `name` may be offered before login beside the fixed ones.
pub fn may_be_offered(name: &str) -> bool {
    let fixed = ["IMAP4rev1", "LITERAL-", "LITERAL+", "SASL-IR", "ID", "ENABLE"];
    !name.is_empty()
        && name.bytes().all(is_astring_char)
        && is_shown(name.as_bytes())
        && !fixed.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Whether a logged-in client may see the capability `name`.
///
/// Hidden are those that would bypass the routing: changes of TLS or of the user, referrals to other hosts, and
/// compression, which would hide the framing.
pub fn is_shown(name: &[u8]) -> bool {
    let hidden = [&b"STARTTLS"[..], b"LOGINDISABLED", b"UNAUTHENTICATE"];
    let starts = |prefix: &[u8]| name.get(..prefix.len()).is_some_and(|n| n.eq_ignore_ascii_case(prefix));
    let ends = |suffix: &[u8]| {
        name.len() >= suffix.len() && name[name.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
    };
    !(hidden.iter().any(|h| name.eq_ignore_ascii_case(h))
        || starts(b"AUTH=")
        || starts(b"COMPRESS=")
        || ends(b"-REFERRALS"))
}

/// Appends to `out` those of the space-separated `names` that may be shown, each preceded by a space.
pub fn scrub(names: &[u8], out: &mut Vec<u8>) {
    let before = out.len();
    for name in names.split(|b| *b == b' ').filter(|name| !name.is_empty() && is_shown(name)) {
        out.push(b' ');
        out.extend_from_slice(name);
    }
    if out.len() == before {
        // A list without elements is invalid (RFC 9051 section 9, `capability-data`).
        out.extend_from_slice(b" IMAP4rev1");
    }
}

/// Whether `names` lists `wanted`.
pub fn lists(names: &[u8], wanted: &str) -> bool {
    names.split(|b| *b == b' ').any(|name| name.eq_ignore_ascii_case(wanted.as_bytes()))
}

/// `line` (without its line end) with its capabilities scrubbed, if it lists any: an untagged `CAPABILITY`, or a status
/// response with the code `[CAPABILITY …]`.
pub fn scrub_line(line: &[u8]) -> Option<Vec<u8>> {
    let mut words = line.splitn(3, |b| *b == b' ');
    let (first, second) = (words.next()?, words.next()?);
    let rest = words.next().unwrap_or_default();
    let head = first.len() + 1 + second.len();
    if first == b"*" && second.eq_ignore_ascii_case(b"CAPABILITY") {
        let mut out = copy(line, head);
        scrub(rest, &mut out);
        return Some(out);
    }
    let names = code_names(rest)?;
    let mut out = copy(line, head + 1);
    scrub_text(rest, names, &mut out);
    Some(out)
}

/// Appends `text`, whose code lists these `names`, with what is hidden left out.
pub(super) fn scrub_text(text: &[u8], names: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(CODE);
    scrub(names, out);
    out.extend_from_slice(&text[CODE.len() + names.len()..]);
}

/// The first bytes of `line`, with room for all of it, a default, and a line end.
fn copy(line: &[u8], count: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.len() + 16);
    out.extend_from_slice(&line[..count]);
    out
}

const CODE: &[u8] = b"[CAPABILITY";

/// The names inside `[CAPABILITY …]` at the beginning of a status response's text.
pub fn code_names(text: &[u8]) -> Option<&[u8]> {
    let (code, rest) = text.split_at_checked(CODE.len())?;
    let inside = &rest[..memchr::memchr(b']', rest)?];
    (code.eq_ignore_ascii_case(CODE) && (inside.is_empty() || inside[0] == b' ')).then_some(inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        for (line, expected) in [
            (
                "* CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN COMPRESS=DEFLATE IDLE login-referrals UNAUTHENTICATE",
                Some("* CAPABILITY IMAP4rev1 IDLE"),
            ),
            (
                "a OK [CAPABILITY IMAP4rev1 LOGINDISABLED IDLE] done",
                Some("a OK [CAPABILITY IMAP4rev1 IDLE] done"),
            ),
            ("* ok [capability AUTH=X] hello", Some("* ok [CAPABILITY IMAP4rev1] hello")),
            ("a OK [CAPABILITYX IDLE] done", None),
            ("a OK done [CAPABILITY STARTTLS]", None),
            ("* LIST () \"/\" INBOX", None),
            ("", None),
        ] {
            assert_eq!(scrub_line(line.as_bytes()).as_deref(), expected.map(str::as_bytes), "{line}");
        }
    }

    #[test]
    fn what_is_offered_before_login() {
        let offered = |privacy, offer: &Offer| {
            let mut out = Vec::new();
            before_login(privacy, offer, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert!(offered(Privacy::Clear, &Offer::passwords()).contains("LOGINDISABLED"));
        assert!(!offered(Privacy::Clear, &Offer::passwords()).contains("AUTH="));
        assert!(!offered(Privacy::Tls, &Offer::passwords()).contains("STARTTLS"));
        let with_idle = Offer { of_hosts: "IDLE".into(), ..Offer::passwords() };
        assert!(offered(Privacy::Tls, &with_idle).ends_with(" IDLE"));
        for name in ["IDLE", "QUOTA=RES-STORAGE"] {
            assert!(may_be_offered(name), "{name}");
        }
        for name in ["", "AUTH=X", "starttls", "COMPRESS=DEFLATE", "a b", "ID", "x\r\ny", "LITERAL+"] {
            assert!(!may_be_offered(name), "{name}");
        }
    }
}
