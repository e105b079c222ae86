//! The requests of one connection.

use super::chunked::Chunked;
use super::fields::{Lengths, Places, fields};
use super::head::{HeadBuffer, Taken, split};
use super::{Caps, Fault, Framing, Head, METHOD_CAP, Sink};
use crate::http::authority::Authority;
use crate::http::field::is_token_octet;

/// The scheme of the connection, as a target in absolute form names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Under TLS.
    Https,
}

/// What comes next on the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaits {
    /// The first byte of a head.
    Head,
    /// The rest of a head.
    RestOfHead,
    /// More of a body.
    Body,
    /// The answer to a request to switch protocols; the client's bytes before it belong to nobody yet.
    Switch,
    /// Bytes of another protocol.
    Tunnel,
}

#[derive(Debug)]
enum State {
    Head(HeadBuffer),
    Sized(u64),
    Chunked(Chunked),
    Switch,
    Tunnel,
}

/// Judges what a client sends, byte by byte.
#[derive(Debug)]
pub struct RequestReader {
    state: State,
    heads: u64,
    caps: Caps,
    scheme: Scheme,
    /// The current request is a HEAD request.
    head_only: bool,
}

impl RequestReader {
    /// One for a connection of this `scheme`.
    pub fn new(caps: Caps, scheme: Scheme) -> Self {
        Self { state: State::Head(HeadBuffer::default()), heads: 0, caps, scheme, head_only: false }
    }

    /// Whether the request that is being read or refused is a HEAD request: its answer has no content.
    pub fn asks_for_head(&self) -> bool {
        match &self.state {
            State::Head(gathered) if gathered.has_begun() => gathered.asks_for_head(),
            _ => self.head_only,
        }
    }

    /// Validates `input` and appends to `out` what may be passed on. Returns how many bytes were taken; the rest waits
    /// for [`Self::switched`].
    ///
    /// # Errors
    /// The first [`Fault`]; what was appended before is good. Nothing may be read after it.
    pub fn read<S: Sink>(&mut self, input: &[u8], sink: &mut S) -> Result<usize, Fault> {
        let mut taken = 0;
        while let Some(rest) = input.get(taken..).filter(|rest| !rest.is_empty()) {
            let was_between = matches!(self.state, State::Head(_));
            let step = match &mut self.state {
                State::Head(gathered) => {
                    let (step, reached) = gathered.take(rest, &self.caps)?;
                    match reached {
                        Taken::Part => {}
                        // Refuses another protocol without waiting for more of it.
                        Taken::StartLine => drop(start_line(gathered.start_line(), &self.caps)?),
                        Taken::Whole => {
                            self.head_only = gathered.asks_for_head();
                            let mut head = Head::new(gathered.finish());
                            let (state, target) = judge(&mut head, &self.caps, self.scheme)?;
                            self.state = state;
                            self.heads += 1;
                            sink.head(match target {
                                None => head,
                                Some(target) => head.retarget(&target),
                            });
                            if S::STEPWISE {
                                return Ok(taken + step);
                            }
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
                        self.state = State::Head(HeadBuffer::default());
                    }
                    step
                }
                State::Switch => return Ok(taken),
                State::Tunnel => {
                    sink.data(rest);
                    rest.len()
                }
            };
            taken += step;
            if S::STEPWISE && !was_between && matches!(self.state, State::Head(_)) {
                return Ok(taken);
            }
        }
        Ok(taken)
    }

    /// How many of the next bytes need no validation: those of a body of known length, or of another protocol.
    pub fn free(&self) -> u64 {
        match &self.state {
            State::Sized(left) => *left,
            State::Tunnel => u64::MAX,
            State::Head(_) | State::Chunked(_) | State::Switch => 0,
        }
    }

    /// Notes that `count` bytes, at most as many as are free, were passed on without validation.
    pub fn passed(&mut self, count: usize) {
        if let State::Sized(left) = &mut self.state {
            *left = left.saturating_sub(count as u64);
            if *left == 0 {
                self.state = State::Head(HeadBuffer::default());
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

    /// How many bytes of the body are to come, if that is known.
    pub fn left(&self) -> Option<u64> {
        match &self.state {
            State::Head(_) | State::Switch => Some(0),
            State::Sized(left) => Some(*left),
            State::Chunked(_) | State::Tunnel => None,
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
            self.state = if switched { State::Tunnel } else { State::Head(HeadBuffer::default()) };
        }
    }
}

/// Validates a complete head. Returns the state that follows it, and the target in origin form if it was written
/// otherwise.
fn judge(head: &mut Head, caps: &Caps, scheme: Scheme) -> Result<(State, Option<Vec<u8>>), Fault> {
    let (line, block) = split(&head.bytes);
    let mut places = Places::new();
    let (method, target, minor) = start_line(line, caps)?;
    let mut lengths = Lengths::default();
    let mut host = None;
    let (mut asks_upgrade, mut connection_upgrade) = (false, false);
    let mut expects_other = false;
    for field in fields(block, caps.fields) {
        let field = field?;
        places.note(&head.bytes, &field);
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
            // Whether the protocol is switched is decided elsewhere.
            asks_upgrade = true;
        } else if field.is("connection") {
            connection_upgrade |= field.elements().any(|option| option.eq_ignore_ascii_case(b"upgrade"));
        }
    }
    let host = match host {
        Some(host) => Some(Authority::parse(host).ok_or(Fault::Malformed("host"))?),
        // HTTP/1.0 requests need not name a host (RFC 9112 section 3.2).
        None if minor == 0 => None,
        None => return Err(Fault::Malformed("no-host")),
    };
    let target = judge_target(method, target, host.as_ref(), scheme)?;
    if expects_other {
        return Err(Fault::Expectation);
    }
    let framing = if lengths.chunked { Framing::Chunked } else { Framing::Sized(lengths.sized.unwrap_or(0)) };
    let state = match framing {
        Framing::Chunked => State::Chunked(Chunked::new()),
        Framing::Sized(0) | Framing::UntilClose if asks_upgrade && connection_upgrade && minor == 1 => {
            State::Switch
        }
        Framing::Sized(0) | Framing::UntilClose => State::Head(HeadBuffer::default()),
        Framing::Sized(length) => State::Sized(length),
    };
    head.set_fields(places.into_inner());
    Ok((state, target))
}

/// Whether a byte may stand in a target: what codecs and servers read alike. Before the query only where `in_query` is
/// false.
fn is_target_octet(b: u8, in_query: bool) -> bool {
    b.is_ascii_graphic() && !matches!(b, b'<' | b'>' | b'#') && if in_query { b != b'"' } else { b != b'`' }
}

/// Method, target and minor version.
fn start_line<'l>(line: &'l [u8], caps: &Caps) -> Result<(&'l [u8], &'l [u8], u8), Fault> {
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
    if target.len() > caps.target {
        return Err(Fault::TargetTooLong);
    }
    let query = memchr::memchr(b'?', target).unwrap_or(target.len());
    let is_good = |(at, b): (usize, &u8)| is_target_octet(*b, at > query);
    if target.is_empty() || !target.iter().enumerate().all(is_good) {
        return Err(Fault::Malformed("target"));
    }
    match version {
        b"HTTP/1.1" => Ok((method, target, 1)),
        b"HTTP/1.0" => Ok((method, target, 0)),
        other if other.starts_with(b"HTTP/") => Err(Fault::Version),
        _ => Err(bad),
    }
}

/// Judges the target; returns it in origin form where it is in absolute form.
fn judge_target(
    method: &[u8],
    target: &[u8],
    host: Option<&Authority<'_>>,
    scheme: Scheme,
) -> Result<Option<Vec<u8>>, Fault> {
    if matches!(method, b"TRACE" | b"CONNECT") {
        return Err(Fault::Method);
    }
    let bad = Fault::Malformed("target");
    if target == b"*" {
        return if method == b"OPTIONS" { Ok(None) } else { Err(bad) };
    }
    if target.starts_with(b"/") {
        return Ok(None);
    }
    // In absolute form, the target names the host as well; it must agree with `Host` (RFC 9112 section 3.2.2).
    let (prefix, port) = match scheme {
        Scheme::Http => (&b"http://"[..], 80),
        Scheme::Https => (&b"https://"[..], 443),
    };
    let (written, rest) = target.split_at_checked(prefix.len()).ok_or(bad)?;
    if !written.eq_ignore_ascii_case(prefix) {
        return Err(bad);
    }
    let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let authority = Authority::parse(authority).ok_or(bad)?;
    if !host.is_none_or(|host| authority.is_same(host, port)) {
        return Err(Fault::Malformed("two-hosts"));
    }
    // An empty path means the root, or for OPTIONS the whole server (RFC 9112 sections 3.2.1 and 3.2.4).
    Ok(Some(match path.first() {
        Some(b'/') => path.to_vec(),
        None if method == b"OPTIONS" => b"*".to_vec(),
        _ => [b"/", path].concat(),
    }))
}
