//! Settings (RFC 9113 section 6.5).

use super::frame::{self, ErrorCode};

/// The window of a stream, or of the connection, that nobody has changed (section 6.9.2).
pub(super) const FIRST_WINDOW: i64 = 65_535;
/// The largest window (section 6.9.1).
pub(super) const LARGEST_WINDOW: i64 = (1 << 31) - 1;

const HEADER_TABLE_SIZE: u16 = 0x1;
const ENABLE_PUSH: u16 = 0x2;
const MAX_CONCURRENT_STREAMS: u16 = 0x3;
const INITIAL_WINDOW_SIZE: u16 = 0x4;
const MAX_FRAME_SIZE: u16 = 0x5;
const MAX_HEADER_LIST_SIZE: u16 = 0x6;
const ENABLE_CONNECT_PROTOCOL: u16 = 0x8;

/// What a client is allowed.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Streams at a time.
    pub streams: u32,
    /// Bytes of a head, as SETTINGS_MAX_HEADER_LIST_SIZE measures.
    pub head: usize,
    /// Fields of a head.
    pub fields: usize,
    /// Bytes of a body that are received ahead of whoever takes them, for each stream.
    pub window: u32,
}

impl Limits {
    /// What may be received on all streams together: one that nobody reads uses up its own window, and no other's.
    pub(super) fn connection_window(&self) -> i64 {
        (i64::from(self.window) * i64::from(self.streams)).clamp(FIRST_WINDOW, LARGEST_WINDOW)
    }

    /// The SETTINGS frame that says so.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let settings = [
            (MAX_CONCURRENT_STREAMS, self.streams),
            (INITIAL_WINDOW_SIZE, self.window),
            (MAX_HEADER_LIST_SIZE, u32::try_from(self.head).unwrap_or(u32::MAX)),
            (ENABLE_CONNECT_PROTOCOL, 1),
        ];
        frame::put_header(out, frame::SETTINGS, 0, 0, settings.len() * 6);
        for (name, value) in settings {
            out.extend_from_slice(&name.to_be_bytes());
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
}

/// What a client has set.
#[derive(Debug, Default)]
pub(super) struct Set {
    pub(super) window: Option<i64>,
    pub(super) table: bool,
}

impl Set {
    /// Reads the payload of a SETTINGS frame; of what is set twice the last counts.
    pub(super) fn read(payload: &[u8]) -> Result<Self, ErrorCode> {
        let (settings, []) = payload.as_chunks::<6>() else { return Err(ErrorCode::FRAME_SIZE_ERROR) };
        let mut set = Self::default();
        for [high, low, value @ ..] in settings {
            let value = u32::from_be_bytes(*value);
            match u16::from_be_bytes([*high, *low]) {
                HEADER_TABLE_SIZE => set.table = true,
                ENABLE_PUSH if value > 1 => return Err(ErrorCode::PROTOCOL_ERROR),
                INITIAL_WINDOW_SIZE if i64::from(value) > LARGEST_WINDOW => {
                    return Err(ErrorCode::FLOW_CONTROL_ERROR);
                }
                INITIAL_WINDOW_SIZE => set.window = Some(i64::from(value)),
                MAX_FRAME_SIZE if !(1 << 14..1 << 24).contains(&value) => {
                    return Err(ErrorCode::PROTOCOL_ERROR);
                }
                ENABLE_CONNECT_PROTOCOL if value > 1 => return Err(ErrorCode::PROTOCOL_ERROR),
                _ => {}
            }
        }
        Ok(set)
    }
}
