//! The responses of one backend connection.

use super::chunked::Chunked;
use super::fields::{Lengths, Places, fields};
use super::head::{HeadBuffer, Taken, split};
use super::{Caps, Fault, Framing, Head, Sink};

/// Most interim responses before a final one.
const INTERIM_CAP: u32 = 16;

/// What was requested, as far as it determines the length of the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// A response with a body, or without.
    Any,
    /// The answer to HEAD: never a body.
    HeadOnly,
}

#[derive(Debug)]
enum State {
    /// Nothing was requested, so nothing may come.
    Quiet,
    Head(HeadBuffer),
    Sized(u64),
    Chunked(Chunked),
    UntilClose,
    /// Another protocol.
    Tunnel,
}

/// Judges what a backend sends, byte by byte.
#[derive(Debug)]
pub struct ResponseReader {
    state: State,
    expected: Expected,
    interim: u32,
}

impl Default for ResponseReader {
    fn default() -> Self {
        Self { state: State::Quiet, expected: Expected::Any, interim: 0 }
    }
}

impl ResponseReader {
    /// A request goes out.
    pub fn expect(&mut self, expected: Expected) {
        *self = Self { state: State::Head(HeadBuffer::default()), expected, interim: 0 };
    }

    /// Validates `input` and appends all of it to `out`.
    ///
    /// # Errors
    /// The first [`Fault`], after which the connection is useless.
    pub fn read(&mut self, input: &[u8], sink: &mut impl Sink) -> Result<(), Fault> {
        let mut rest = input;
        while !rest.is_empty() {
            let step = match &mut self.state {
                State::Quiet => return Err(Fault::Malformed("unasked")),
                State::Head(gathered) => {
                    let (step, taken) = gathered.take(rest, &Caps::RESPONSE)?;
                    match taken {
                        Taken::Part => {}
                        Taken::StartLine => drop(status(gathered.start_line())?),
                        Taken::Whole => {
                            let mut head = Head::new(gathered.finish());
                            self.state = match self.judge(&mut head) {
                                Err(Fault::Malformed("field-name" | "folded-field" | "field")) => {
                                    // Mostly there is nothing to mend.
                                    head = Head::new(mended(head.bytes));
                                    self.judge(&mut head)?
                                }
                                judged => judged?,
                            };
                            sink.head(head);
                        }
                    }
                    step
                }
                State::Sized(left) => {
                    let step = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    sink.data(rest.get(..step).unwrap_or_default());
                    self.passed(step);
                    step
                }
                State::Chunked(chunked) => {
                    let step = chunked.take(rest, sink)?;
                    if chunked.is_done() {
                        self.state = State::Quiet;
                    }
                    step
                }
                State::UntilClose | State::Tunnel => {
                    sink.data(rest);
                    rest.len()
                }
            };
            rest = rest.get(step..).unwrap_or_default();
        }
        Ok(())
    }

    /// How many of the next bytes need no judging.
    pub fn free(&self) -> u64 {
        match &self.state {
            State::Sized(left) => *left,
            State::UntilClose | State::Tunnel => u64::MAX,
            State::Quiet | State::Head(_) | State::Chunked(_) => 0,
        }
    }

    /// Whether nothing of a response is to come.
    pub fn is_quiet(&self) -> bool {
        matches!(self.state, State::Quiet)
    }

    /// How many bytes of the body are to come, where that is known.
    pub fn left(&self) -> Option<u64> {
        match &self.state {
            State::Quiet => Some(0),
            State::Sized(left) => Some(*left),
            State::Head(_) | State::Chunked(_) | State::UntilClose | State::Tunnel => None,
        }
    }

    /// The backend has closed the connection. Returns whether nothing is missing.
    pub fn close(&mut self) -> bool {
        if matches!(self.state, State::UntilClose) {
            self.state = State::Quiet;
        }
        self.is_quiet()
    }

    /// Notes that `count` bytes, at most as many as are free, went on without being judged.
    pub fn passed(&mut self, count: usize) {
        if let State::Sized(left) = &mut self.state {
            *left = left.saturating_sub(count as u64);
            if *left == 0 {
                self.state = State::Quiet;
            }
        }
    }

    fn judge(&mut self, head: &mut Head) -> Result<State, Fault> {
        let (line, block) = split(&head.bytes);
        let mut places = Places::new();
        let status = status(line)?;
        let mut lengths = Lengths::default();
        for field in fields(block, Caps::RESPONSE.fields) {
            let field = field?;
            places.note(&head.bytes, &field);
            lengths.note(&field)?;
        }
        head.set_fields(places.into_inner());
        if status == 101 {
            return Ok(State::Tunnel);
        }
        if status < 200 {
            self.interim += 1;
            if self.interim > INTERIM_CAP {
                return Err(Fault::Malformed("too-many-interim"));
            }
            return Ok(State::Head(HeadBuffer::default()));
        }
        let framing = match lengths {
            _ if self.expected == Expected::HeadOnly || matches!(status, 204 | 304) => Framing::Sized(0),
            Lengths { chunked: true, .. } => Framing::Chunked,
            Lengths { sized: Some(length), .. } => Framing::Sized(length),
            Lengths { .. } => Framing::UntilClose,
        };
        Ok(match framing {
            Framing::Sized(0) => State::Quiet,
            Framing::Sized(length) => State::Sized(length),
            Framing::Chunked => State::Chunked(Chunked::lenient()),
            Framing::UntilClose => State::UntilClose,
        })
    }
}

/// `head` without blanks between names and colons, and with each value on one line, as a proxy must pass responses on
/// (RFC 9112 sections 5.1 and 5.2).
fn mended(head: Vec<u8>) -> Vec<u8> {
    let (_, block) = split(&head);
    // Most heads need no second look.
    let is_suspicious = |at: usize| {
        let before = at.checked_sub(1).and_then(|at| block.get(at));
        before.is_none_or(|before| *before == b'\n') || block.get(at + 1) == Some(&b':')
    };
    if !memchr::memchr2_iter(b' ', b'\t', block).any(is_suspicious) {
        return head;
    }
    let blank_before_colon = |line: &[u8]| {
        let colon = memchr::memchr(b':', line)?;
        let name = line.get(..colon)?.trim_ascii_end();
        (name.len() < colon && !name.first()?.is_ascii_whitespace()).then_some((name.len(), colon))
    };
    let is_folded = |line: &[u8]| matches!(line.first(), Some(b' ' | b'\t'));
    let needs_mending = |line: &[u8]| is_folded(line) || blank_before_colon(line).is_some();
    if !block.split_inclusive(|b| *b == b'\n').any(needs_mending) {
        return head;
    }
    let mut mended = Vec::with_capacity(head.len());
    // A status line may have a colon in its reason.
    for (at, line) in head.split_inclusive(|b| *b == b'\n').enumerate() {
        if at > 1 && is_folded(line) {
            mended.truncate(mended.len() - b"\r\n".len());
            mended.push(b' ');
            mended.extend_from_slice(line.trim_ascii_start());
            if line.trim_ascii().is_empty() {
                mended.extend_from_slice(b"\r\n");
            }
            continue;
        }
        match blank_before_colon(line).filter(|_| at > 0) {
            Some((name, colon)) => {
                mended.extend_from_slice(line.get(..name).unwrap_or_default());
                mended.extend_from_slice(line.get(colon..).unwrap_or_default());
            }
            None => mended.extend_from_slice(line),
        }
    }
    mended
}

/// The status of `HTTP/1.1 200 OK`.
fn status(line: &[u8]) -> Result<u16, Fault> {
    let bad = Fault::Malformed("status-line");
    let rest = line.strip_prefix(b"HTTP/1.").ok_or(bad)?;
    let [b'0' | b'1', b' ', digits @ ..] = rest else { return Err(bad) };
    let (code, reason) = digits.split_at_checked(3).ok_or(bad)?;
    if !(reason.is_empty() || reason.starts_with(b" "))
        || reason.iter().any(|b| b.is_ascii_control() && *b != b'\t')
    {
        return Err(bad);
    }
    let text = std::str::from_utf8(code).map_err(|_| bad)?;
    let code: u16 = text.parse().map_err(|_| bad)?;
    (100..600).contains(&code).then_some(code).ok_or(bad)
}
