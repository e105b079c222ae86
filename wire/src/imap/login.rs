//! The client's side before login: how usher speaks to a backend.
//!
//! [`Opening`] goes from the backend's greeting to its capabilities, with STARTTLS where it is demanded.
//! [`Login`] passes a credential on. Both are driven by sessions and by health probes alike.

use super::capability;
use super::id::{self, ClientId};
use super::reply::{Condition, Refused, ServerLine, alert, map_refusal, parse_server_line};
use super::sasl::{self, Credential};
use crate::secret::SecretBuf;
use std::collections::VecDeque;
use zeroize::Zeroizing;

/// Longest line of a backend before login in octets.
const LINE_CAP: usize = 8 * 1024;
/// Most lines of a backend in an opening, and in a login.
const LINES_CAP: usize = 64;
/// Longest base64 that is sent as an initial response; some servers cap command lines at 4 KiB.
const INITIAL_RESPONSE_CAP: usize = 2048;

/// What a backend did that ends the conversation. Never shown to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The greeting is not IMAP's.
    Garbage,
    /// `* BYE`.
    Bye,
    /// `* PREAUTH`: the backend takes the connection for somebody's already.
    Preauth,
    /// A line over the cap, or an endless talk that answers nothing.
    TooMuch,
    /// A tag that was never sent, or an answer nobody asked for.
    OutOfStep,
    /// The configuration demands STARTTLS and the backend does not offer it.
    StartTlsMissing,
    /// The backend refused STARTTLS.
    StartTlsRefused,
    /// Plaintext waited behind the backend's OK to STARTTLS.
    BytesBehindStartTls,
    /// The backend offers no way to log in that usher can take with this credential.
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

/// Splits a backend's octets into lines.
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

/// Proof that no plaintext waits behind the backend's OK to STARTTLS; TLS towards a backend that demands
/// STARTTLS begins only with it.
#[derive(Debug)]
pub struct BackendDrained(());

/// What the opening came to.
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

const STARTTLS_TAG: &[u8] = b"S";
const CAPABILITY_TAG: &[u8] = b"C";
const ID_TAG: &[u8] = b"I";
const LOGIN_TAG: &[u8] = b"L";

impl Opening {
    /// Waits for the greeting; with `start_tls` asks for TLS behind it.
    pub fn new(start_tls: bool) -> Self {
        Self { lines: Lines::default(), state: OpeningState::Greeting { start_tls } }
    }

    /// Goes on under TLS after STARTTLS: what was said before it counts for nothing.
    pub fn under_tls(out: &mut Vec<u8>) -> Self {
        Self { lines: Lines::default(), state: ask_capability(out) }
    }

    /// Takes what came from the backend.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.lines.buf.extend_from_slice(bytes);
    }

    /// Works on what was fed; what is to be sent is appended to `out`.
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

/// Untagged lines before an answer are skipped; anything else is out of step.
fn untagged_only(line: ServerLine<'_>) -> Result<(), Fault> {
    match line {
        ServerLine::Status { tag: b"*", condition: Condition::Preauth, .. } => Err(Fault::Preauth),
        ServerLine::Status { tag: b"*", .. } | ServerLine::Capability(_) | ServerLine::Untagged => Ok(()),
        ServerLine::Status { .. } | ServerLine::Continuation(_) => Err(Fault::OutOfStep),
        ServerLine::Garbage => Err(Fault::Garbage),
    }
}

/// A login that the backend took.
#[derive(Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The text of its tagged OK.
    pub text: Vec<u8>,
    /// Its capabilities after login, where it listed them.
    pub capabilities: Option<Vec<u8>>,
    /// What it sent behind the OK.
    pub leftover: Vec<u8>,
}

impl Accepted {
    /// Leaves out what only a backend may say to the user that has proven to be the one that is meant.
    pub fn forget_alert(&mut self) {
        if alert(&self.text).is_some() {
            self.text.clear();
        }
    }
}

/// What the login came to.
#[derive(Debug)]
pub enum LoginStep {
    /// Feed more.
    Need,
    /// The backend took the credential: the claim is proven.
    Accepted(Accepted),
    /// It did not.
    Refused {
        /// What that says to the client.
        refused: Refused,
        /// What the user has to see of it.
        alert: Option<String>,
    },
}

/// Passes a credential on to a backend that is ready for it.
pub struct Login {
    lines: Lines,
    /// What is sent at each continuation, in turn.
    at_continuation: VecDeque<Zeroizing<Vec<u8>>>,
    capabilities: Option<Vec<u8>>,
}

impl Login {
    /// Begins a login; what is to be sent first is appended to `out`.
    ///
    /// `capabilities` are the backend's, `own_id` is what usher says of the client with ID (none: nothing).
    /// The credential never stands on a command line unless it is free of CR, LF, NUL and 8-bit octets.
    ///
    /// # Errors
    /// [`Fault::NoMechanism`] when the backend takes no credential of this kind.
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
        if capability::lists(capabilities, "AUTH=PLAIN") {
            let message = credential.plain_message().ok_or(Fault::NoMechanism)?;
            let encoded = sasl::encode(&message);
            out.extend(b"L AUTHENTICATE PLAIN");
            if capability::lists(capabilities, "SASL-IR") && encoded.len() <= INITIAL_RESPONSE_CAP {
                out.extend(b" ");
                out.extend(encoded.as_bytes());
            } else {
                at_continuation.push_back(ended_by_crlf(encoded.as_bytes()));
            }
            out.extend(b"\r\n");
        } else if !credential.acts_for_another() && !capability::lists(capabilities, "LOGINDISABLED") {
            out.extend(b"L LOGIN");
            let mut sink = Sink { now: out, later: &mut at_continuation };
            sink.string(&credential.user)?;
            sink.string(credential.password.reveal())?;
            sink.bytes(b"\r\n");
        } else {
            return Err(Fault::NoMechanism);
        }
        Ok(Self { lines: Lines::default(), at_continuation, capabilities: None })
    }

    /// Whether the backend has been given the whole credential, once what was to be sent is sent: another try would be
    /// another login.
    pub fn is_delivered(&self) -> bool {
        self.at_continuation.is_empty()
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
                ServerLine::Continuation(_) => {
                    let chunk = self.at_continuation.pop_front().ok_or(Fault::OutOfStep)?;
                    out.extend(&chunk);
                }
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
            Condition::No => Ok(LoginStep::Refused { refused: map_refusal(text), alert: alert(text) }),
            Condition::Bad => Err(Fault::Bad),
            Condition::Bye | Condition::Preauth => Err(Fault::OutOfStep),
        }
    }
}

fn ended_by_crlf(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut line = Zeroizing::new(Vec::with_capacity(bytes.len() + 2));
    line.extend_from_slice(bytes);
    line.extend_from_slice(b"\r\n");
    line
}

/// Writes the arguments of LOGIN: what stands before the first literal now, the rest at continuations.
struct Sink<'a> {
    now: &'a mut SecretBuf,
    later: &'a mut VecDeque<Zeroizing<Vec<u8>>>,
}

impl Sink<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        match self.later.back_mut() {
            Some(last) => {
                let mut longer = Zeroizing::new(Vec::with_capacity(last.len() + bytes.len()));
                longer.extend_from_slice(last);
                longer.extend_from_slice(bytes);
                *last = longer;
            }
            None => self.now.extend(bytes),
        }
    }

    fn string(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if bytes.contains(&0) {
            return Err(Fault::NoMechanism);
        }
        if bytes.iter().all(|b| matches!(b, 0x20..=0x7e)) {
            let mut quoted = Zeroizing::new(Vec::with_capacity(bytes.len() * 2 + 3));
            quoted.push(b' ');
            id::write_quoted(bytes, &mut quoted);
            self.bytes(&quoted);
        } else {
            self.bytes(format!(" {{{}}}\r\n", bytes.len()).as_bytes());
            self.later.push_back(Zeroizing::new(bytes.to_vec()));
        }
        Ok(())
    }
}

/// Appends what tells the client that it is logged in: its capabilities where it would miss them, and the
/// tagged OK under its own tag.
pub fn hand_over(tag: &[u8], asked_capability: bool, accepted: &Accepted, out: &mut Vec<u8>) {
    let in_text = capability::code_names(&accepted.text).is_some();
    if let Some(names) = &accepted.capabilities
        && (asked_capability || !in_text)
    {
        out.extend_from_slice(b"* CAPABILITY");
        capability::scrub(names, out);
        out.extend_from_slice(b"\r\n");
    }
    super::reply::login_ok(tag, &accepted.text, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn credential(user: &[u8], password: &[u8]) -> Credential {
        Credential { authorize_as: Vec::new(), user: user.to_vec(), password: Secret::copy_of(password) }
    }

    fn begin(capabilities: &str, credential: &Credential) -> (Login, String) {
        let mut out = SecretBuf::default();
        let login =
            Login::begin(capabilities.as_bytes(), credential, &ClientId::default(), &[], &mut out).unwrap();
        (login, String::from_utf8_lossy(&out).into_owned())
    }

    #[test]
    fn opening_refuses_what_cannot_be_trusted() {
        for (start_tls, said, expected) in [
            (false, &b"* PREAUTH welcome\r\n"[..], Fault::Preauth),
            (false, b"* BYE go away\r\n", Fault::Bye),
            (false, b"+OK POP3 ready\r\n", Fault::Garbage),
            (true, b"* OK [CAPABILITY IMAP4rev1] hi\r\n", Fault::StartTlsMissing),
            (true, b"* OK hi\r\nS NO not today\r\n", Fault::StartTlsRefused),
            (true, b"* OK hi\r\nS OK go\r\n* OK injected\r\n", Fault::BytesBehindStartTls),
            (false, b"* OK hi\r\nX OK what\r\n", Fault::OutOfStep),
        ] {
            let mut opening = Opening::new(start_tls);
            opening.feed(said);
            assert_eq!(opening.step(&mut Vec::new()).unwrap_err(), expected, "{said:?}");
        }
        let mut opening = Opening::new(false);
        opening.feed(&vec![b'x'; LINE_CAP + 1]);
        assert_eq!(opening.step(&mut Vec::new()).unwrap_err(), Fault::TooMuch);
    }

    #[test]
    fn login_forms() {
        let anna = credential(b"anna", b"se\"cret");
        assert_eq!(
            begin("IMAP4rev1 AUTH=PLAIN SASL-IR", &anna).1,
            "L AUTHENTICATE PLAIN AGFubmEAc2UiY3JldA==\r\n"
        );
        let (mut login, sent) = begin("IMAP4rev1 AUTH=PLAIN", &anna);
        assert_eq!(sent, "L AUTHENTICATE PLAIN\r\n");
        login.feed(b"+ \r\n");
        let mut out = SecretBuf::default();
        assert!(matches!(login.step(&mut out), Ok(LoginStep::Need)));
        assert_eq!(&*out, b"AGFubmEAc2UiY3JldA==\r\n");
        assert_eq!(begin("IMAP4rev1", &anna).1, "L LOGIN \"anna\" \"se\\\"cret\"\r\n");
    }

    #[test]
    fn odd_octets_never_stand_on_a_command_line() {
        let (mut login, sent) = begin("IMAP4rev1", &credential(b"anna\r\nx DELETE INBOX", "pä".as_bytes()));
        assert_eq!(sent, "L LOGIN {20}\r\n");
        let mut out = SecretBuf::default();
        login.feed(b"+ ok\r\n");
        login.step(&mut out).unwrap();
        assert_eq!(&*out, b"anna\r\nx DELETE INBOX {3}\r\n");
        let mut out = SecretBuf::default();
        login.feed(b"+ ok\r\n");
        login.step(&mut out).unwrap();
        assert_eq!(&*out, "pä\r\n".as_bytes());
    }

    #[test]
    fn accepted_with_what_follows() {
        let (mut login, _) = begin("IMAP4rev1 AUTH=PLAIN SASL-IR", &credential(b"a", b"b"));
        login.feed(b"* CAPABILITY IMAP4rev1 IDLE\r\nL OK done\r\n* 3 EXISTS\r\n");
        let Ok(LoginStep::Accepted(accepted)) = login.step(&mut SecretBuf::default()) else { panic!() };
        assert_eq!(accepted.leftover, b"* 3 EXISTS\r\n");
        let mut out = Vec::new();
        hand_over(b"a7", false, &accepted, &mut out);
        assert_eq!(out, b"* CAPABILITY IMAP4rev1 IDLE\r\na7 OK done\r\n");
    }
}
