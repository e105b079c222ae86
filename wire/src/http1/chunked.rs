//! The chunked coding (RFC 9112 section 7.1), strictly.

use super::{Fault, Sink, fields};

/// Longest line of a chunk's size, with its extension, in bytes.
const LINE_CAP: usize = 1024;
/// Longest trailer section in bytes.
const TRAILER_CAP: usize = 8 * 1024;

/// Position in a chunked body.
#[derive(Debug)]
enum At {
    /// In the line of a size.
    Size,
    /// In the data, of which this many bytes are left.
    Data(u64),
    /// In the CRLF after the data.
    DataEnd,
    /// In a line of the trailer section.
    Trailer,
    /// Behind the body.
    Done,
}

/// Follows a chunked body.
#[derive(Debug)]
pub(super) struct Chunked {
    at: At,
    /// The part of an incomplete line.
    line: Vec<u8>,
    trailer: usize,
    /// Blanks may follow a size, as was once allowed (RFC 7230 section 4.1.1).
    is_lenient: bool,
}

const BAD: Fault = Fault::Malformed("chunk");

impl Chunked {
    pub(super) fn new() -> Self {
        Self { at: At::Size, line: Vec::new(), trailer: 0, is_lenient: false }
    }

    /// For bodies from a trusted backend.
    pub(super) fn lenient() -> Self {
        Self { is_lenient: true, ..Self::new() }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.at, At::Done)
    }

    /// Hands `sink` what at the beginning of `input` belongs to the body, and returns how many bytes that is.
    pub(super) fn take(&mut self, input: &[u8], sink: &mut impl Sink) -> Result<usize, Fault> {
        let mut taken = 0;
        while let Some(rest) = input.get(taken..).filter(|rest| !rest.is_empty()) {
            taken += match self.at {
                At::Done => return Ok(taken),
                At::Data(left) => {
                    let step = left.min(rest.len() as u64);
                    self.at = if step == left { At::DataEnd } else { At::Data(left - step) };
                    sink.data(rest.get(..step as usize).unwrap_or_default());
                    step as usize
                }
                At::Size | At::DataEnd | At::Trailer => {
                    let step = self.take_line(rest, sink)?;
                    sink.framing(rest.get(..step).unwrap_or_default());
                    step
                }
            };
        }
        Ok(taken)
    }

    /// Takes the part of a line that is in `rest`, and interprets the line once it is complete.
    fn take_line(&mut self, rest: &[u8], sink: &mut impl Sink) -> Result<usize, Fault> {
        let end = memchr::memchr(b'\n', rest);
        let step = end.map_or(rest.len(), |end| end + 1);
        let cap = match self.at {
            At::DataEnd => 2,
            At::Trailer => TRAILER_CAP,
            At::Size | At::Data(_) | At::Done => LINE_CAP,
        };
        if self.line.len() + step > cap {
            return Err(if matches!(self.at, At::Trailer) { Fault::HeadTooLarge } else { BAD });
        }
        self.line.extend_from_slice(rest.get(..step).unwrap_or_default());
        if end.is_none() {
            return Ok(step);
        }
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r\n").ok_or(Fault::Malformed("bare-lf"))?;
        self.at = match self.at {
            At::Size => match size(line, self.is_lenient)? {
                0 => At::Trailer,
                size => At::Data(size),
            },
            At::DataEnd if line.is_empty() => At::Size,
            At::Trailer if line.is_empty() => At::Done,
            At::Trailer => {
                self.trailer += step;
                if self.trailer > TRAILER_CAP {
                    return Err(Fault::HeadTooLarge);
                }
                fields::field(line).map_err(|_| Fault::Malformed("trailer"))?;
                sink.trailer(line);
                At::Trailer
            }
            At::DataEnd | At::Data(_) | At::Done => return Err(BAD),
        };
        Ok(step)
    }
}

/// Parses a size line: hexadecimal digits, and after a semicolon an extension that is ignored.
fn size(line: &[u8], is_lenient: bool) -> Result<u64, Fault> {
    let (digits, extension) = match memchr::memchr(b';', line) {
        Some(at) => line.split_at(at),
        None => (line, &[][..]),
    };
    let digits = if is_lenient { digits.trim_ascii_end() } else { digits };
    if extension.iter().any(|b| b.is_ascii_control() && *b != b'\t') {
        return Err(BAD);
    }
    // Sixteen digits fit into 64 bits; the conversion to `i64` below refuses sizes beyond 2^63 - 1.
    if digits.is_empty() || digits.len() > 16 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(BAD);
    }
    let text = std::str::from_utf8(digits).map_err(|_| BAD)?;
    let size = u64::from_str_radix(text, 16).map_err(|_| BAD)?;
    i64::try_from(size).map(|_| size).map_err(|_| BAD)
}
