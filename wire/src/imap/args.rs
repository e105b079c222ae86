//! Parses the arguments of one complete command.

use super::command::{Command, is_astring_char};
use std::borrow::Cow;
use zeroize::Zeroizing;

/// An argument that breaks the grammar; the command gets `BAD`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadArgument;

/// A cursor over a command's arguments. Literals are taken by the ranges that the assembler measured.
pub(super) struct Args<'a> {
    command: &'a Command,
    at: usize,
    next_literal: usize,
}

impl<'a> Args<'a> {
    /// Begins after the tag and the verb.
    pub(super) fn new(command: &'a Command) -> Self {
        let head = command.head();
        let tag = head.tag.map_or(0, <[u8]>::len);
        Self { command, at: tag + 1 + head.verb.len(), next_literal: 0 }
    }

    /// Exactly one space.
    pub(super) fn space(&mut self) -> Result<(), BadArgument> {
        self.octet(b' ')
    }

    /// Exactly the byte `wanted`.
    pub(super) fn octet(&mut self, wanted: u8) -> Result<(), BadArgument> {
        if self.peek() == Some(wanted) {
            self.at += 1;
            Ok(())
        } else {
            Err(BadArgument)
        }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.command.bytes.get(self.at).copied()
    }

    /// Any number of spaces, as careless clients send them.
    pub(super) fn blanks(&mut self) {
        while self.peek() == Some(b' ') {
            self.at += 1;
        }
    }

    /// Nothing may follow but spaces.
    pub(super) fn end(&self) -> Result<(), BadArgument> {
        let rest = self.command.bytes.get(self.at..).unwrap_or_default();
        if rest.iter().all(|b| *b == b' ') { Ok(()) } else { Err(BadArgument) }
    }

    /// Everything up to the next space or the end; at least one byte.
    pub(super) fn word(&mut self) -> Result<&'a [u8], BadArgument> {
        self.run_of(|b| b > b' ' && b < 0x7f)
    }

    /// An argument of LOGIN: an `astring` that may also contain wildcards and backslashes without quotes. Clients send
    /// them that way, and servers accept it.
    pub(super) fn login_argument(&mut self) -> Result<Cow<'a, [u8]>, BadArgument> {
        match self.peek() {
            Some(b'"' | b'{') => self.string(),
            _ => self.run_of(|b| is_astring_char(b) || matches!(b, b'%' | b'*' | b'\\')).map(Cow::Borrowed),
        }
    }

    /// `nstring`: a string or `NIL`.
    pub(super) fn nstring(&mut self) -> Result<Option<Cow<'a, [u8]>>, BadArgument> {
        match self.peek() {
            Some(b'"' | b'{') => self.string().map(Some),
            _ if self.run_of(is_astring_char)?.eq_ignore_ascii_case(b"NIL") => Ok(None),
            _ => Err(BadArgument),
        }
    }

    /// `string`: quoted or literal.
    pub(super) fn string(&mut self) -> Result<Cow<'a, [u8]>, BadArgument> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal().map(Cow::Borrowed),
            _ => Err(BadArgument),
        }
    }

    fn quoted(&mut self) -> Result<Cow<'a, [u8]>, BadArgument> {
        self.octet(b'"')?;
        let from = self.at;
        // Allocated at full size and wiped on failure: it may be a password.
        let mut unescaped: Option<Zeroizing<Vec<u8>>> = None;
        loop {
            let octet = self.peek().ok_or(BadArgument)?;
            let before = self.command.bytes.get(from..self.at).unwrap_or_default();
            self.at += 1;
            match octet {
                b'"' => {
                    let owned = |mut bytes: Zeroizing<Vec<u8>>| Cow::Owned(std::mem::take(&mut *bytes));
                    return Ok(unescaped.map_or(Cow::Borrowed(before), owned));
                }
                b'\\' => {
                    let escaped = self.peek().filter(|b| matches!(b, b'"' | b'\\')).ok_or(BadArgument)?;
                    self.at += 1;
                    let whole = || {
                        let mut bytes = Zeroizing::new(Vec::with_capacity(self.command.bytes.len()));
                        bytes.extend_from_slice(before);
                        bytes
                    };
                    unescaped.get_or_insert_with(whole).push(escaped);
                }
                b'\r' | b'\n' | 0 => return Err(BadArgument),
                plain => {
                    if let Some(bytes) = &mut unescaped {
                        bytes.push(plain);
                    }
                }
            }
        }
    }

    fn literal(&mut self) -> Result<&'a [u8], BadArgument> {
        let range = self.command.literals.get(self.next_literal).ok_or(BadArgument)?.clone();
        let announcement = self.command.bytes.get(self.at..range.start).ok_or(BadArgument)?;
        let braces_only = announcement.first() == Some(&b'{')
            && announcement.iter().all(|b| matches!(b, b'{' | b'}' | b'+' | b'\r' | b'\n' | b'0'..=b'9'));
        let octets = self.command.bytes.get(range.clone()).ok_or(BadArgument)?;
        if !braces_only || octets.contains(&0) {
            return Err(BadArgument);
        }
        self.at = range.end;
        self.next_literal += 1;
        Ok(octets)
    }

    fn run_of(&mut self, belongs: impl Fn(u8) -> bool) -> Result<&'a [u8], BadArgument> {
        let rest = self.command.bytes.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|b| !belongs(*b)).unwrap_or(rest.len());
        self.at += length;
        if length == 0 { Err(BadArgument) } else { Ok(rest.get(..length).unwrap_or_default()) }
    }
}
