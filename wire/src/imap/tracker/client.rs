//! From the client to the backend: follows complete commands, and answers a few of them itself.

use super::super::command::{Assembler, Head, LiteralVerdict, Step as Piece, head, is_astring_char};
use super::super::id;
use super::super::literal::{Announced, announced};
use super::braces::Braces;
use super::{ANSWERS_CAP, Fault, HEAD_CAP, Moved, OPEN_CAP, Out, Tracker, UNJUDGED_CAP};
use memchr::{memchr, memchr3};

/// State of the client's side.
#[derive(Default)]
pub(super) enum Client {
    /// At the beginning of a command.
    #[default]
    LineStart,
    /// Within a line of a command that is passed on.
    InLine(Braces),
    /// Likewise, for IDLE.
    InIdleLine(Braces),
    /// Within a literal.
    Literal { remaining: u64 },
    /// A literal awaits the backend's continuation; `hidden` if the client does not wait for one.
    AwaitingContinuation { size: u64, hidden: bool },
    /// IDLE was sent; whether the next line is DONE or a command depends on the backend's answer.
    IdleAsked,
    /// In IDLE: the next line is DONE.
    Idling,
    /// Within a command that is answered here: `remaining` bytes of a literal, then the rest of the line.
    Swallowing { answer: Vec<u8>, remaining: u64, braces: Braces },
    /// The answer is held until earlier commands have been answered.
    Refusing { answer: Vec<u8> },
    /// Within an ID command, which is passed on without the fields that only a proxy may set.
    Id(Box<Assembler>),
}

/// The end of a line, or what has come of it.
enum Line {
    /// This many bytes are certainly not part of an announcement; the line continues after them.
    Part(usize),
    /// The line ends: its length in bytes without and with the line end.
    End { bare: usize, whole: usize },
}

impl Tracker {
    /// Takes what came from the client and says what goes to the backend.
    ///
    /// # Errors
    /// A [`Fault`] of the client's; nothing more of it may be sent on.
    pub fn client<'a>(&mut self, input: &'a [u8]) -> Result<Moved<'a>, Fault> {
        // Everything before `through` is passed on unchanged.
        let mut through = 0;
        loop {
            let rest = input.get(through..).unwrap_or_default();
            match &mut self.client {
                Client::Literal { remaining } => {
                    let run = usize::try_from(*remaining).unwrap_or(usize::MAX).min(rest.len());
                    *remaining -= run as u64;
                    through += run;
                    if *remaining > 0 {
                        break;
                    }
                    self.client = Client::InLine(Braces::default());
                }
                Client::InLine(braces) | Client::InIdleLine(braces) => match line(rest)? {
                    Line::Part(certain) => {
                        braces.follow(rest.get(..certain).unwrap_or_default());
                        through += certain;
                        break;
                    }
                    Line::End { bare, whole } => {
                        let line = rest.get(..bare).unwrap_or_default();
                        let literal = literal(line, braces)?;
                        self.line_ended(literal);
                        let bare = through + bare;
                        through += whole;
                        if let Client::AwaitingContinuation { hidden: true, .. } = self.client {
                            // Without its plus, so that the backend decides: one that considers the command finished
                            // would read the literal's bytes as commands.
                            let without_plus = input.get(..bare.saturating_sub(2)).unwrap_or_default();
                            let out = Out::Insert([without_plus, b"}\r\n"].concat());
                            return Ok(Moved { taken: through, out });
                        }
                        if bare + 1 == through {
                            // A bare LF is a line end to one backend and text to another.
                            let out = Out::Insert([input.get(..bare).unwrap_or_default(), b"\r\n"].concat());
                            return Ok(Moved { taken: through, out });
                        }
                    }
                },
                Client::LineStart => {
                    let Some(beginning) = beginning(rest) else { break };
                    if self.open.len() >= OPEN_CAP || self.answers.len() >= ANSWERS_CAP {
                        break;
                    }
                    self.begin_command(beginning);
                }
                _ if through > 0 => break,
                Client::AwaitingContinuation { .. } | Client::IdleAsked => break,
                Client::Swallowing { .. } => return self.swallow(rest),
                Client::Refusing { answer } => {
                    if !self.open.is_empty() {
                        break;
                    }
                    self.answers.append(answer);
                    self.client = Client::LineStart;
                }
                Client::Idling => return Ok(self.idling(rest)),
                Client::Id(_) => return self.id(rest),
            }
        }
        match input.get(..through) {
            Some(forward) if through > 0 => Ok(Moved { taken: through, out: Out::Forward(forward) }),
            _ => Ok(Moved::STUCK),
        }
    }

    fn begin_command(&mut self, beginning: &[u8]) {
        let Head { tag, verb } = head(beginning);
        let Some(tag) = tag else {
            self.client = swallowing(b"*", "BAD Invalid tag.");
            return;
        };
        let only_a_tag = tag.len() == beginning.len();
        if !only_a_tag && (verb.is_empty() || !verb.iter().all(|b| is_verb_char(*b))) {
            self.client = swallowing(tag, "BAD Invalid command.");
            return;
        }
        self.client = match verb.to_ascii_uppercase().as_slice() {
            b"UNAUTHENTICATE" | b"COMPRESS" => swallowing(tag, "NO Not available here."),
            // A lenient backend would let in somebody else, whom nobody has routed.
            b"LOGIN" | b"AUTHENTICATE" | b"PROXYAUTH" => swallowing(tag, "BAD Already logged in."),
            b"STARTTLS" => swallowing(tag, "BAD Not after login."),
            b"ID" => Client::Id(Box::default()),
            // A server need not look for a literal here, so none is allowed.
            b"IDLE" if beginning.len() > tag.len() + 1 + verb.len() => {
                swallowing(tag, "BAD Invalid command.")
            }
            b"IDLE" => {
                self.open.push_back(tag.into());
                Client::InIdleLine(Braces::default())
            }
            other => {
                self.logged_out |= other == b"LOGOUT";
                self.open.push_back(tag.into());
                Client::InLine(Braces::default())
            }
        };
    }

    /// A line of a command that is passed on has ended, with or without a literal.
    fn line_ended(&mut self, literal: Option<(u64, Wait)>) {
        self.client = match (literal, &self.client) {
            (Some((size, wait)), _) => {
                Client::AwaitingContinuation { size, hidden: matches!(wait, Wait::Never) }
            }
            (None, Client::InIdleLine(_)) => Client::IdleAsked,
            (None, _) => Client::LineStart,
        };
    }

    fn swallow<'a>(&mut self, input: &'a [u8]) -> Result<Moved<'a>, Fault> {
        let Client::Swallowing { answer, remaining, braces } = &mut self.client else {
            return Ok(Moved::STUCK);
        };
        if *remaining > 0 {
            let run = usize::try_from(*remaining).unwrap_or(usize::MAX).min(input.len());
            *remaining -= run as u64;
            return Ok(Moved { taken: run, out: Out::Nothing });
        }
        match line(input)? {
            Line::Part(certain) => {
                braces.follow(input.get(..certain).unwrap_or_default());
                Ok(Moved { taken: certain, out: Out::Nothing })
            }
            Line::End { bare, whole } => {
                match literal(input.get(..bare).unwrap_or_default(), braces)? {
                    Some((size, Wait::Never)) => (*remaining, *braces) = (size, Braces::default()),
                    // A client that waits for a continuation gets the answer instead.
                    Some((_, Wait::ForWord)) | None if answer.is_empty() => self.client = Client::LineStart,
                    Some((_, Wait::ForWord)) | None => {
                        self.client = Client::Refusing { answer: std::mem::take(answer) };
                    }
                }
                Ok(Moved { taken: whole, out: Out::Nothing })
            }
        }
    }

    /// In IDLE only DONE is passed on. Anything else ends IDLE too, as it does in servers. The line itself never
    /// reaches the backend, which might take it for a command; it is answered here, after the end of IDLE.
    fn idling(&mut self, input: &[u8]) -> Moved<'static> {
        let line = match memchr(b'\n', input) {
            Some(lf) => input.get(..lf).unwrap_or_default(),
            None if input.len() < HEAD_CAP => return Moved::STUCK,
            None => input,
        };
        let is_whole = line.len() < input.len();
        let bare = line.strip_suffix(b"\r").unwrap_or(line);
        let done = || Out::Insert(b"DONE\r\n".to_vec());
        if is_whole && bare.eq_ignore_ascii_case(b"DONE") {
            self.client = Client::LineStart;
            return Moved { taken: line.len() + 1, out: done() };
        }
        let beginning = bare.get(..HEAD_CAP).unwrap_or(bare);
        self.client = swallowing(head(beginning).tag.unwrap_or(b"*"), "BAD Expected DONE.");
        Moved { taken: 0, out: done() }
    }

    fn id<'a>(&mut self, input: &'a [u8]) -> Result<Moved<'a>, Fault> {
        let Client::Id(assembler) = &mut self.client else { return Ok(Moved::STUCK) };
        // Up to a line end and no further: the command ends with a line, and what follows is not part of it.
        let most = assembler.room().min(input.len());
        let input = input.get(..most).unwrap_or_default();
        let taken = memchr(b'\n', input).map_or(input.len(), |lf| lf + 1);
        assembler.feed(input.get(..taken).unwrap_or_default());
        let out = match assembler.step(&|_| LiteralVerdict::UpTo(64)) {
            Piece::Need => Out::Nothing,
            Piece::Continue => {
                self.answers.extend_from_slice(b"+ OK\r\n");
                Out::Nothing
            }
            Piece::Fatal { .. } => return Err(Fault::Endless),
            Piece::Refused { tag, .. } => {
                self.client = refusing(tag.as_deref().unwrap_or(b"*"), "BAD Malformed ID.");
                Out::Nothing
            }
            Piece::Command(command) => {
                let tag = command.head().tag.unwrap_or(b"*");
                match id::parse(&command) {
                    Ok(pairs) => {
                        let mut line = tag.to_vec();
                        line.extend_from_slice(b" ID ");
                        id::write(&pairs, &[], &mut line);
                        line.extend_from_slice(b"\r\n");
                        self.open.push_back(tag.into());
                        self.client = Client::LineStart;
                        Out::Insert(line)
                    }
                    Err(_) => {
                        self.client = refusing(tag, "BAD Malformed ID.");
                        Out::Nothing
                    }
                }
            }
        };
        Ok(Moved { taken, out })
    }

    /// Whether the client is unaware of the continuation that is awaited.
    pub(super) fn hides_continuation(&self) -> bool {
        matches!(self.client, Client::AwaitingContinuation { hidden: true, .. })
    }

    /// The backend has sent a continuation.
    pub(super) fn continued(&mut self) {
        match self.client {
            Client::AwaitingContinuation { size, .. } => self.client = Client::Literal { remaining: size },
            Client::IdleAsked => self.client = Client::Idling,
            _ => {}
        }
    }

    /// The backend has answered the command `tag`.
    pub(super) fn completed(&mut self, tag: &[u8]) {
        let Some(at) = self.open.iter().position(|open| &**open == tag) else { return };
        self.open.remove(at);
        // Only the latest command can be waiting for a continuation or be in IDLE.
        let youngest_answered = at == self.open.len();
        if self.open.is_empty() {
            self.open.shrink_to_fit();
        }
        match &mut self.client {
            // The client has sent the literal anyway, and the rest of a command that is already over.
            Client::AwaitingContinuation { size, hidden: true } if youngest_answered => {
                self.client =
                    Client::Swallowing { answer: Vec::new(), remaining: *size, braces: Braces::default() };
            }
            Client::AwaitingContinuation { .. } | Client::IdleAsked | Client::Idling if youngest_answered => {
                self.client = Client::LineStart;
            }
            // At once rather than when the client sends more: it may be waiting for this very answer.
            Client::Refusing { answer } if self.open.is_empty() => {
                self.answers.append(answer);
                self.client = Client::LineStart;
            }
            _ => {}
        }
    }

    /// Whether the client's next bytes wait for the backend, or for usher's own answers to be sent.
    pub fn client_waits(&self) -> bool {
        match self.client {
            Client::AwaitingContinuation { .. } | Client::IdleAsked => true,
            Client::Refusing { .. } => !self.open.is_empty(),
            Client::LineStart => self.open.len() >= OPEN_CAP || self.answers.len() >= ANSWERS_CAP,
            _ => false,
        }
    }
}

fn answer(tag: &[u8], text: &str) -> Vec<u8> {
    [tag, b" ", text.as_bytes(), b"\r\n"].concat()
}

fn swallowing(tag: &[u8], text: &str) -> Client {
    Client::Swallowing { answer: answer(tag, text), remaining: 0, braces: Braces::default() }
}

fn refusing(tag: &[u8], text: &str) -> Client {
    Client::Refusing { answer: answer(tag, text) }
}

/// Enough of a line to read tag and verb; `None` when more is needed.
fn beginning(input: &[u8]) -> Option<&[u8]> {
    let head = input.get(..HEAD_CAP).unwrap_or(input);
    match memchr(b'\n', head) {
        Some(lf) => {
            let line = head.get(..lf).unwrap_or_default();
            Some(line.strip_suffix(b"\r").unwrap_or(line))
        }
        None if head.len() == HEAD_CAP || head.iter().filter(|b| **b == b' ').nth(1).is_some() => Some(head),
        None => None,
    }
}

/// Follows a command line to its end. Bytes that may belong to an announcement or to a line end are not judged until
/// the rest has come.
fn line(input: &[u8]) -> Result<Line, Fault> {
    let mut from = 0;
    loop {
        let unread = input.get(from..).unwrap_or_default();
        let Some(found) = memchr3(b'\n', b'\r', 0, unread) else { break };
        let at = from + found;
        match (input.get(at), input.get(at + 1)) {
            (Some(b'\n'), _) => {
                let bare = if at > 0 && input.get(at - 1) == Some(&b'\r') { at - 1 } else { at };
                return Ok(Line::End { bare, whole: at + 1 });
            }
            (Some(b'\r'), Some(b'\n')) => from = at + 1,
            (Some(b'\r'), None) => break,
            _ => return Err(Fault::ControlOctet),
        }
    }
    let tail = input.iter().rposition(|b| !matches!(b, b'0'..=b'9' | b'+' | b'}' | b'\r'));
    let unjudged = match tail {
        Some(at) if input.get(at) == Some(&b'{') => input.len() - at,
        _ if input.last() == Some(&b'\r') => 1,
        _ => 0,
    };
    if unjudged > UNJUDGED_CAP { Err(Fault::Endless) } else { Ok(Line::Part(input.len() - unjudged)) }
}

/// What a client does after it has announced a literal.
enum Wait {
    /// It waits for a continuation.
    ForWord,
    /// It goes on at once.
    Never,
}

/// The literal announced by the end of a command line; `braces` has followed the earlier parts of the line.
///
/// A line that ends in a brace is either exactly an announcement or has no brace that could open one. Everything
/// between may be a literal to one server and text to another: some read `{+13}` or `{13 }` as thirteen bytes.
fn literal(line: &[u8], braces: &mut Braces) -> Result<Option<(u64, Wait)>, Fault> {
    braces.follow(line);
    match announced(line) {
        Announced::Literal { size, sync } if !braces.in_quotes => {
            Ok(Some((size, if sync { Wait::ForWord } else { Wait::Never })))
        }
        Announced::Literal { .. } => Err(Fault::AmbiguousLiteral),
        Announced::Malformed { .. } | Announced::Nothing if braces.may_announce() => {
            Err(Fault::AmbiguousLiteral)
        }
        Announced::Malformed { .. } | Announced::Nothing => Ok(None),
    }
}

fn is_verb_char(b: u8) -> bool {
    is_astring_char(b) && b != b'"'
}
