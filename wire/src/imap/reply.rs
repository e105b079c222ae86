//! Status responses (RFC 9051 section 7.1): the few that usher sends, and parsing those of a backend.

use super::capability;
use crate::printable::acts;

/// Response codes (RFC 5530, RFC 9051) that usher says on its own behalf or passes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Wrong user or password; clients cannot tell which.
    AuthenticationFailed,
    /// The password is right but acting as that user is not allowed.
    AuthorizationFailed,
    /// The password has expired.
    Expired,
    /// Not allowed without TLS.
    PrivacyRequired,
    /// The user should ask the operator.
    ContactAdmin,
    /// A host or the directory is unavailable.
    Unavailable,
    /// Too many sessions.
    Limit,
    /// Too many logins, or too many that have failed.
    HeldOff,
    /// The mailbox is in use.
    InUse,
    /// The server failed.
    ServerBug,
}

impl Code {
    /// The atom inside the brackets.
    pub fn atom(self) -> &'static str {
        match self {
            Self::AuthenticationFailed => "AUTHENTICATIONFAILED",
            Self::AuthorizationFailed => "AUTHORIZATIONFAILED",
            Self::Expired => "EXPIRED",
            Self::PrivacyRequired => "PRIVACYREQUIRED",
            Self::ContactAdmin => "CONTACTADMIN",
            Self::Unavailable => "UNAVAILABLE",
            Self::Limit | Self::HeldOff => "LIMIT",
            Self::InUse => "INUSE",
            Self::ServerBug => "SERVERBUG",
        }
    }

    /// The text for a client: what the code means, without internal details.
    pub fn text(self) -> &'static str {
        match self {
            Self::AuthenticationFailed => "Authentication failed.",
            Self::AuthorizationFailed => "Not allowed to act as this user.",
            Self::Expired => "The password has expired.",
            Self::PrivacyRequired => "Log in only under TLS.",
            Self::ContactAdmin => "Ask your administrator.",
            Self::Unavailable => "Temporarily unavailable, try again later.",
            Self::Limit => "Too many connections.",
            Self::HeldOff => "Too many logins, try again later.",
            Self::InUse => "The mailbox is in use.",
            Self::ServerBug => "Internal error.",
        }
    }

    fn from_atom(atom: &[u8]) -> Option<Self> {
        let all = [
            Self::AuthenticationFailed,
            Self::AuthorizationFailed,
            Self::Expired,
            Self::PrivacyRequired,
            Self::ContactAdmin,
            Self::Unavailable,
            Self::Limit,
            Self::InUse,
            Self::ServerBug,
        ];
        all.into_iter().find(|code| atom.eq_ignore_ascii_case(code.atom().as_bytes()))
    }
}

/// Appends `tag NO [CODE] text`.
pub fn no(tag: &[u8], code: Code, out: &mut Vec<u8>) {
    out.extend_from_slice(tag);
    out.extend_from_slice(format!(" NO [{}] {}\r\n", code.atom(), code.text()).as_bytes());
}

/// Appends `* BYE [CODE] text`.
pub fn bye(code: Code, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("* BYE [{}] {}\r\n", code.atom(), code.text()).as_bytes());
}

/// Appends a line of `tag` (or `*`) and `rest`.
pub(super) fn line(tag: Option<&[u8]>, rest: &str, out: &mut Vec<u8>) {
    let tag = tag.unwrap_or(b"*");
    out.reserve(tag.len() + rest.len() + 3);
    out.extend_from_slice(tag);
    out.push(b' ');
    out.extend_from_slice(rest.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// `OK`, `NO`, `BAD`, `BYE` or `PREAUTH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Done.
    Ok,
    /// Refused.
    No,
    /// Not understood.
    Bad,
    /// The server closes.
    Bye,
    /// Logged in without having been asked.
    Preauth,
}

/// One line of a server, read as far as usher needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerLine<'a> {
    /// A status response, untagged when `tag` is `*`.
    Status {
        /// The tag or `*`.
        tag: &'a [u8],
        /// Its condition.
        condition: Condition,
        /// What follows: a response code in brackets, text.
        text: &'a [u8],
    },
    /// `* CAPABILITY` and its names.
    Capability(&'a [u8]),
    /// `+`, the continuation.
    Continuation(&'a [u8]),
    /// Any other untagged response.
    Untagged,
    /// None of these.
    Garbage,
}

/// Reads `line`, which comes without its line end.
pub fn parse_server_line(line: &[u8]) -> ServerLine<'_> {
    if let Some(rest) = line.strip_prefix(b"+") {
        return match rest.first() {
            None | Some(b' ') => ServerLine::Continuation(rest.get(1..).unwrap_or_default()),
            Some(_) => ServerLine::Garbage,
        };
    }
    let mut words = line.splitn(3, |b| *b == b' ');
    let (Some(tag), Some(word)) = (words.next(), words.next()) else { return ServerLine::Garbage };
    let text = words.next().unwrap_or_default();
    if let Some(condition) = condition(word) {
        return ServerLine::Status { tag, condition, text };
    }
    match tag {
        b"*" if word.eq_ignore_ascii_case(b"CAPABILITY") => ServerLine::Capability(text),
        b"*" => ServerLine::Untagged,
        _ => ServerLine::Garbage,
    }
}

fn condition(word: &[u8]) -> Option<Condition> {
    let words = [
        (&b"OK"[..], Condition::Ok),
        (b"NO", Condition::No),
        (b"BAD", Condition::Bad),
        (b"BYE", Condition::Bye),
        (b"PREAUTH", Condition::Preauth),
    ];
    words.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, condition)| condition)
}

/// What a backend's refusal of a login means for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The user is told so; with an outage's codes the backend counts as out instead.
    Tell(Code),
    /// The backend says that it cannot serve now.
    Outage(Code),
}

/// Maps the text of a backend's tagged `NO`. Only a known code is passed on, and no referral; alerts are handled
/// separately.
pub fn map_refusal(text: &[u8]) -> Refused {
    let code = text
        .strip_prefix(b"[")
        .and_then(|rest| rest.split(|b| matches!(b, b']' | b' ')).next())
        .and_then(Code::from_atom);
    match code {
        // PRIVACYREQUIRED refers to usher's own connection: a fault in the configuration, not the user's.
        Some(code @ (Code::Unavailable | Code::ServerBug | Code::PrivacyRequired)) => Refused::Outage(code),
        Some(code) => Refused::Tell(code),
        None => Refused::Tell(Code::AuthenticationFailed),
    }
}

/// Longest text of an alert that is passed on, in bytes.
const ALERT_CAP: usize = 500;

/// The text behind `[ALERT]` in `text`, which the user has to see (RFC 9051 section 7.1): one line, printable.
pub fn alert(text: &[u8]) -> Option<String> {
    let (code, rest) = text.split_at_checked(7)?;
    if !code.eq_ignore_ascii_case(b"[ALERT]") {
        return None;
    }
    let shown = String::from_utf8_lossy(rest).replace(|c: char| c.is_whitespace() || acts(c), " ");
    let mut shown = shown.trim();
    if shown.len() > ALERT_CAP {
        shown = &shown[..shown.floor_char_boundary(ALERT_CAP)];
    }
    (!shown.is_empty()).then(|| shown.to_owned())
}

/// The client's own tagged line for a login that the backend accepted, with its capabilities scrubbed.
pub fn login_ok(tag: &[u8], text: &[u8], out: &mut Vec<u8>) {
    out.reserve(tag.len() + text.len() + 32);
    out.extend_from_slice(tag);
    out.extend_from_slice(b" OK ");
    match (capability::code_names(text), text.first()) {
        (Some(names), _) => capability::scrub_text(text, names, out),
        // A referral would bypass the routing; other bracketed text is the backend's own business.
        (None, Some(b'[') | None) => match alert(text) {
            Some(alert) => out.extend_from_slice(format!("[ALERT] {alert}").as_bytes()),
            None => out.extend_from_slice(b"Logged in."),
        },
        (None, Some(_)) => out.extend_from_slice(text),
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals() {
        for (text, expected) in [
            ("[AUTHENTICATIONFAILED] x", Refused::Tell(Code::AuthenticationFailed)),
            ("no code", Refused::Tell(Code::AuthenticationFailed)),
            ("[REFERRAL imap://x] y", Refused::Tell(Code::AuthenticationFailed)),
            ("[ALERT] y", Refused::Tell(Code::AuthenticationFailed)),
            ("[limit] y", Refused::Tell(Code::Limit)),
            ("[UNAVAILABLE] y", Refused::Outage(Code::Unavailable)),
            ("", Refused::Tell(Code::AuthenticationFailed)),
        ] {
            assert_eq!(map_refusal(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn alerts() {
        for (text, expected) in [
            ("[ALERT] Mailbox is full", Some("Mailbox is full")),
            ("[alert]  Postfach \u{fc}berf\u{fc}llt ", Some("Postfach \u{fc}berf\u{fc}llt")),
            ("[ALERT] a\u{1b}[2J\tb\u{202e}c\u{9b}", Some("a [2J b c")),
            ("[ALERT]", None),
            ("[ALERT] \u{7}", None),
            ("[UNAVAILABLE] x", None),
            ("x [ALERT] y", None),
        ] {
            assert_eq!(alert(text.as_bytes()).as_deref(), expected, "{text:?}");
        }
        assert_eq!(alert(b"[ALERT] a\xff").as_deref(), Some("a\u{fffd}"));
        let long = alert(format!("[ALERT] a{}", "\u{e4}".repeat(400)).as_bytes()).unwrap();
        assert_eq!(long.len(), 499);
    }

    #[test]
    fn server_lines() {
        use ServerLine as L;
        let status = |tag, condition, text| L::Status { tag, condition, text };
        for (line, expected) in [
            (&b"* OK hello"[..], status(b"*", Condition::Ok, b"hello")),
            (b"a1 no [X] y", status(b"a1", Condition::No, b"[X] y")),
            (b"* BYE", status(b"*", Condition::Bye, b"")),
            (b"* CAPABILITY IMAP4rev1", L::Capability(b"IMAP4rev1")),
            (b"* 3 EXISTS", L::Untagged),
            (b"+", L::Continuation(b"")),
            (b"+ go on", L::Continuation(b"go on")),
            (b"+OK POP3", L::Garbage),
            (b"SSH-2.0-x", L::Garbage),
            (b"", L::Garbage),
        ] {
            assert_eq!(parse_server_line(line), expected, "{line:?}");
        }
    }
}
