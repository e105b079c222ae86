//! What claims are answered, and what is said before that.

use super::{Claim, Mode, Preauth, Step};
use crate::imap::reply::{self, Code};
use crate::imap::{sasl, scram};
use zeroize::Zeroizing;

/// What a client says to a message of its host.
pub enum Answer {
    /// This message.
    Said(Zeroizing<Vec<u8>>),
    /// It gives up.
    GivenUp,
    /// Nothing that could be a message.
    Broken,
}

impl Preauth {
    /// Answers a claim with `tag NO [code]`, or with the host's own message to the user, if there is one; the
    /// conversation continues.
    pub fn refuse(&mut self, claim: &Claim, code: Code, alert: Option<&str>, out: &mut Vec<u8>) {
        refused(&claim.tag, code, alert, out);
    }

    /// Answers a claim with `why` a token is refused, for the client to read; after its answer comes what
    /// [`Self::refuse`] says.
    pub fn refuse_token(
        &mut self,
        claim: &Claim,
        code: Code,
        alert: Option<String>,
        why: &[u8],
        out: &mut Vec<u8>,
    ) {
        Self::challenge(why, out);
        self.mode = Mode::Refusing { tag: claim.tag.clone(), code, alert };
    }

    /// Appends a message of the host, which the client is to answer.
    pub fn challenge(message: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(b"+ ");
        out.extend_from_slice(sasl::encode(message).as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    /// The client's answer to a message of the host; `None`: it has not come yet.
    pub fn answer(&mut self) -> Option<Answer> {
        let line = match self.assembler.sasl_line() {
            Ok(None) => return None,
            Ok(Some(line)) => line,
            Err(_) => return Some(Answer::Broken),
        };
        if line.as_slice() == b"*" {
            return Some(Answer::GivenUp);
        }
        let said = sasl::decode(&line).filter(|said| said.len() <= scram::CAP);
        Some(said.map_or(Answer::Broken, Answer::Said))
    }

    /// Answers a claim whose client has given up, or has said what is no message. Returns how to go on: not many may be
    /// given up.
    pub fn cancel(&mut self, claim: &Claim, out: &mut Vec<u8>) -> Step {
        self.invalid(Some(&claim.tag), "Authentication cancelled.", out)
    }

    pub(super) fn refusing_step(
        &mut self,
        tag: Vec<u8>,
        code: Code,
        alert: Option<String>,
        out: &mut Vec<u8>,
    ) -> Step {
        // An empty line, AQ== or a star; anything else is the next command of a client that did not wait.
        let is_answer = |line: &[u8]| line == b"*" || !line.contains(&b' ');
        match self.assembler.sasl_line_if(is_answer) {
            Ok(None) => {
                self.mode = Mode::Refusing { tag, code, alert };
                Step::Need
            }
            Ok(Some(_)) => {
                refused(&tag, code, alert.as_deref(), out);
                Step::Answered
            }
            Err(why) => self.fatal(Some(&tag), why, out),
        }
    }
}

/// `tag NO [code]`, or the host's own message to the user.
fn refused(tag: &[u8], code: Code, alert: Option<&str>, out: &mut Vec<u8>) {
    match alert {
        Some(alert) => reply::line(Some(tag), &format!("NO [ALERT] {alert}"), out),
        None => reply::no(tag, code, out),
    }
}
