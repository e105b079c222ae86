//! The client side before login: how usher talks to a backend.
//!
//! [`Opening`] goes from the backend's greeting to its capabilities, with STARTTLS where it is demanded.
//! [`Login`] passes a credential on. Both are driven by sessions and by health probes alike.

mod opening;
mod passing;
mod sink;
#[cfg(test)]
mod tests;

pub use opening::{BackendDrained, Opening, OpeningStep};
pub use passing::{Login, LoginStep};

use super::capability;
use super::reply::{self, Condition, ServerLine, alert};

/// Longest line of a backend before login in bytes.
const LINE_CAP: usize = 8 * 1024;
/// Most lines of a backend in an opening, and in a login.
const LINES_CAP: usize = 64;

/// What a backend did that ended the conversation. Never shown to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The greeting is not IMAP's.
    Garbage,
    /// `* BYE`.
    Bye,
    /// `* PREAUTH`: the backend considers the connection logged in already.
    Preauth,
    /// A line over the cap, or endless output that answers nothing.
    TooMuch,
    /// A tag that was never sent, or an answer nobody asked for.
    OutOfStep,
    /// The configuration demands STARTTLS and the backend does not offer it.
    StartTlsMissing,
    /// The backend refused STARTTLS.
    StartTlsRefused,
    /// Plaintext followed the backend's OK to STARTTLS.
    BytesBehindStartTls,
    /// The backend offers no mechanism that usher can use with this credential.
    NoMechanism,
    /// The backend did not understand the login command.
    Bad,
}

impl Fault {
    /// A word of a closed set, for logs and labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Garbage => "garbage",
            Self::Bye => "bye",
            Self::Preauth => "preauth",
            Self::TooMuch => "too-much",
            Self::OutOfStep => "out-of-step",
            Self::StartTlsMissing => "starttls-missing",
            Self::StartTlsRefused => "starttls-refused",
            Self::BytesBehindStartTls => "bytes-behind-starttls",
            Self::NoMechanism => "no-mechanism",
            Self::Bad => "bad",
        }
    }
}

/// Splits a backend's bytes into lines.
#[derive(Default)]
struct Lines {
    buf: Vec<u8>,
    count: usize,
}

impl Lines {
    fn next(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let Some(lf) = memchr::memchr(b'\n', &self.buf) else {
            return if self.buf.len() > LINE_CAP { Err(Fault::TooMuch) } else { Ok(None) };
        };
        if lf > LINE_CAP || self.count > LINES_CAP {
            return Err(Fault::TooMuch);
        }
        self.count += 1;
        let mut line: Vec<u8> = self.buf.drain(..=lf).collect();
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(line))
    }
}

/// Untagged lines before an answer are skipped; anything else is out of step.
fn untagged_only(line: ServerLine<'_>) -> Result<(), Fault> {
    match line {
        ServerLine::Status { tag: b"*", condition: Condition::Preauth, .. } => Err(Fault::Preauth),
        ServerLine::Status { tag: b"*", .. } | ServerLine::Capability(_) | ServerLine::Untagged => Ok(()),
        ServerLine::Status { .. } | ServerLine::Continuation(_) => Err(Fault::OutOfStep),
        ServerLine::Garbage => Err(Fault::Garbage),
    }
}

/// A login that the backend accepted.
#[derive(Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The text of its tagged OK.
    pub text: Vec<u8>,
    /// Its capabilities after login, where it listed them.
    pub capabilities: Option<Vec<u8>>,
    /// What it sent after the OK.
    pub leftover: Vec<u8>,
}

impl Accepted {
    /// Removes an alert, which only an authenticated backend may show to the user.
    pub fn forget_alert(&mut self) {
        if alert(&self.text).is_some() {
            self.text.clear();
        }
    }
}

/// Appends what tells the client that it is logged in: the capabilities, if it would miss them otherwise, and the OK
/// under its own tag.
pub fn hand_over(tag: &[u8], asked_capability: bool, accepted: &Accepted, out: &mut Vec<u8>) {
    if let Some(names) = &accepted.capabilities
        && (asked_capability || capability::code_names(&accepted.text).is_none())
    {
        out.extend_from_slice(b"* CAPABILITY");
        capability::scrub(names, out);
        out.extend_from_slice(b"\r\n");
    }
    reply::login_ok(tag, &accepted.text, out);
}
