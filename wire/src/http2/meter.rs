//! Frames that cost the sender nothing and the receiver something are paid for from a budget, which time, requests and
//! delivered bytes refill.

use super::frame::{self, Header};
use std::time::Duration;

/// Frames that may come at once in excess of what has been earned.
const BUDGET: u32 = 1000;
/// Frames a second that are always allowed.
const REFILL: u32 = 20;
/// Frames that a request earns: for its own resets, window updates and priorities.
const A_REQUEST: u32 = 8;
/// Bytes sent to the client that earn it one frame: it acknowledges what it has received.
const SENT: usize = 1024;
/// Frames that a DATA frame of any size earns, in either direction: window updates for its stream and its connection,
/// and a ping.
const A_MESSAGE: u32 = 3;
/// Most bytes of padding in a frame, including their length.
const PADDING: usize = 256;

/// More frames came than were earned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flooded;

/// What the client of one connection has earned.
#[derive(Debug)]
pub(super) struct Meter {
    budget: u32,
    /// What DATA frames have earned: for window updates and pings only.
    windows: u32,
    /// When the budget was last refilled.
    refilled: Duration,
    sent: usize,
}

impl Default for Meter {
    fn default() -> Self {
        Self { budget: BUDGET, windows: 0, refilled: Duration::ZERO, sent: 0 }
    }
}

impl Meter {
    /// Time passes. `now` counts from an arbitrary moment and never goes back.
    pub(super) fn pass(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.refilled);
        let earned = u32::try_from(passed.as_millis() * u128::from(REFILL) / 1000).unwrap_or(u32::MAX);
        if earned > 0 {
            self.earn(earned);
            self.refilled = now;
        }
    }

    /// So many bytes were sent to the client.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent += bytes;
        if self.sent >= SENT {
            self.earn(u32::try_from(self.sent / SENT).unwrap_or(u32::MAX));
            self.sent %= SENT;
        }
    }

    /// A DATA frame with something in it has come or gone.
    pub(super) fn message(&mut self) {
        self.windows = (self.windows + A_MESSAGE).min(BUDGET);
    }

    /// A frame has come from the client.
    pub(super) fn came(&mut self, header: &Header) -> Result<(), Flooded> {
        let costs = match header.kind {
            // Unless it carries nothing and ends nothing. A short padded frame may consist of nothing but padding.
            frame::DATA if header.length > 0 && (!header.has(frame::PADDED) || header.length > PADDING) => {
                self.message();
                0
            }
            frame::DATA if header.has(frame::END_STREAM) => 0,
            frame::PING | frame::WINDOW_UPDATE if self.windows > 0 => {
                self.windows -= 1;
                0
            }
            // What a request has earned, so that one that is reset earns nothing.
            frame::RST_STREAM => A_REQUEST + 1,
            _ => 1,
        };
        self.charge(costs)
    }

    /// A request has begun: with it, its HEADERS frame is paid for.
    pub(super) fn request(&mut self) {
        self.earn(A_REQUEST + 1);
    }

    /// The client has made this side reset a stream: that costs as much as if it had done so itself.
    pub(super) fn fault(&mut self) -> Result<(), Flooded> {
        self.charge(A_REQUEST + 1)
    }

    fn charge(&mut self, costs: u32) -> Result<(), Flooded> {
        self.budget = self.budget.checked_sub(costs).ok_or(Flooded)?;
        Ok(())
    }

    fn earn(&mut self, frames: u32) {
        self.budget = self.budget.saturating_add(frames).min(BUDGET);
    }
}

#[cfg(test)]
mod tests;
