//! From a backend's greeting to its capabilities, with STARTTLS where it is demanded.

use super::{Fault, Lines, untagged_only};
use crate::imap::capability;
use crate::imap::reply::{Condition, ServerLine, parse_server_line};

const STARTTLS_TAG: &[u8] = b"S";
const CAPABILITY_TAG: &[u8] = b"C";

/// Proof that no plaintext follows the backend's OK to STARTTLS. TLS with a backend that requires STARTTLS cannot begin
/// without it.
#[derive(Debug)]
pub struct BackendDrained(());

/// The result of a step of the opening.
#[derive(Debug)]
pub enum OpeningStep {
    /// Feed more.
    Need,
    /// Start TLS, then go on with [`Opening::under_tls`].
    StartTls(BackendDrained),
    /// Ready for a login; these are the backend's capabilities, space-separated.
    Ready(Vec<u8>),
}

enum OpeningState {
    Greeting { start_tls: bool },
    StartTls,
    Capability { names: Option<Vec<u8>> },
}

/// From the connection to the backend's capabilities.
pub struct Opening {
    lines: Lines,
    state: OpeningState,
}

impl Opening {
    /// Waits for the greeting; with `start_tls` asks for TLS behind it.
    pub fn new(start_tls: bool) -> Self {
        Self { lines: Lines::default(), state: OpeningState::Greeting { start_tls } }
    }

    /// Continues under TLS after STARTTLS, ignoring everything that was said before it.
    pub fn under_tls(out: &mut Vec<u8>) -> Self {
        Self { lines: Lines::default(), state: ask_capability(out) }
    }

    /// Takes what came from the backend.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.lines.buf.extend_from_slice(bytes);
    }

    /// Processes what was fed; appends to `out` what is to be sent.
    ///
    /// # Errors
    /// A [`Fault`] after which the connection is of no use.
    pub fn step(&mut self, out: &mut Vec<u8>) -> Result<OpeningStep, Fault> {
        while let Some(line) = self.lines.next()? {
            let parsed = parse_server_line(&line);
            if let ServerLine::Status { tag: b"*", condition: Condition::Bye, .. } = parsed {
                return Err(Fault::Bye);
            }
            match &mut self.state {
                OpeningState::Greeting { start_tls } => {
                    let start_tls = *start_tls;
                    let names = greeting(parsed)?;
                    if start_tls {
                        if names.is_some_and(|names| !capability::lists(names, "STARTTLS")) {
                            return Err(Fault::StartTlsMissing);
                        }
                        out.extend_from_slice(b"S STARTTLS\r\n");
                        self.state = OpeningState::StartTls;
                    } else if let Some(names) = names {
                        return Ok(OpeningStep::Ready(names.to_vec()));
                    } else {
                        self.state = ask_capability(out);
                    }
                }
                OpeningState::StartTls => match parsed {
                    ServerLine::Status { tag: STARTTLS_TAG, condition: Condition::Ok, .. } => {
                        return if self.lines.buf.is_empty() {
                            Ok(OpeningStep::StartTls(BackendDrained(())))
                        } else {
                            Err(Fault::BytesBehindStartTls)
                        };
                    }
                    ServerLine::Status { tag: STARTTLS_TAG, .. } => return Err(Fault::StartTlsRefused),
                    other => untagged_only(other)?,
                },
                OpeningState::Capability { names } => match parsed {
                    ServerLine::Capability(listed) => *names = Some(listed.to_vec()),
                    ServerLine::Status { tag: CAPABILITY_TAG, condition: Condition::Ok, .. } => {
                        return names.take().map(OpeningStep::Ready).ok_or(Fault::OutOfStep);
                    }
                    ServerLine::Status { tag: CAPABILITY_TAG, .. } => return Err(Fault::Bad),
                    other => untagged_only(other)?,
                },
            }
        }
        Ok(OpeningStep::Need)
    }
}

fn ask_capability(out: &mut Vec<u8>) -> OpeningState {
    out.extend_from_slice(b"C CAPABILITY\r\n");
    OpeningState::Capability { names: None }
}

/// The capabilities in a greeting, where it lists them.
fn greeting(line: ServerLine<'_>) -> Result<Option<&[u8]>, Fault> {
    match line {
        ServerLine::Status { tag: b"*", condition: Condition::Ok, text } => Ok(capability::code_names(text)),
        ServerLine::Status { tag: b"*", condition: Condition::Preauth, .. } => Err(Fault::Preauth),
        ServerLine::Status { .. }
        | ServerLine::Capability(_)
        | ServerLine::Continuation(_)
        | ServerLine::Untagged
        | ServerLine::Garbage => Err(Fault::Garbage),
    }
}
