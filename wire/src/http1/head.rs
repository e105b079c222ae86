//! Collects a head until it is complete. A line that ends in a bare LF is refused.

use super::{Caps, Fault};

/// Room for a method and a version in addition to the longest target.
const START_LINE: usize = 64;

/// Bytes reserved at a time: most heads are no longer.
const ROOM: usize = 1024;

/// The part of a head that has come so far.
#[derive(Debug, Default)]
pub(super) struct HeadBuffer {
    octets: Vec<u8>,
    /// Where the incomplete line begins.
    line: usize,
    /// An empty line before the head has already been tolerated.
    forgiven: bool,
}

/// How far a head has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// Neither the start line nor the head is complete.
    Part,
    /// To the end of its start line.
    StartLine,
    /// To its end.
    Whole,
}

impl HeadBuffer {
    /// Whether anything of it has come.
    pub(super) fn has_begun(&self) -> bool {
        !self.octets.is_empty()
    }

    /// Takes bytes from `input` up to the end of the start line or of the head. Returns how many were taken.
    pub(super) fn take(&mut self, input: &[u8], caps: &Caps) -> Result<(usize, Taken), Fault> {
        // Most heads come all at once: reserve space once, not per line.
        self.octets.reserve(input.len().min(ROOM));
        let mut taken = 0;
        while let Some(end) = memchr::memchr(b'\n', input.get(taken..).unwrap_or_default()) {
            let (line, _) = input.get(taken..).unwrap_or_default().split_at(end + 1);
            self.octets.extend_from_slice(line);
            taken += line.len();
            self.check_size(caps)?;
            if !self.octets.ends_with(b"\r\n") {
                return Err(Fault::Malformed("bare-lf"));
            }
            let is_empty = self.octets.len() - self.line == 2;
            if is_empty && self.line == 0 {
                // One empty line after the previous message is tolerated (RFC 9112 section 2.2), but not a second one.
                if std::mem::replace(&mut self.forgiven, true) {
                    return Err(Fault::Malformed("start-line"));
                }
                self.octets.clear();
                continue;
            }
            if is_empty {
                return Ok((taken, Taken::Whole));
            }
            let is_first = self.line == 0;
            self.line = self.octets.len();
            if is_first {
                return Ok((taken, Taken::StartLine));
            }
        }
        let rest = input.get(taken..).unwrap_or_default();
        self.octets.extend_from_slice(rest);
        self.check_size(caps)?;
        Ok((input.len(), Taken::Part))
    }

    /// The start line, once it is whole.
    pub(super) fn start_line(&self) -> &[u8] {
        split(&self.octets).0
    }

    /// Whether what has come so far begins a HEAD request.
    pub(super) fn asks_for_head(&self) -> bool {
        self.octets.starts_with(b"HEAD ")
    }

    /// Returns the head and makes room for the next one.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        std::mem::take(self).octets
    }

    fn check_size(&self, caps: &Caps) -> Result<(), Fault> {
        if self.line == 0 && self.octets.len() > caps.target + START_LINE {
            return Err(Fault::TargetTooLong);
        }
        if self.octets.len() > caps.head {
            return Err(Fault::HeadTooLarge);
        }
        Ok(())
    }
}

/// Splits a whole head into its start line, without CRLF, and the lines of its fields, each with its CRLF.
pub(super) fn split(head: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr(b'\n', head).unwrap_or(0);
    let (start, rest) = head.split_at(end + 1);
    (start.strip_suffix(b"\r\n").unwrap_or(start), rest.strip_suffix(b"\r\n").unwrap_or(rest))
}
