//! Passes a credential on to a backend.

use super::sink::Sink;
use super::{Accepted, Fault, Lines, untagged_only};
use crate::imap::capability;
use crate::imap::id::{self, ClientId};
use crate::imap::referral::Referral;
use crate::imap::reply::{Condition, Refused, ServerLine, alert, map_refusal, parse_server_line};
use crate::imap::sasl::{self, Credential, Mechanism, Proof};
use crate::secret::SecretBuf;
use std::collections::VecDeque;
use zeroize::Zeroizing;

/// Longest base64 that is sent as an initial response; some servers cap command lines at 4 KiB.
const INITIAL_RESPONSE_CAP: usize = 2048;
/// Longest text that says why a token is refused, in bytes.
const WHY_CAP: usize = 4096;
const ID_TAG: &[u8] = b"I";
const LOGIN_TAG: &[u8] = b"L";

/// The result of a step of the login.
#[derive(Debug)]
pub enum LoginStep {
    /// Feed more.
    Need,
    /// The backend took the credential: the claim is proven.
    Accepted(Accepted),
    /// The client is to answer this message of the backend; say what by [`Login::answer`].
    Challenged(Vec<u8>),
    /// It did not.
    Refused {
        /// What to tell the client.
        refused: Refused,
        /// An alert that the user must see.
        alert: Option<String>,
        /// The server that the user is said to be on.
        referral: Option<Referral>,
        /// Why a token is refused, as the backend says it to clients.
        why: Option<Vec<u8>>,
    },
}

/// Passes a credential on to a backend that is ready for it.
pub struct Login {
    lines: Lines,
    /// What to send at each continuation, in order.
    at_continuation: VecDeque<Zeroizing<Vec<u8>>>,
    capabilities: Option<Vec<u8>>,
    /// For a token: what is said after the backend has told why it is refused.
    acknowledges: Option<&'static [u8]>,
    /// Why a token is refused.
    why: Option<Vec<u8>>,
    /// The client talks to the backend itself.
    talks: bool,
    /// And has said more than whom it claims to be.
    has_proof: bool,
}

impl Login {
    /// Begins a login; what is to be sent first is appended to `out`.
    ///
    /// `capabilities` are the backend's. `own_id` is what usher says about the client in an ID command; if it is empty,
    /// none is sent. The credential is put on a command line only if it is free of CR, LF, NUL and 8-bit bytes.
    ///
    /// # Errors
    /// [`Fault::NoMechanism`] if the backend accepts no credential of this kind.
    pub fn begin(
        capabilities: &[u8],
        credential: &Credential,
        client_id: &ClientId,
        own_id: &[(&str, &str)],
        out: &mut SecretBuf,
    ) -> Result<Self, Fault> {
        if !own_id.is_empty() && capability::lists(capabilities, "ID") {
            let mut line = b"I ID ".to_vec();
            id::write(client_id, own_id, &mut line);
            out.extend(&line);
            out.extend(b"\r\n");
        }
        let mut at_continuation = VecDeque::new();
        let mut acknowledges = None;
        let mut talks = false;
        if credential.proof != Proof::Password {
            let (mechanism, message) = credential.first_message().ok_or(Fault::NoMechanism)?;
            let name = mechanism.name();
            talks = mechanism.is_conversation();
            // A client that sees no -PLUS here says so to a backend that has it, which must take that for an attack.
            let is_bound = talks && capability::lists(capabilities, &format!("AUTH={name}-PLUS"));
            if is_bound || !capability::lists(capabilities, &format!("AUTH={name}")) {
                return Err(Fault::NoMechanism);
            }
            at_continuation.extend(authenticate(name, &message, capabilities, out));
            // An empty line for XOAUTH2, a ^A for OAUTHBEARER (RFC 7628 section 3.2.3).
            acknowledges = match mechanism {
                Mechanism::XOAuth2 => Some(&b"\r\n"[..]),
                Mechanism::OAuthBearer => Some(b"AQ==\r\n"),
                _ => None,
            };
        } else if capability::lists(capabilities, "AUTH=PLAIN") {
            let message = credential.plain_message().ok_or(Fault::NoMechanism)?;
            at_continuation.extend(authenticate("PLAIN", &message, capabilities, out));
        } else if !credential.acts_for_another() && !capability::lists(capabilities, "LOGINDISABLED") {
            out.extend(b"L LOGIN");
            let mut sink = Sink { now: out, later: &mut at_continuation };
            sink.string(&credential.user)?;
            sink.string(credential.password.reveal())?;
            sink.bytes(b"\r\n");
        } else {
            return Err(Fault::NoMechanism);
        }
        let lines = Lines::default();
        Ok(Self {
            lines,
            at_continuation,
            capabilities: None,
            acknowledges,
            why: None,
            talks,
            has_proof: false,
        })
    }

    /// Whether the backend has the whole credential once the pending output is sent: another attempt would be another
    /// login.
    pub fn is_delivered(&self) -> bool {
        self.at_continuation.is_empty() && (self.has_proof || !self.talks)
    }

    /// Answers a message of the backend for the client; `None`: the client gives up (RFC 4422 section 3.5).
    pub fn answer(&mut self, message: Option<&[u8]>, out: &mut SecretBuf) {
        self.has_proof |= message.is_some();
        match message {
            Some(message) => out.extend(sasl::encode(message).as_bytes()),
            None => out.extend(b"*"),
        }
        out.extend(b"\r\n");
    }

    /// Takes what came from the backend.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.lines.buf.extend_from_slice(bytes);
    }

    /// Works on what was fed; what is to be sent is appended to `out`.
    ///
    /// # Errors
    /// A [`Fault`] after which the connection is of no use.
    pub fn step(&mut self, out: &mut SecretBuf) -> Result<LoginStep, Fault> {
        while let Some(line) = self.lines.next()? {
            match parse_server_line(&line) {
                ServerLine::Status { tag: LOGIN_TAG, condition, text } => {
                    return self.answered(condition, text);
                }
                ServerLine::Status { tag: ID_TAG, .. } => {}
                ServerLine::Status { tag: b"*", condition: Condition::Bye, .. } => return Err(Fault::Bye),
                ServerLine::Capability(names) => self.capabilities = Some(names.to_vec()),
                ServerLine::Continuation(said) => match self.at_continuation.pop_front() {
                    Some(chunk) => out.extend(&chunk),
                    None if self.talks => {
                        let said = sasl::decode(said).ok_or(Fault::OutOfStep)?;
                        return Ok(LoginStep::Challenged(said.to_vec()));
                    }
                    None => {
                        let acknowledged = self.acknowledges.take().ok_or(Fault::OutOfStep)?;
                        self.why =
                            sasl::decode(said).map(|why| why.to_vec()).filter(|why| why.len() <= WHY_CAP);
                        out.extend(acknowledged);
                    }
                },
                other => untagged_only(other)?,
            }
        }
        Ok(LoginStep::Need)
    }

    fn answered(&mut self, condition: Condition, text: &[u8]) -> Result<LoginStep, Fault> {
        match condition {
            Condition::Ok => {
                let listed = capability::code_names(text).map(<[u8]>::to_vec);
                Ok(LoginStep::Accepted(Accepted {
                    text: text.to_vec(),
                    capabilities: listed.or_else(|| self.capabilities.take()),
                    leftover: std::mem::take(&mut self.lines.buf),
                }))
            }
            Condition::No => Ok(LoginStep::Refused {
                refused: map_refusal(text),
                alert: alert(text),
                referral: Referral::read(text),
                why: self.why.take(),
            }),
            Condition::Bad => Err(Fault::Bad),
            Condition::Bye | Condition::Preauth => Err(Fault::OutOfStep),
        }
    }
}

/// Begins a mechanism whose client speaks first. Returns its message if that has to wait for a continuation.
fn authenticate(
    mechanism: &str,
    message: &[u8],
    capabilities: &[u8],
    out: &mut SecretBuf,
) -> Option<Zeroizing<Vec<u8>>> {
    let encoded = sasl::encode(message);
    let is_initial = capability::lists(capabilities, "SASL-IR") && encoded.len() <= INITIAL_RESPONSE_CAP;
    out.extend(b"L AUTHENTICATE ");
    out.extend(mechanism.as_bytes());
    if is_initial {
        out.extend(b" ");
        // An initial response of no bytes is written as "=" (RFC 4959 section 3).
        out.extend(if encoded.is_empty() { b"=" } else { encoded.as_bytes() });
    }
    out.extend(b"\r\n");
    (!is_initial).then(|| ended_by_crlf(encoded.as_bytes()))
}

fn ended_by_crlf(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut line = Zeroizing::new(Vec::with_capacity(bytes.len() + 2));
    line.extend_from_slice(bytes);
    line.extend_from_slice(b"\r\n");
    line
}
