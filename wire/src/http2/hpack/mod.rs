//! Fields as HTTP/2 writes them: HPACK (RFC 7541).

mod decode;
mod encode;
mod huffman;
mod table;
#[cfg(test)]
mod tests;

pub(super) use decode::Decoder;
pub(super) use encode::{encode_field, encode_nothing_kept, encode_status};

use std::fmt;
use std::ops::Range;

/// Fields in their order, within one buffer.
#[derive(Default)]
pub struct Fields {
    /// Names and values, back to back.
    pub bytes: Vec<u8>,
    /// Where the name, the value and the next name begin.
    places: Vec<[u32; 3]>,
    /// By the measure of SETTINGS_MAX_HEADER_LIST_SIZE (RFC 9113 section 6.5.2).
    size: usize,
    /// There were more than there may be.
    is_beyond: bool,
}

impl fmt::Debug for Fields {
    /// Only how many there are: some of them are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fields").field("count", &self.places.len()).finish_non_exhaustive()
    }
}

impl Fields {
    /// Where the name and the value of each field are.
    pub fn places(&self) -> impl ExactSizeIterator<Item = (Range<usize>, Range<usize>)> {
        self.places.iter().map(|[name, value, end]| {
            let [name, value, end] = [*name, *value, *end].map(|at| at as usize);
            (name..value, value..end)
        })
    }

    /// Each field.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let part = |range| self.bytes.get(range).unwrap_or_default();
        self.places().map(move |(name, value)| (part(name), part(value)))
    }

    /// Leaves out the first `count` fields; their bytes stay.
    pub(super) fn skip(&mut self, count: usize) {
        self.places.drain(..count.min(self.places.len()));
    }

    /// Whether there were more than there may be, which were not kept.
    pub(super) fn is_beyond(&self) -> bool {
        self.is_beyond
    }
}
