//! What becomes of the bytes that a reader has found good.

use std::ops::Range;

/// A whole head that was found good.
#[derive(Debug, Default)]
pub struct Head {
    /// Its start line and its field lines, each with its CRLF, and the empty line.
    pub bytes: Vec<u8>,
    fields: Vec<[u32; 4]>,
}

impl Head {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, fields: Vec::new() }
    }

    /// Where the name and the value of each field are; values without the whitespace around them.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = (Range<usize>, Range<usize>)> {
        let range = |from: u32, to: u32| from as usize..to as usize;
        self.fields.iter().map(move |[name, colon, value, end]| (range(*name, *colon), range(*value, *end)))
    }

    pub(super) fn set_fields(&mut self, fields: Vec<[u32; 4]>) {
        self.fields = fields;
    }

    /// Puts `target` in place of the one in its request line.
    pub(super) fn retarget(self, target: &[u8]) -> Self {
        let mut parts = self.bytes.splitn(3, |b| *b == b' ');
        let (method, former, rest) = (parts.next(), parts.next(), parts.next());
        let bytes = [method.unwrap_or_default(), target, rest.unwrap_or_default()].join(&b' ');
        let former = former.map_or(0, <[u8]>::len);
        let moved = |at: u32| (at as usize + target.len()).saturating_sub(former) as u32;
        Self { bytes, fields: self.fields.into_iter().map(|field| field.map(moved)).collect() }
    }
}

/// Takes what a reader has found good.
pub trait Sink {
    /// Whether the reader stops behind each head and each message, so that whoever takes them can.
    const STEPWISE: bool;

    /// A whole head.
    fn head(&mut self, head: Head);

    /// Bytes of a body, or of another protocol.
    fn data(&mut self, data: &[u8]);

    /// Bytes that frame a body: lines of chunk sizes, line ends, and its trailer section.
    fn framing(&mut self, bytes: &[u8]);

    /// A whole line of a trailer section, without its CRLF. Its bytes have come as framing as well.
    fn trailer(&mut self, line: &[u8]);
}

/// Everything as it came.
impl Sink for Vec<u8> {
    const STEPWISE: bool = false;

    fn head(&mut self, head: Head) {
        // Mostly there is nothing before it.
        if self.is_empty() { *self = head.bytes } else { self.extend_from_slice(&head.bytes) }
    }

    fn data(&mut self, data: &[u8]) {
        self.extend_from_slice(data);
    }

    fn framing(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn trailer(&mut self, _: &[u8]) {}
}
