//! The requests of one connection.

use super::chunked::Chunked;
use super::fields::{Lengths, fields, is_token_octet};
use super::head::{Gathered, Taken, split};
use super::{Fault, Framing, TARGET_CAP};
use crate::http::authority::Authority;

/// Longest method in octets.
const METHOD_CAP: usize = 32;

/// What comes next on the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaits {
    /// The first octet of a head.
    Head,
    /// The rest of a head.
    RestOfHead,
    /// More of a body.
    Body,
    /// The answer to a request to switch protocols; what comes before it is nobody's yet.
    Switch,
    /// Octets of another protocol.
    Tunnel,
}

#[derive(Debug)]
enum State {
    Head(Gathered),
    Sized(u64),
    Chunked(Chunked),
    Switch,
    Tunnel,
}

/// Judges what a client sends, octet by octet.
#[derive(Debug)]
pub struct RequestReader {
    state: State,
    heads: u64,
}

impl Default for RequestReader {
    fn default() -> Self {
        Self { state: State::Head(Gathered::default()), heads: 0 }
    }
}

impl RequestReader {
    /// Judges `input` and appends to `out` what may go on. Returns how many octets were taken; the rest
    /// waits for [`Self::switched`].
    ///
    /// # Errors
    /// The first [`Fault`]; what was appended before is good. Nothing may be read after it.
    pub fn read(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, Fault> {
        let mut taken = 0;
        while let Some(rest) = input.get(taken..).filter(|rest| !rest.is_empty()) {
            let step = match &mut self.state {
                State::Head(gathered) => {
                    let (step, taken) = gathered.take(rest)?;
                    match taken {
                        Taken::Part => {}
                        // Whatever speaks another protocol is not waited for.
                        Taken::StartLine => drop(start_line(gathered.start_line())?),
                        Taken::Whole => {
                            let head = gathered.finish();
                            self.state = judge(&head)?;
                            self.heads += 1;
                            Gathered::hand_on(head, out);
                        }
                    }
                    step
                }
                State::Sized(left) => {
                    let step = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    out.extend_from_slice(rest.get(..step).unwrap_or_default());
                    self.passed(step);
                    step
                }
                State::Chunked(chunked) => {
                    let step = chunked.take(rest)?;
                    out.extend_from_slice(rest.get(..step).unwrap_or_default());
                    if chunked.is_done() {
                        self.state = State::Head(Gathered::default());
                    }
                    step
                }
                State::Switch => return Ok(taken),
                State::Tunnel => {
                    out.extend_from_slice(rest);
                    rest.len()
                }
            };
            taken += step;
        }
        Ok(taken)
    }

    /// How many of the next octets need no judging: those of a body of known length, or of another protocol.
    pub fn free(&self) -> u64 {
        match &self.state {
            State::Sized(left) => *left,
            State::Tunnel => u64::MAX,
            State::Head(_) | State::Chunked(_) | State::Switch => 0,
        }
    }

    /// Notes that `count` octets, at most as many as are free, went on without being judged.
    pub fn passed(&mut self, count: usize) {
        if let State::Sized(left) = &mut self.state {
            *left = left.saturating_sub(count as u64);
            if *left == 0 {
                self.state = State::Head(Gathered::default());
            }
        }
    }

    /// What comes next.
    pub fn awaits(&self) -> Awaits {
        match &self.state {
            State::Head(gathered) if gathered.has_begun() => Awaits::RestOfHead,
            State::Head(_) => Awaits::Head,
            State::Sized(_) | State::Chunked(_) => Awaits::Body,
            State::Switch => Awaits::Switch,
            State::Tunnel => Awaits::Tunnel,
        }
    }

    /// How many heads were found good.
    pub fn heads(&self) -> u64 {
        self.heads
    }

    /// The answer to a request to switch protocols has come: what follows is the other protocol's, or the
    /// next request.
    pub fn switched(&mut self, switched: bool) {
        if matches!(self.state, State::Switch) {
            self.state = if switched { State::Tunnel } else { State::Head(Gathered::default()) };
        }
    }
}

/// Judges a whole head; returns what follows it.
fn judge(head: &[u8]) -> Result<State, Fault> {
    let (line, block) = split(head);
    let (method, target, minor) = start_line(line)?;
    let mut lengths = Lengths::default();
    let mut host = None;
    let (mut asks_upgrade, mut connection_upgrade) = (false, false);
    let mut expects_other = false;
    for field in fields(block) {
        let field = field?;
        lengths.note(&field)?;
        if field.is("host") {
            if host.replace(field.value).is_some() {
                return Err(Fault::Malformed("host-twice"));
            }
        } else if field.is("transfer-encoding") && minor == 0 {
            return Err(Fault::Malformed("transfer-encoding"));
        } else if field.is("expect") {
            expects_other |= !field.value.eq_ignore_ascii_case(b"100-continue");
        } else if field.is("upgrade") {
            // Whether it is switched to, others say.
            asks_upgrade = true;
        } else if field.is("connection") {
            connection_upgrade |= field.elements().any(|option| option.eq_ignore_ascii_case(b"upgrade"));
        }
    }
    let host = host.ok_or(Fault::Malformed("no-host"))?;
    let host = Authority::parse(host).ok_or(Fault::Malformed("host"))?;
    judge_target(method, target, &host)?;
    if expects_other {
        return Err(Fault::Expectation);
    }
    let framing = if lengths.chunked { Framing::Chunked } else { Framing::Sized(lengths.sized.unwrap_or(0)) };
    Ok(match framing {
        Framing::Chunked => State::Chunked(Chunked::new()),
        Framing::Sized(0) | Framing::UntilClose if asks_upgrade && connection_upgrade && minor == 1 => {
            State::Switch
        }
        Framing::Sized(0) | Framing::UntilClose => State::Head(Gathered::default()),
        Framing::Sized(length) => State::Sized(length),
    })
}

/// Method, target and minor version.
fn start_line(line: &[u8]) -> Result<(&[u8], &[u8], u8), Fault> {
    let bad = Fault::Malformed("start-line");
    let mut parts = line.split(|b| *b == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(bad);
    };
    if method.is_empty() || method.len() > METHOD_CAP || !method.iter().all(|b| is_token_octet(*b)) {
        return Err(bad);
    }
    if target.len() > TARGET_CAP {
        return Err(Fault::TargetTooLong);
    }
    if target.is_empty() || !target.iter().all(u8::is_ascii_graphic) {
        return Err(Fault::Malformed("target"));
    }
    match version {
        b"HTTP/1.1" => Ok((method, target, 1)),
        b"HTTP/1.0" => Ok((method, target, 0)),
        other if other.starts_with(b"HTTP/") => Err(Fault::Version),
        _ => Err(bad),
    }
}

fn judge_target(method: &[u8], target: &[u8], host: &Authority<'_>) -> Result<(), Fault> {
    if matches!(method, b"TRACE" | b"CONNECT") {
        return Err(Fault::Method);
    }
    let bad = Fault::Malformed("target");
    if target.contains(&b'#') {
        return Err(bad);
    }
    if target == b"*" {
        return if method == b"OPTIONS" { Ok(()) } else { Err(bad) };
    }
    if target.starts_with(b"/") {
        return Ok(());
    }
    // In absolute form both say who is asked, and must agree (RFC 9112 section 3.2.2).
    let rest = target.get(..8).filter(|scheme| scheme.eq_ignore_ascii_case(b"https://")).ok_or(bad)?.len();
    let rest = target.get(rest..).unwrap_or_default();
    let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let authority = Authority::parse(authority).ok_or(bad)?;
    if !authority.is_same(host, 443) || !path.starts_with(b"/") {
        return Err(Fault::Malformed("two-hosts"));
    }
    Ok(())
}
