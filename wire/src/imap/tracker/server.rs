//! From the backend to the client: where responses end, which commands are answered, and what is listed.

use super::super::capability::scrub_line;
use super::super::literal::{Announced, LONGEST_ANNOUNCEMENT, announced};
use super::super::reply::{Condition, ServerLine, parse_server_line};
use super::{Fault, HEAD_CAP, Moved, Out, Tracker, UNJUDGED_CAP};
use memchr::memchr;

/// Where the server's side stands.
#[derive(Default)]
pub(super) enum Server {
    /// Between two responses.
    #[default]
    LineStart,
    /// Within a line that may announce a literal.
    InData,
    /// Within a line of free text; braces at its end mean nothing.
    InText(Means),
    /// Within a literal.
    Literal { remaining: u64 },
}

/// What the end of a line means to the client's side.
pub(super) enum Means {
    Nothing,
    Continuation,
    Answer(Box<[u8]>),
}

impl Server {
    pub(super) fn at_boundary(&self) -> bool {
        matches!(self, Self::LineStart)
    }
}

impl Tracker {
    /// Takes what came from the backend and returns what goes to the client. With `stop`, goes no further than the end
    /// of the current response.
    ///
    /// # Errors
    /// A [`Fault`] of the backend's.
    pub fn server<'a>(&mut self, input: &'a [u8], stop: bool) -> Result<Moved<'a>, Fault> {
        // Everything before `through` goes on as it is.
        let mut through = 0;
        loop {
            let rest = input.get(through..).unwrap_or_default();
            match &mut self.server {
                Server::Literal { remaining } => {
                    let run = usize::try_from(*remaining).unwrap_or(usize::MAX).min(rest.len());
                    *remaining -= run as u64;
                    through += run;
                    if *remaining > 0 {
                        break;
                    }
                    self.server = Server::InData;
                }
                Server::InData => match memchr(b'\n', rest) {
                    Some(lf) => {
                        through += lf + 1;
                        let line = rest.get(..lf).unwrap_or_default();
                        self.server = match announced(line.strip_suffix(b"\r").unwrap_or(line)) {
                            Announced::Literal { size, .. } => Server::Literal { remaining: size },
                            Announced::Malformed { .. } | Announced::Nothing => Server::LineStart,
                        };
                    }
                    None => {
                        through += rest.len() - unjudged(rest);
                        break;
                    }
                },
                Server::InText(means) => match memchr(b'\n', rest) {
                    Some(lf) => {
                        through += lf + 1;
                        let means = std::mem::replace(means, Means::Nothing);
                        self.server = Server::LineStart;
                        self.response_ended(&means);
                    }
                    None => {
                        through = input.len();
                        break;
                    }
                },
                Server::LineStart => {
                    if stop || !self.answers.is_empty() {
                        break;
                    }
                    let Some(head) = head_of(rest) else { break };
                    if lists_capabilities(head) {
                        if through > 0 {
                            break;
                        }
                        return self.scrubbed(rest);
                    }
                    if head.first() == Some(&b'+') && self.hides_continuation() {
                        if through > 0 {
                            break;
                        }
                        return self.hidden_continuation(rest);
                    }
                    self.server = kind(head);
                    self.said_bye |= is_bye(head);
                }
            }
        }
        match input.get(..through) {
            Some(forward) if through > 0 => Ok(Moved { taken: through, out: Out::Forward(forward) }),
            _ => Ok(Moved::STUCK),
        }
    }

    /// Hides from the client a continuation that it did not wait for.
    fn hidden_continuation<'a>(&mut self, input: &'a [u8]) -> Result<Moved<'a>, Fault> {
        match memchr(b'\n', input) {
            Some(lf) if lf <= UNJUDGED_CAP => {
                self.continued();
                Ok(Moved { taken: lf + 1, out: Out::Nothing })
            }
            None if input.len() <= UNJUDGED_CAP => Ok(Moved::STUCK),
            Some(_) | None => Err(Fault::LineTooLong),
        }
    }

    fn scrubbed<'a>(&mut self, input: &'a [u8]) -> Result<Moved<'a>, Fault> {
        let Some(lf) = memchr(b'\n', input) else {
            return if input.len() > UNJUDGED_CAP { Err(Fault::LineTooLong) } else { Ok(Moved::STUCK) };
        };
        let line = input.get(..lf).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Server::InText(means) = kind(line) {
            self.response_ended(&means);
        }
        let mut shown = scrub_line(line).unwrap_or_else(|| line.to_vec());
        shown.extend_from_slice(b"\r\n");
        Ok(Moved { taken: lf + 1, out: Out::Insert(shown) })
    }

    fn response_ended(&mut self, means: &Means) {
        match means {
            Means::Nothing => {}
            Means::Continuation => self.continued(),
            Means::Answer(tag) => self.completed(tag),
        }
    }
}

/// The part of a line that tells its kind, once enough of it has come.
fn head_of(rest: &[u8]) -> Option<&[u8]> {
    let head = rest.get(..HEAD_CAP).unwrap_or(rest);
    match memchr(b'\n', head) {
        Some(lf) => head.get(..lf),
        // Nothing after the third word matters.
        None if head.len() == HEAD_CAP || head.iter().filter(|b| **b == b' ').nth(2).is_some() => Some(head),
        None => None,
    }
}

/// The state in which a line that begins with `head` is followed.
fn kind(head: &[u8]) -> Server {
    match parse_server_line(head.strip_suffix(b"\r").unwrap_or(head)) {
        ServerLine::Continuation(_) => Server::InText(Means::Continuation),
        ServerLine::Status { tag: b"*", .. } => Server::InText(Means::Nothing),
        ServerLine::Status { tag, .. } => Server::InText(Means::Answer(tag.into())),
        ServerLine::Capability(_) | ServerLine::Untagged | ServerLine::Garbage => Server::InData,
    }
}

fn is_bye(head: &[u8]) -> bool {
    let head = head.strip_suffix(b"\r").unwrap_or(head);
    matches!(parse_server_line(head), ServerLine::Status { tag: b"*", condition: Condition::Bye, .. })
}

/// Whether a line that begins with `head` lists capabilities.
fn lists_capabilities(head: &[u8]) -> bool {
    match parse_server_line(head) {
        ServerLine::Capability(_) => true,
        ServerLine::Status { text, .. } => {
            text.get(..11).is_some_and(|code| code.eq_ignore_ascii_case(b"[CAPABILITY"))
                && text.get(11).is_none_or(|b| matches!(b, b' ' | b']'))
        }
        ServerLine::Continuation(_) | ServerLine::Untagged | ServerLine::Garbage => false,
    }
}

/// How many bytes at the end of an unfinished line may be the beginning of an announcement.
fn unjudged(input: &[u8]) -> usize {
    let tail = input.len().saturating_sub(LONGEST_ANNOUNCEMENT);
    let tail = input.get(tail..).unwrap_or_default();
    match tail.iter().rposition(|b| !matches!(b, b'0'..=b'9' | b'+' | b'}' | b'\r')) {
        Some(at) if tail.get(at) == Some(&b'{') => tail.len() - at,
        _ => 0,
    }
}
