//! Frames (RFC 9113 section 4).

/// Bytes of a frame's header.
pub(super) const HEADER: usize = 9;
/// Most bytes of a payload, in either direction: what nobody has raised (section 6.5.2).
pub(super) const LARGEST: usize = 16 * 1024;

pub(super) const DATA: u8 = 0x0;
pub(super) const HEADERS: u8 = 0x1;
pub(super) const PRIORITY: u8 = 0x2;
pub(super) const RST_STREAM: u8 = 0x3;
pub(super) const SETTINGS: u8 = 0x4;
pub(super) const PUSH_PROMISE: u8 = 0x5;
pub(super) const PING: u8 = 0x6;
pub(super) const GOAWAY: u8 = 0x7;
pub(super) const WINDOW_UPDATE: u8 = 0x8;
pub(super) const CONTINUATION: u8 = 0x9;

pub(super) const ACK: u8 = 0x1;
pub(super) const END_STREAM: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;
pub(super) const PADDED: u8 = 0x8;
pub(super) const WITH_PRIORITY: u8 = 0x20;

/// Why a stream or a connection ends (section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode(pub u32);

impl ErrorCode {
    /// NO_ERROR.
    pub const NO_ERROR: Self = Self(0x0);
    /// PROTOCOL_ERROR.
    pub const PROTOCOL_ERROR: Self = Self(0x1);
    /// INTERNAL_ERROR.
    pub const INTERNAL_ERROR: Self = Self(0x2);
    /// FLOW_CONTROL_ERROR.
    pub const FLOW_CONTROL_ERROR: Self = Self(0x3);
    /// STREAM_CLOSED.
    pub const STREAM_CLOSED: Self = Self(0x5);
    /// FRAME_SIZE_ERROR.
    pub const FRAME_SIZE_ERROR: Self = Self(0x6);
    /// REFUSED_STREAM.
    pub const REFUSED_STREAM: Self = Self(0x7);
    /// CANCEL.
    pub const CANCEL: Self = Self(0x8);
    /// COMPRESSION_ERROR.
    pub const COMPRESSION_ERROR: Self = Self(0x9);
    /// ENHANCE_YOUR_CALM.
    pub const ENHANCE_YOUR_CALM: Self = Self(0xb);
    /// HTTP_1_1_REQUIRED.
    pub const HTTP_1_1_REQUIRED: Self = Self(0xd);
}

/// The header of a frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) length: usize,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl Header {
    pub(super) fn read(octets: [u8; HEADER]) -> Self {
        let [high, middle, low, kind, flags, stream @ ..] = octets;
        Self {
            length: u32::from_be_bytes([0, high, middle, low]) as usize,
            kind,
            flags,
            stream: u32::from_be_bytes(stream) & 0x7fff_ffff,
        }
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// What the frame carries, without its padding and its priority; `None`: it has no room for them.
    pub(super) fn content<'p>(&self, payload: &'p [u8]) -> Option<&'p [u8]> {
        let mut content = payload;
        if self.has(PADDED) {
            let (padding, rest) = content.split_first()?;
            content = rest.get(..rest.len().checked_sub(usize::from(*padding))?)?;
        }
        if self.kind == HEADERS && self.has(WITH_PRIORITY) {
            content = content.get(5..)?;
        }
        Some(content)
    }

    /// The stream that this frame's priority depends on.
    pub(super) fn depends_on(&self, payload: &[u8]) -> Option<u32> {
        let payload = payload.get(usize::from(self.kind == HEADERS && self.has(PADDED))..)?;
        Some(u32::from_be_bytes(*payload.first_chunk()?) & 0x7fff_ffff)
    }
}

/// Appends the header of a frame.
pub(super) fn put_header(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, length: usize) {
    let [_, high, middle, low] = (length as u32).to_be_bytes();
    let [a, b, c, d] = stream.to_be_bytes();
    out.extend_from_slice(&[high, middle, low, kind, flags, a, b, c, d]);
}

/// Appends a frame.
pub(super) fn put(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    put_header(out, kind, flags, stream, payload.len());
    out.extend_from_slice(payload);
}

/// Appends a field block in as many frames as it needs.
pub(super) fn put_block(out: &mut Vec<u8>, flags: u8, stream: u32, encode: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    put_header(out, HEADERS, flags | END_HEADERS, stream, 0);
    encode(out);
    let length = out.len() - start - HEADER;
    if length <= LARGEST {
        if let Some(room) = out.get_mut(start..start + 3) {
            room.copy_from_slice(&(length as u32).to_be_bytes()[1..]);
        }
        return;
    }
    let block = out.split_off(start);
    let mut parts = block.get(HEADER..).unwrap_or_default().chunks(LARGEST).peekable();
    let (mut kind, mut flags) = (HEADERS, flags);
    while let Some(part) = parts.next() {
        let last = if parts.peek().is_none() { END_HEADERS } else { 0 };
        put(out, kind, flags | last, stream, part);
        (kind, flags) = (CONTINUATION, 0);
    }
}
