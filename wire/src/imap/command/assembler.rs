//! Assembles bytes into complete commands.

use super::*;
use crate::imap::literal::{Announced, announced};
use crate::secret::SecretBuf;
use memchr::memchr3;

/// How much of the current command has come.
enum State {
    /// Looking for the end of a line that begins at `line_start`.
    Line,
    /// A literal ends at this offset.
    Literal { end: usize },
    /// The command is being skipped: `remaining` bytes of a literal, then the rest of its line.
    Skip { tag: Option<Vec<u8>>, why: Refusal, remaining: u64 },
}

/// The splitter. Offsets count from the beginning of `buf`.
pub struct Assembler {
    buf: SecretBuf,
    /// Where the current command begins; everything before it has been handed out.
    start: usize,
    /// Where its current line begins.
    line_start: usize,
    /// Everything before this has been scanned.
    scan: usize,
    literals: Vec<Range<usize>>,
    state: State,
}

impl Default for Assembler {
    fn default() -> Self {
        Self {
            buf: SecretBuf::default(),
            start: 0,
            line_start: 0,
            scan: 0,
            literals: Vec::new(),
            state: State::Line,
        }
    }
}

impl Assembler {
    /// How many bytes may be fed now; 0 until the buffer has been processed.
    pub fn room(&self) -> usize {
        BUFFER_CAP.saturating_sub(self.buf.len() - self.start)
    }

    /// Appends bytes from the client. The caller must not exceed [`Assembler::room`].
    pub fn feed(&mut self, bytes: &[u8]) {
        self.compact();
        self.buf.extend(bytes);
    }

    /// Whether every byte has been handed out: nothing follows the last command.
    pub fn is_drained(&self) -> bool {
        self.buf.len() == self.start
    }

    /// Returns the bytes that have not been handed out.
    pub fn into_leftover(mut self) -> SecretBuf {
        self.compact();
        std::mem::take(&mut self.buf)
    }

    /// The next step in the current command.
    pub fn step(&mut self, policy: LiteralPolicy<'_>) -> Step {
        loop {
            match &mut self.state {
                State::Literal { end } => {
                    if self.buf.len() < *end {
                        return Step::Need;
                    }
                    self.scan = *end;
                    self.line_start = *end;
                    self.state = State::Line;
                }
                State::Skip { remaining, .. } if *remaining > 0 => {
                    let held = (self.buf.len() - self.start) as u64;
                    let skipped = held.min(*remaining);
                    *remaining -= skipped;
                    let more_to_come = *remaining > 0;
                    self.hand_out(self.start + skipped as usize);
                    if more_to_come {
                        return Step::Need;
                    }
                }
                State::Skip { .. } => match self.skip_line() {
                    Some(step) => return step,
                    None => continue,
                },
                State::Line => match self.line(policy) {
                    Some(step) => return step,
                    None => continue,
                },
            }
        }
    }

    /// One line of a SASL exchange, without its line end.
    ///
    /// # Errors
    /// [`Fatal::LineTooLong`] past [`SASL_LINE_CAP`].
    pub fn sasl_line(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, Fatal> {
        self.sasl_line_if(|_| true)
    }

    /// The same if the line `belongs` to the exchange; one that does not is left for the next command, and an empty one is
    /// returned.
    ///
    /// # Errors
    /// As [`Self::sasl_line`].
    pub fn sasl_line_if(
        &mut self,
        belongs: impl Fn(&[u8]) -> bool,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, Fatal> {
        let unread = self.buf.get(self.scan..).unwrap_or_default();
        let Some(lf) = memchr::memchr(b'\n', unread) else {
            self.scan = self.buf.len();
            let too_long = self.buf.len() - self.start > SASL_LINE_CAP;
            return if too_long { Err(Fatal::LineTooLong) } else { Ok(None) };
        };
        let end = self.scan + lf;
        if end - self.start > SASL_LINE_CAP {
            return Err(Fatal::LineTooLong);
        }
        let line = without_cr(self.buf.get(self.start..end).unwrap_or_default());
        if !belongs(line) {
            self.scan = self.start;
            return Ok(Some(Zeroizing::default()));
        }
        let line = Zeroizing::new(line.to_vec());
        self.hand_out(end + 1);
        Ok(Some(line))
    }

    /// Processes one line of a command that is kept. `None`: the state has changed; look again.
    fn line(&mut self, policy: LiteralPolicy<'_>) -> Option<Step> {
        let end = match self.find_line_end() {
            Ok(Some(end)) => end,
            Ok(None) => return Some(Step::Need),
            Err(why) => return Some(self.fatal(why)),
        };
        let line = without_cr(self.buf.get(self.line_start..end).unwrap_or_default());
        match announced(line) {
            Announced::Nothing => Some(Step::Command(self.take_command(end))),
            Announced::Malformed { sync: true } => Some(self.refuse_at(end, Refusal::MalformedLiteral)),
            Announced::Malformed { sync: false } => Some(self.fatal(Fatal::LiteralTooLarge)),
            Announced::Literal { size, sync } => self.literal(policy, end, size, sync),
        }
    }

    fn literal(&mut self, policy: LiteralPolicy<'_>, end: usize, size: u64, sync: bool) -> Option<Step> {
        if !sync && size > NON_SYNC_CAP {
            return Some(self.fatal(Fatal::LiteralTooLarge));
        }
        let held: usize = self.literals.iter().map(ExactSizeIterator::len).sum();
        let refusal = match policy(self.head()) {
            LiteralVerdict::Refuse(why) => Some(why),
            LiteralVerdict::UpTo(most) if self.literals.len() >= most => Some(Refusal::Literals),
            LiteralVerdict::UpTo(_) if size > self.literals_room(held, end) as u64 => Some(Refusal::Literals),
            LiteralVerdict::UpTo(_) => None,
        };
        match (refusal, sync) {
            // The client waits for an answer and sends nothing of the literal: the command ends here.
            (Some(why), true) => Some(self.refuse_at(end, why)),
            (Some(why), false) => {
                let tag = self.head().tag.map(<[u8]>::to_vec);
                self.hand_out(end + 1);
                self.state = State::Skip { tag, why, remaining: size };
                None
            }
            (None, _) => {
                let from = end + 1;
                let to = from + size as usize;
                self.literals.push(from..to);
                self.state = State::Literal { end: to };
                sync.then_some(Step::Continue)
            }
        }
    }

    /// Processes one line of a command that is being skipped.
    fn skip_line(&mut self) -> Option<Step> {
        let end = match self.find_line_end() {
            Ok(Some(end)) => end,
            Ok(None) => return Some(Step::Need),
            Err(why) => return Some(self.fatal(why)),
        };
        let line = without_cr(self.buf.get(self.line_start..end).unwrap_or_default());
        let announced = announced(line);
        self.hand_out(end + 1);
        match announced {
            Announced::Literal { size, sync: false } if size <= NON_SYNC_CAP => {
                if let State::Skip { remaining, .. } = &mut self.state {
                    *remaining = size;
                }
                None
            }
            Announced::Literal { sync: false, .. } | Announced::Malformed { sync: false } => {
                Some(self.fatal(Fatal::LiteralTooLarge))
            }
            Announced::Nothing
            | Announced::Literal { sync: true, .. }
            | Announced::Malformed { sync: true } => match std::mem::replace(&mut self.state, State::Line) {
                State::Skip { tag, why, .. } => Some(Step::Refused { tag, why }),
                State::Line | State::Literal { .. } => None,
            },
        }
    }

    /// The offset of the LF that ends the line at hand.
    fn find_line_end(&mut self) -> Result<Option<usize>, Fatal> {
        let found = loop {
            let unread = self.buf.get(self.scan..).unwrap_or_default();
            let Some(found) = memchr3(b'\n', b'\r', 0, unread) else {
                self.scan = self.buf.len();
                break None;
            };
            self.scan += found;
            match (self.buf.get(self.scan), self.buf.get(self.scan + 1)) {
                (Some(b'\r'), Some(b'\n')) => self.scan += 1,
                (Some(b'\r'), None) => break None,
                (octet, _) => break octet.copied(),
            }
        };
        // The cap is checked first, so that it makes no difference how many bytes come at once.
        let in_literals: usize = self.literals.iter().map(ExactSizeIterator::len).sum();
        if self.scan - self.start - in_literals > self.line_cap(in_literals) {
            return Err(Fatal::LineTooLong);
        }
        match found {
            None => Ok(None),
            Some(b'\n') => Ok(Some(self.scan)),
            Some(_) => Err(Fatal::ControlOctet),
        }
    }

    fn line_cap(&self, in_literals: usize) -> usize {
        let verb = self.head().verb;
        if verb.eq_ignore_ascii_case(b"AUTHENTICATE") {
            SASL_LINE_CAP
        } else if verb.eq_ignore_ascii_case(b"ID") {
            ID_CAP - in_literals
        } else {
            LINE_CAP
        }
    }

    /// How long a literal announced at `end` may be, after `held` bytes of other literals in the same command.
    fn literals_room(&self, held: usize, end: usize) -> usize {
        match self.head().verb.eq_ignore_ascii_case(b"ID") {
            true => ID_CAP.saturating_sub(end + 1 - self.start),
            false => LITERALS_CAP.saturating_sub(held),
        }
    }

    fn head(&self) -> Head<'_> {
        // Long enough for a tag, a space and the longest verb: a long line costs no more than a short one.
        let beginning = self.start..self.buf.len().min(self.start + TAG_CAP + 32);
        let line = self.buf.get(beginning).unwrap_or_default();
        let first_line = memchr::memchr2(b'\r', b'\n', line).unwrap_or(line.len());
        head(line.get(..first_line).unwrap_or_default())
    }

    fn take_command(&mut self, end: usize) -> Command {
        let bytes = without_cr(self.buf.get(self.start..end).unwrap_or_default());
        let bytes = Zeroizing::new(bytes.to_vec());
        let start = self.start;
        let literals = self.literals.drain(..).map(|l| l.start - start..l.end - start).collect();
        self.hand_out(end + 1);
        Command { bytes, literals }
    }

    fn refuse_at(&mut self, end: usize, why: Refusal) -> Step {
        let tag = self.head().tag.map(<[u8]>::to_vec);
        self.hand_out(end + 1);
        Step::Refused { tag, why }
    }

    fn fatal(&self, why: Fatal) -> Step {
        Step::Fatal { tag: self.head().tag.map(<[u8]>::to_vec), why }
    }

    fn hand_out(&mut self, to: usize) {
        self.start = to;
        self.line_start = to;
        self.scan = to;
        self.literals.clear();
    }

    /// Moves what is left to the front. Done once per read rather than once per command, so that a thousand tiny
    /// commands in one buffer cost no more than their bytes.
    fn compact(&mut self) {
        if self.start == 0 {
            return;
        }
        let gone = self.start;
        self.buf.discard(gone);
        self.start = 0;
        self.line_start -= gone;
        self.scan -= gone;
        for literal in &mut self.literals {
            *literal = literal.start - gone..literal.end - gone;
        }
        if let State::Literal { end } = &mut self.state {
            *end -= gone;
        }
    }
}

fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}
