//! Splits what a client sends before login into whole commands.
//!
//! Lines and literals are split and capped first and interpreted afterwards, so the bytes of a literal can never be
//! read as a command. A command that is refused is skipped without being stored.

mod assembler;

pub use assembler::Assembler;

use std::ops::Range;
use zeroize::Zeroizing;

/// Longest command line in bytes, not counting literals.
pub const LINE_CAP: usize = 8 * 1024;
/// Longest line of a SASL exchange in bytes, and of `AUTHENTICATE` with an initial response.
pub const SASL_LINE_CAP: usize = 24 * 1024;
/// Most bytes of literals in one command.
pub const LITERALS_CAP: usize = 16 * 1024;
/// Largest non-synchronizing literal in bytes (RFC 7888 section 5, `LITERAL-`).
pub const NON_SYNC_CAP: u64 = 4096;
/// Longest tag in bytes.
pub const TAG_CAP: usize = 1000;
/// Most bytes that an [`Assembler`] holds; [`Assembler::room`] says how many more it takes.
pub const BUFFER_CAP: usize = 32 * 1024;
/// Most bytes of an ID command, including its literals. With its line end it fits into the buffer.
pub const ID_CAP: usize = BUFFER_CAP - 2;

/// What the owner of the assembler decides about a literal before a single byte of it is read.
pub type LiteralPolicy<'a> = &'a dyn Fn(Head<'_>) -> LiteralVerdict;

/// How many literals a command may have, or why it may have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiteralVerdict {
    /// At most this many literals.
    UpTo(usize),
    /// The command is refused whatever the literal holds.
    Refuse(Refusal),
}

/// Why a command was skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Not allowed before TLS.
    PrivacyRequired,
    /// Too many literals, too many bytes in them, or none allowed here.
    Literals,
    /// Braces that are not a literal.
    MalformedLiteral,
}

/// Why nothing more can be read from this client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fatal {
    /// A line over its cap.
    LineTooLong,
    /// A non-synchronizing literal too large to be skipped.
    LiteralTooLarge,
    /// NUL or a bare CR in a line.
    ControlOctet,
}

/// The first words of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head<'a> {
    /// The tag where it is one that may be echoed (RFC 9051 `tag`, at most [`TAG_CAP`] bytes).
    pub tag: Option<&'a [u8]>,
    /// The word after the tag, as it was typed.
    pub verb: &'a [u8],
}

/// Reads tag and verb from the beginning of a line.
pub fn head(line: &[u8]) -> Head<'_> {
    let mut words = line.splitn(3, |b| *b == b' ');
    let tag = words.next().unwrap_or_default();
    let verb = words.next().unwrap_or_default();
    let valid = !tag.is_empty() && tag.len() <= TAG_CAP && tag.iter().all(|b| is_tag_char(*b));
    Head { tag: valid.then_some(tag), verb }
}

/// `ASTRING-CHAR`: `ATOM-CHAR` or `]` (RFC 9051 section 9).
pub(super) fn is_astring_char(b: u8) -> bool {
    b > b' ' && b < 0x7f && !matches!(b, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\')
}

/// `tag = 1*<any ASTRING-CHAR except "+">`.
fn is_tag_char(b: u8) -> bool {
    b != b'+' && is_astring_char(b)
}

/// One whole command, without its last line end.
pub struct Command {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    pub(super) literals: Vec<Range<usize>>,
}

impl Command {
    /// Tag and verb.
    pub fn head(&self) -> Head<'_> {
        let first_line = memchr::memchr2(b'\r', b'\n', &self.bytes).unwrap_or(self.bytes.len());
        head(self.bytes.get(..first_line).unwrap_or_default())
    }
}

/// What the bytes so far amount to.
pub enum Step {
    /// Nothing yet: feed more.
    Need,
    /// A synchronizing literal was announced and is allowed: send a continuation.
    Continue,
    /// A command is complete.
    Command(Command),
    /// A command was skipped.
    Refused {
        /// Its tag, where it may be echoed.
        tag: Option<Vec<u8>>,
        /// Why.
        why: Refusal,
    },
    /// The stream cannot be followed any further.
    Fatal {
        /// The tag of the command that broke it, where it may be echoed.
        tag: Option<Vec<u8>>,
        /// Why.
        why: Fatal,
    },
}
