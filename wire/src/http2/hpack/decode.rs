//! From HPACK to fields.

use super::super::frame::ErrorCode;
use super::table::{OVERHEAD, Table};
use super::{Fields, huffman};

/// The size of a table that nobody has set (RFC 9113 section 6.5.2).
const TABLE: usize = 4096;

/// How much larger than it may be a block is read, for the sake of the table. Beyond that it is an attack: two bytes can
/// stand for 4 KiB.
const BEYOND: usize = 4;

/// A field block that cannot be read. The tables of both sides may differ from here on, so the connection ends.
struct Unreadable;

impl From<Unreadable> for ErrorCode {
    fn from(_: Unreadable) -> Self {
        Self::COMPRESSION_ERROR
    }
}

/// Decodes the field blocks of one connection, in their order.
pub(in crate::http2) struct Decoder(Table);

impl Default for Decoder {
    fn default() -> Self {
        Self(Table::new(TABLE))
    }
}

/// How a field is written.
enum Written {
    Indexed(usize),
    /// With the name at this index, or with its own name; whether the table keeps it.
    Literal(usize, bool),
    TableSize(usize),
}

impl Decoder {
    /// Decodes a whole field block. Of what is beyond `most` bytes, as SETTINGS_MAX_HEADER_LIST_SIZE measures, or beyond
    /// `count` fields, nothing is kept.
    pub(in crate::http2) fn decode(
        &mut self,
        block: &[u8],
        most: usize,
        count: usize,
    ) -> Result<Fields, ErrorCode> {
        let mut fields = Fields { bytes: Vec::with_capacity(block.len().min(most) * 2), ..Fields::default() };
        let mut input = Input(block);
        let mut has_begun = false;
        while let Some(written) = input.written()? {
            if fields.size > most.saturating_mul(BEYOND) {
                return Err(ErrorCode::ENHANCE_YOUR_CALM);
            }
            let (name, keeps) = match written {
                Written::TableSize(size) if !has_begun && size <= TABLE => {
                    self.0.resize(size);
                    continue;
                }
                // Only at the beginning of a block (section 4.2), and no larger than was allowed.
                Written::TableSize(_) => return Err(Unreadable.into()),
                Written::Indexed(index) => {
                    has_begun = true;
                    let (name, value) = self.0.get(index).ok_or(Unreadable)?;
                    fields.push((name, value), most, count);
                    continue;
                }
                Written::Literal(name, keeps) => (name, keeps),
            };
            has_begun = true;
            let start = fields.bytes.len();
            if name == 0 {
                input.text(&mut fields.bytes)?;
            } else {
                fields.bytes.extend_from_slice(self.0.get(name).ok_or(Unreadable)?.0);
            }
            let middle = fields.bytes.len();
            input.text(&mut fields.bytes)?;
            if keeps
                && let Some((name, value)) = fields.bytes.get(start..).map(|new| new.split_at(middle - start))
            {
                self.0.add(name, value);
            }
            fields.keep(start, middle, most, count);
        }
        Ok(fields)
    }
}

impl Fields {
    /// Adds a field.
    fn push(&mut self, (name, value): (&[u8], &[u8]), most: usize, count: usize) {
        let start = self.bytes.len();
        if self.size <= most {
            self.bytes.extend_from_slice(name);
            self.bytes.extend_from_slice(value);
            self.keep(start, start + name.len(), most, count);
        } else {
            self.size += name.len() + value.len() + OVERHEAD;
        }
    }

    /// Makes a field of the bytes from `start` on, unless that is too much.
    fn keep(&mut self, start: usize, middle: usize, most: usize, count: usize) {
        self.size += self.bytes.len() - start + OVERHEAD;
        self.is_beyond |= self.size > most || self.places.len() == count;
        if self.is_beyond {
            self.bytes.truncate(start);
        } else {
            self.places.push([start, middle, self.bytes.len()].map(|at| at as u32));
        }
    }
}

/// What is left of a block.
struct Input<'b>(&'b [u8]);

impl<'b> Input<'b> {
    /// How the next field is written; `None` at the end (section 6).
    fn written(&mut self) -> Result<Option<Written>, Unreadable> {
        let Some(first) = self.0.first() else { return Ok(None) };
        Ok(Some(match first {
            0x80.. => Written::Indexed(self.number(7)?),
            0x40.. => Written::Literal(self.number(6)?, true),
            0x20.. => Written::TableSize(self.number(5)?),
            _ => Written::Literal(self.number(4)?, false),
        }))
    }

    /// A number whose first byte has a prefix of so many bits (section 5.1).
    fn number(&mut self, prefix: u8) -> Result<usize, Unreadable> {
        let mask = (1_usize << prefix) - 1;
        let first = usize::from(self.byte()?) & mask;
        if first < mask {
            return Ok(first);
        }
        let mut number = mask;
        // Four more bytes are enough for whatever is allowed here.
        for shift in [0, 7, 14, 21] {
            let byte = usize::from(self.byte()?);
            number += (byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Unreadable)
    }

    /// Appends a string to `out` (section 5.2).
    fn text(&mut self, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        let is_coded = self.0.first().is_some_and(|first| first & 0x80 != 0);
        let length = self.number(7)?;
        let (text, rest) = self.0.split_at_checked(length).ok_or(Unreadable)?;
        self.0 = rest;
        if is_coded {
            return huffman::decode(text, out).ok_or(Unreadable);
        }
        out.extend_from_slice(text);
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, Unreadable> {
        let (first, rest) = self.0.split_first().ok_or(Unreadable)?;
        self.0 = rest;
        Ok(*first)
    }
}
