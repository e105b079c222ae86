//! HTTP/2 frame headers (RFC 9113 section 4.1), counted on their way to the codec.
//!
//! Frames that cost the sender nothing and the receiver something are paid for from a budget, which time, requests and
//! delivered bytes refill. Payloads are skipped by length.

use std::collections::BTreeSet;
use std::time::Duration;

/// Bytes of a frame header.
const HEADER: usize = 9;
/// `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`.
const PREFACE: u64 = 24;
/// Frames that may come at once in excess of what has been earned.
const BUDGET: u32 = 1000;
/// Frames a second that are always allowed.
const REFILL: u32 = 20;
/// Frames that a request earns: for its own resets, window updates and priorities.
const A_REQUEST: u32 = 8;
/// Bytes sent to the client that earn it one frame: it acknowledges what it has received.
const SENT: u64 = 1024;
/// Frames that a DATA frame of any size earns, in either direction: window updates for its stream and its connection,
/// and a ping.
const A_MESSAGE: u32 = 3;
/// Most bytes of padding in a frame, including their length.
const PADDING: u64 = 256;
/// Most streams remembered because their requests have not been handed out yet.
const BEGUN: usize = 1024;

/// The connection is flooded with frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flooded;

/// Finds frame headers in one direction of a connection.
#[derive(Debug, Default)]
struct Headers {
    header: [u8; HEADER],
    have: usize,
    /// Bytes left of the preface or of a payload.
    skip: u64,
}

/// The header of a frame.
struct Header {
    kind: u8,
    flags: u8,
    length: u64,
    stream: u32,
}

impl Headers {
    /// The next header in `input`, which is advanced past what has been examined.
    fn next(&mut self, input: &mut &[u8]) -> Option<Header> {
        while !input.is_empty() {
            if self.skip > 0 {
                let step = usize::try_from(self.skip).unwrap_or(usize::MAX).min(input.len());
                self.skip -= step as u64;
                *input = input.get(step..).unwrap_or_default();
                continue;
            }
            let step = (HEADER - self.have).min(input.len());
            let (part, after) = input.split_at(step);
            if let Some(room) = self.header.get_mut(self.have..self.have + step) {
                room.copy_from_slice(part);
            }
            self.have += step;
            *input = after;
            if self.have == HEADER {
                self.have = 0;
                let [high, middle, low, kind, flags, stream @ ..] = self.header;
                let length = u64::from(high) << 16 | u64::from(middle) << 8 | u64::from(low);
                self.skip = length;
                let stream = u32::from_be_bytes(stream) & 0x7fff_ffff;
                return Some(Header { kind, flags, length, stream });
            }
        }
        None
    }

    /// Whether a frame ends here.
    fn is_between(&self) -> bool {
        self.skip == 0 && self.have == 0
    }
}

/// Follows what a client sends on one connection, and what it is sent.
#[derive(Debug)]
pub struct FrameMeter {
    read: Headers,
    written: Headers,
    budget: u32,
    /// What DATA frames have earned: for window updates and pings only.
    windows: u32,
    /// When the budget was last refilled.
    refilled: Duration,
    sent: u64,
    in_field_block: bool,
    /// The client's latest stream.
    last_stream: u32,
    /// Streams that have begun and whose requests have not been handed out yet.
    begun: BTreeSet<u32>,
}

impl Default for FrameMeter {
    fn default() -> Self {
        Self {
            read: Headers { skip: PREFACE, ..Headers::default() },
            written: Headers::default(),
            budget: BUDGET,
            windows: 0,
            refilled: Duration::ZERO,
            sent: 0,
            in_field_block: false,
            last_stream: 0,
            begun: BTreeSet::new(),
        }
    }
}

impl FrameMeter {
    /// Follows `input`. `now` counts from an arbitrary moment and never goes back.
    ///
    /// # Errors
    /// [`Flooded`], when more frames came than were earned.
    pub fn read(&mut self, input: &[u8], now: Duration) -> Result<(), Flooded> {
        let passed = now.saturating_sub(self.refilled);
        let earned = u32::try_from(passed.as_millis() * u128::from(REFILL) / 1000).unwrap_or(u32::MAX);
        if earned > 0 {
            self.earn(earned);
            self.refilled = now;
        }
        let mut rest = input;
        while let Some(header) = self.read.next(&mut rest) {
            self.frame(&header)?;
        }
        Ok(())
    }

    /// Notes that these bytes were sent to the client. Returns how many streams they reset whose requests had not been
    /// handed out: the codec itself found those malformed, or too many.
    pub fn sent(&mut self, octets: &[u8]) -> usize {
        let mut rest = octets;
        let mut refused = 0;
        while let Some(header) = self.written.next(&mut rest) {
            match header.kind {
                // DATA, with something in it.
                0x0 if header.length > 0 => self.note_message(),
                // RST_STREAM
                0x3 => refused += usize::from(self.begun.remove(&header.stream)),
                _ => {}
            }
        }
        self.sent += octets.len() as u64;
        if self.sent >= SENT {
            self.earn(u32::try_from(self.sent / SENT).unwrap_or(u32::MAX));
            self.sent %= SENT;
        }
        refused
    }

    /// Notes that the request of this stream has been handed out.
    pub fn accepted(&mut self, stream: u32) {
        self.begun.remove(&stream);
    }

    /// The GOAWAY frame that ends a flooded connection (RFC 9113 sections 6.8 and 10.5); `None` in the middle of
    /// another frame to the client.
    pub fn goaway(&self) -> Option<[u8; 17]> {
        let [a, b, c, d] = self.last_stream.to_be_bytes();
        // GOAWAY, eight bytes, on no stream; ENHANCE_YOUR_CALM.
        self.written.is_between().then_some([0, 0, 8, 0x7, 0, 0, 0, 0, 0, a, b, c, d, 0, 0, 0, 0xb])
    }

    /// Whether a field block has begun and is incomplete: nothing else may come before its end.
    pub fn is_in_field_block(&self) -> bool {
        self.in_field_block
    }

    /// A frame of a body has come or gone.
    fn note_message(&mut self) {
        self.windows = (self.windows + A_MESSAGE).min(BUDGET);
    }

    fn earn(&mut self, frames: u32) {
        self.budget = self.budget.saturating_add(frames).min(BUDGET);
    }

    fn frame(&mut self, header: &Header) -> Result<(), Flooded> {
        let ends_block = header.flags & 0x4 != 0;
        let costs = match header.kind {
            // DATA, unless it carries nothing and ends nothing. A short padded frame may consist of nothing but
            // padding.
            0x0 if header.length > 0 && (header.flags & 0x8 == 0 || header.length > PADDING) => {
                self.note_message();
                0
            }
            0x0 if header.flags & 0x1 != 0 => 0,
            // HEADERS
            0x1 => {
                if header.stream > self.last_stream {
                    self.last_stream = header.stream;
                    self.begun.insert(header.stream);
                    // The oldest is one that the codec has silently ignored.
                    if self.begun.len() > BEGUN {
                        self.begun.pop_first();
                    }
                }
                self.earn(A_REQUEST);
                self.in_field_block = !ends_block;
                0
            }
            // CONTINUATION
            0x9 => {
                self.in_field_block &= !ends_block;
                1
            }
            // PING, WINDOW_UPDATE
            0x6 | 0x8 if self.windows > 0 => {
                self.windows -= 1;
                0
            }
            // RST_STREAM: a request that is reset earns nothing.
            0x3 => A_REQUEST + 1,
            // Empty DATA, PRIORITY, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, and all others.
            _ => 1,
        };
        self.budget = self.budget.checked_sub(costs).ok_or(Flooded)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
