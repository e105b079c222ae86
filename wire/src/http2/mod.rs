//! HTTP/2 frame headers (RFC 9113 section 4.1), counted on their way to the codec.
//!
//! Frames that cost the sender nothing and the receiver something are paid for from a budget, which time,
//! requests and octets delivered refill. Payloads are skipped by count.

use std::time::Duration;

/// Octets of a frame header.
const HEADER: usize = 9;
/// `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`.
const PREFACE: u64 = 24;
/// Frames that may come at once, beyond what is earned.
const BUDGET: u32 = 1000;
/// Frames a second that are always allowed.
const REFILL: u32 = 20;
/// What a request earns: its own resets, window updates and priorities.
const A_REQUEST: u32 = 8;
/// Octets sent to the client that earn one frame: it acknowledges what it has taken.
const SENT: u64 = 1024;

/// The connection is flooded with frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flooded;

/// Follows what a client sends on one connection.
#[derive(Debug)]
pub struct FrameMeter {
    header: [u8; HEADER],
    have: usize,
    /// Octets left of the preface or of a payload.
    skip: u64,
    budget: u32,
    /// When the budget was last refilled.
    refilled: Duration,
    sent: u64,
    in_field_block: bool,
}

impl Default for FrameMeter {
    fn default() -> Self {
        Self {
            header: [0; HEADER],
            have: 0,
            skip: PREFACE,
            budget: BUDGET,
            refilled: Duration::ZERO,
            sent: 0,
            in_field_block: false,
        }
    }
}

impl FrameMeter {
    /// Follows `input`. `now` counts from any moment, and never goes back.
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
        while !rest.is_empty() {
            if self.skip > 0 {
                let step = usize::try_from(self.skip).unwrap_or(usize::MAX).min(rest.len());
                self.skip -= step as u64;
                rest = rest.get(step..).unwrap_or_default();
                continue;
            }
            let step = (HEADER - self.have).min(rest.len());
            let (part, after) = rest.split_at(step);
            if let Some(room) = self.header.get_mut(self.have..self.have + step) {
                room.copy_from_slice(part);
            }
            self.have += step;
            rest = after;
            if self.have == HEADER {
                self.have = 0;
                self.frame()?;
            }
        }
        Ok(())
    }

    /// Notes that `count` octets were sent to the client.
    pub fn sent(&mut self, count: usize) {
        self.sent += count as u64;
        if self.sent >= SENT {
            self.earn(u32::try_from(self.sent / SENT).unwrap_or(u32::MAX));
            self.sent %= SENT;
        }
    }

    /// Whether a block of fields has begun and is not whole: nothing else may come before its end.
    pub fn is_in_field_block(&self) -> bool {
        self.in_field_block
    }

    fn earn(&mut self, frames: u32) {
        self.budget = self.budget.saturating_add(frames).min(BUDGET);
    }

    fn frame(&mut self) -> Result<(), Flooded> {
        let [high, middle, low, kind, flags, ..] = self.header;
        let length = u64::from(high) << 16 | u64::from(middle) << 8 | u64::from(low);
        self.skip = length;
        let ends_block = flags & 0x4 != 0;
        let costs = match kind {
            // DATA, unless it carries nothing and ends nothing.
            0x0 if length > 0 || flags & 0x1 != 0 => 0,
            // HEADERS
            0x1 => {
                self.earn(A_REQUEST);
                self.in_field_block = !ends_block;
                0
            }
            // CONTINUATION
            0x9 => {
                self.in_field_block &= !ends_block;
                1
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
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let size = (length as u32).to_be_bytes();
        let mut frame = vec![size[1], size[2], size[3], kind, flags, 0, 0, 0, 0];
        frame.resize(HEADER + length, 0);
        frame
    }

    fn started() -> FrameMeter {
        let mut meter = FrameMeter::default();
        meter.read(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Duration::ZERO).unwrap();
        meter
    }

    #[test]
    fn floods_end_and_work_does_not() {
        for (kind, flags, length) in [(0x6, 0, 8), (0x4, 0, 0), (0x2, 0, 5), (0x0, 0, 0), (0xbe, 0, 3)] {
            let mut meter = started();
            let flood = frame(kind, flags, length).repeat(BUDGET as usize);
            assert_eq!(meter.read(&flood, Duration::ZERO), Ok(()), "{kind}");
            assert_eq!(meter.read(&frame(kind, flags, length), Duration::ZERO), Err(Flooded), "{kind}");
        }
        // Requests that are reset at once are a flood as well, though each earns something.
        let mut meter = started();
        let pair = [frame(0x1, 0x5, 40), frame(0x3, 0, 4)].concat();
        let pairs = (0..2000).take_while(|_| meter.read(&pair, Duration::ZERO).is_ok()).count();
        assert!((900..1100).contains(&pairs), "{pairs}");
        let mut meter = started();
        for _ in 0..10_000 {
            meter.read(&frame(0x1, 0x5, 40), Duration::ZERO).unwrap();
            meter.read(&frame(0x0, 0, 100), Duration::ZERO).unwrap();
            meter.sent(4096);
            meter.read(&frame(0x8, 0, 4), Duration::ZERO).unwrap();
        }
        assert!(!meter.is_in_field_block());
        meter.read(&frame(0x1, 0, 40), Duration::ZERO).unwrap();
        assert!(meter.is_in_field_block());
    }

    #[test]
    fn time_refills() {
        let mut meter = started();
        meter.read(&frame(0x6, 0, 8).repeat(BUDGET as usize), Duration::ZERO).unwrap();
        let ping = frame(0x6, 0, 8);
        meter.read(&ping.repeat(REFILL as usize), Duration::from_secs(1)).unwrap();
        assert_eq!(meter.read(&ping, Duration::from_secs(1)), Err(Flooded));
    }

    #[test]
    fn pieces_are_as_good_as_the_whole() {
        let mut meter = started();
        let all = [frame(0x1, 0x4, 300), frame(0x0, 1, 70_000), frame(0x6, 0, 8)].concat();
        for octet in &all {
            meter.read(std::slice::from_ref(octet), Duration::ZERO).unwrap();
        }
        assert_eq!((meter.skip, meter.have), (0, 0));
    }
}
