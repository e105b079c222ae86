//! The server side before login: from the greeting to a claim.
//!
//! A [`Preauth`] consumes what the client sends and answers it, until the client claims an identity, asks for TLS, or
//! is to be disconnected. It knows no users and no hosts.

mod answers;
mod claim;
mod exchange;
mod literals;
mod words;

pub use answers::Answer;
pub use claim::{Claim, CloseCause};

use self::exchange::{Exchange, Transition};
use self::literals::literal_policy;
use self::words::{NEEDS_LOGIN, is_http};
use super::args::{Args, BadArgument};
use super::capability::{self, Offer, Privacy};
use super::command::{Assembler, Command, Fatal, Head, Refusal, Step as Piece};
use super::id::{self, ClientId};
use super::reply::{self, Code};
use super::sasl::{Credential, Mechanism};
use crate::secret::{Secret, SecretBuf};

/// Invalid commands after which the connection ends.
const INVALID_CAP: u8 = 3;

/// Proof that not a single plaintext byte follows STARTTLS (RFC 9051 section 6.2.1). TLS on the plaintext port begins
/// only with this proof, and only [`Preauth::step`] creates it.
#[derive(Debug)]
pub struct PlainDrained(());

/// The result of the bytes so far. Answers are in `out` and must be sent before anything else is done.
#[derive(Debug)]
pub enum Step {
    /// Nothing yet: feed more.
    Need,
    /// Something was answered; there may be more to do.
    Answered,
    /// TLS is to be started; this conversation is over.
    StartTls(PlainDrained),
    /// The client claims to be someone. It waits until [`Preauth::refuse`] or until it is handed over.
    Claim(Box<Claim>),
    /// Nothing more is to be read.
    Close(CloseCause),
}

enum Mode {
    Commands,
    Sasl {
        tag: Vec<u8>,
        exchange: Exchange,
    },
    /// A token is refused, the client has been told why, and the refusal waits for its answer (RFC 7628 section 3.2.3).
    Refusing {
        tag: Vec<u8>,
        code: Code,
        alert: Option<String>,
    },
}

/// The conversation before login.
pub struct Preauth {
    assembler: Assembler,
    privacy: Privacy,
    mode: Mode,
    invalid: u8,
    asked_capability: bool,
    client_id: ClientId,
    offer: Offer,
}

/// Appends the greeting of a server called `name`.
pub fn greet(privacy: Privacy, offer: &Offer, name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"* OK [CAPABILITY ");
    capability::before_login(privacy, offer, out);
    for part in ["] ", name, " ready\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

impl Preauth {
    /// A conversation in which nothing has been said.
    pub fn new(privacy: Privacy, offer: Offer) -> Self {
        Self {
            assembler: Assembler::default(),
            privacy,
            mode: Mode::Commands,
            invalid: 0,
            asked_capability: false,
            client_id: ClientId::default(),
            offer,
        }
    }

    /// How many bytes may be fed now.
    pub fn room(&self) -> usize {
        self.assembler.room()
    }

    /// Takes what came from the client, at most [`Preauth::room`] bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.assembler.feed(bytes);
    }

    /// What the client sent after its login command, for the backend.
    pub fn into_leftover(self) -> SecretBuf {
        self.assembler.into_leftover()
    }

    /// Works on the next command.
    pub fn step(&mut self, out: &mut Vec<u8>) -> Step {
        match std::mem::replace(&mut self.mode, Mode::Commands) {
            Mode::Commands => self.command_step(out),
            Mode::Sasl { tag, exchange } => self.sasl_step(tag, exchange, out),
            Mode::Refusing { tag, code, alert } => self.refusing_step(tag, code, alert, out),
        }
    }

    fn command_step(&mut self, out: &mut Vec<u8>) -> Step {
        let privacy = self.privacy;
        match self.assembler.step(&|head| literal_policy(privacy, head)) {
            Piece::Need => Step::Need,
            Piece::Continue => {
                out.extend_from_slice(b"+ OK\r\n");
                Step::Answered
            }
            Piece::Command(command) => self.command(&command, out),
            Piece::Refused { tag, why: Refusal::PrivacyRequired } => {
                reply::no(tag.as_deref().unwrap_or(b"*"), Code::PrivacyRequired, out);
                Step::Answered
            }
            Piece::Refused { tag, why: Refusal::Literals } => {
                self.invalid(tag.as_deref(), "Literal not accepted.", out)
            }
            Piece::Refused { tag, why: Refusal::MalformedLiteral } => {
                self.invalid(tag.as_deref(), "Malformed literal.", out)
            }
            Piece::Fatal { tag, why } => self.fatal(tag.as_deref(), why, out),
        }
    }

    fn command(&mut self, command: &Command, out: &mut Vec<u8>) -> Step {
        if is_http(&command.bytes) {
            return Step::Close(CloseCause::Http);
        }
        let Head { tag, verb } = command.head();
        let Some(tag) = tag else { return self.invalid(None, "Invalid tag.", out) };
        let no_arguments = Args::new(command).end();
        match verb.to_ascii_uppercase().as_slice() {
            b"LOGIN" => self.login(tag, command, out),
            b"AUTHENTICATE" => self.authenticate(tag, command, out),
            b"ID" => self.id(tag, command, out),
            b"ENABLE" => self.enable(tag, command, out),
            b"CAPABILITY" | b"NOOP" | b"LOGOUT" | b"STARTTLS" if no_arguments.is_err() => {
                self.invalid(Some(tag), "No arguments expected.", out)
            }
            b"CAPABILITY" => {
                self.asked_capability = true;
                out.extend_from_slice(b"* CAPABILITY ");
                capability::before_login(self.privacy, &self.offer, out);
                out.extend_from_slice(b"\r\n");
                reply::line(Some(tag), "OK Capability completed.", out);
                Step::Answered
            }
            b"NOOP" => {
                reply::line(Some(tag), "OK Nothing done.", out);
                Step::Answered
            }
            b"LOGOUT" => {
                reply::line(None, "BYE Logging out.", out);
                reply::line(Some(tag), "OK Logout completed.", out);
                Step::Close(CloseCause::Logout)
            }
            b"STARTTLS" => self.start_tls(tag, out),
            known if NEEDS_LOGIN.contains(&known) => {
                reply::line(Some(tag), "BAD Log in first.", out);
                Step::Answered
            }
            _ => self.invalid(Some(tag), "Unknown command.", out),
        }
    }

    fn start_tls(&mut self, tag: &[u8], out: &mut Vec<u8>) -> Step {
        if self.privacy == Privacy::Tls {
            return self.invalid(Some(tag), "TLS is already active.", out);
        }
        if !self.assembler.is_drained() {
            reply::line(Some(tag), "BAD Nothing may follow STARTTLS before TLS.", out);
            return Step::Close(CloseCause::BytesBehindStartTls);
        }
        reply::line(Some(tag), "OK Begin TLS negotiation now.", out);
        Step::StartTls(PlainDrained(()))
    }

    fn login(&mut self, tag: &[u8], command: &Command, out: &mut Vec<u8>) -> Step {
        if self.privacy == Privacy::Clear {
            reply::no(tag, Code::PrivacyRequired, out);
            return Step::Answered;
        }
        if !self.offer.has(Mechanism::Login) {
            reply::line(Some(tag), "NO LOGIN is disabled here.", out);
            return Step::Answered;
        }
        let parsed = (|| {
            let mut args = Args::new(command);
            args.space()?;
            let user = args.login_argument()?.into_owned();
            args.space()?;
            let password = Secret::from(args.login_argument()?.into_owned());
            args.end()?;
            Ok::<_, BadArgument>(Credential::with_password(user, password))
        })();
        match parsed {
            Ok(credential) => self.claim(tag.to_vec(), Mechanism::Login, credential),
            Err(BadArgument) => self.invalid(Some(tag), "LOGIN takes a user and a password.", out),
        }
    }

    fn authenticate(&mut self, tag: &[u8], command: &Command, out: &mut Vec<u8>) -> Step {
        if self.privacy == Privacy::Clear {
            reply::no(tag, Code::PrivacyRequired, out);
            return Step::Answered;
        }
        let parsed = (|| {
            let mut args = Args::new(command);
            args.space()?;
            let mechanism = args.word()?;
            let initial = match args.end() {
                Ok(()) => None,
                Err(BadArgument) => {
                    args.space()?;
                    let initial = args.word()?;
                    args.end()?;
                    Some(initial)
                }
            };
            Ok::<_, BadArgument>((mechanism, initial))
        })();
        let Ok((name, initial)) = parsed else {
            return self.invalid(Some(tag), "AUTHENTICATE takes a mechanism.", out);
        };
        let offered = Mechanism::named(name).filter(|mechanism| self.offer.has(*mechanism));
        let Some(exchange) = offered.and_then(Exchange::begin) else {
            reply::line(Some(tag), "NO Unsupported authentication mechanism.", out);
            return Step::Answered;
        };
        match initial {
            // An initial response of no bytes is written as "=" (RFC 4959 section 3).
            Some(b"=") => self.sasl_message(tag.to_vec(), exchange, b"", out),
            Some(initial) => self.sasl_message(tag.to_vec(), exchange, initial, out),
            None => self.prompt(tag.to_vec(), exchange, out),
        }
    }

    fn prompt(&mut self, tag: Vec<u8>, exchange: Exchange, out: &mut Vec<u8>) -> Step {
        out.extend_from_slice(b"+ ");
        out.extend_from_slice(exchange.challenge());
        out.extend_from_slice(b"\r\n");
        self.mode = Mode::Sasl { tag, exchange };
        Step::Answered
    }

    fn sasl_step(&mut self, tag: Vec<u8>, exchange: Exchange, out: &mut Vec<u8>) -> Step {
        match self.assembler.sasl_line() {
            Ok(None) => {
                self.mode = Mode::Sasl { tag, exchange };
                Step::Need
            }
            Ok(Some(line)) if line.as_slice() == b"*" => {
                reply::line(Some(&tag), "BAD Authentication cancelled.", out);
                Step::Answered
            }
            Ok(Some(line)) => self.sasl_message(tag, exchange, &line, out),
            Err(why) => self.fatal(Some(&tag), why, out),
        }
    }

    fn sasl_message(&mut self, tag: Vec<u8>, exchange: Exchange, line: &[u8], out: &mut Vec<u8>) -> Step {
        let mechanism = exchange.mechanism();
        match exchange.tell(line) {
            Transition::Goes(exchange) => self.prompt(tag, exchange, out),
            Transition::Claimed(credential) => self.claim(tag, mechanism, credential),
            Transition::Malformed(why) => {
                reply::line(Some(&tag), &format!("BAD {why}"), out);
                Step::Answered
            }
        }
    }

    fn claim(&mut self, tag: Vec<u8>, mechanism: Mechanism, credential: Credential) -> Step {
        Step::Claim(Box::new(Claim {
            tag,
            mechanism,
            credential,
            client_id: self.client_id.clone(),
            asked_capability: self.asked_capability,
        }))
    }

    fn id(&mut self, tag: &[u8], command: &Command, out: &mut Vec<u8>) -> Step {
        match id::parse(command) {
            Ok(id) => {
                self.client_id = id;
                reply::line(None, r#"ID ("name" "usher")"#, out);
                reply::line(Some(tag), "OK ID completed.", out);
                Step::Answered
            }
            Err(BadArgument) => self.invalid(Some(tag), "Malformed ID.", out),
        }
    }

    /// Nothing can be enabled before login, and asking is no error (RFC 5161 section 3.1).
    fn enable(&mut self, tag: &[u8], command: &Command, out: &mut Vec<u8>) -> Step {
        let mut args = Args::new(command);
        if args.space().and_then(|()| args.word()).is_err() {
            return self.invalid(Some(tag), "ENABLE takes capabilities.", out);
        }
        reply::line(None, "ENABLED", out);
        reply::line(Some(tag), "OK Nothing enabled.", out);
        Step::Answered
    }

    fn invalid(&mut self, tag: Option<&[u8]>, text: &str, out: &mut Vec<u8>) -> Step {
        self.invalid += 1;
        if self.invalid >= INVALID_CAP {
            reply::line(None, "BYE Too many invalid commands.", out);
            return Step::Close(CloseCause::TooManyInvalid);
        }
        reply::line(tag, &format!("BAD {text}"), out);
        Step::Answered
    }

    fn fatal(&mut self, tag: Option<&[u8]>, why: Fatal, out: &mut Vec<u8>) -> Step {
        match why {
            Fatal::LineTooLong => {
                reply::line(None, "BYE Line too long.", out);
                Step::Close(CloseCause::LineTooLong)
            }
            Fatal::LiteralTooLarge => {
                reply::line(None, "BYE [TOOBIG] Literal too large.", out);
                Step::Close(CloseCause::LiteralTooLarge)
            }
            Fatal::ControlOctet => {
                reply::line(tag, "BAD NUL or bare CR in a command.", out);
                Step::Close(CloseCause::ControlOctet)
            }
        }
    }
}
