//! One connection: takes what a client sends, and says what is to be sent (RFC 9113).

use super::frame::{self, ErrorCode, HEADER, Header, LARGEST, put};
use super::hpack::Decoder;
use super::meter::{Flooded, Meter};
use super::request::RequestHead;
use super::settings::{FIRST_WINDOW, LARGEST_WINDOW, Limits};
use super::stream::{By, Stream};
use std::collections::VecDeque;
use std::time::Duration;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Streams that were reset here and are remembered: what the client had sent before it knew is no fault.
const REMEMBERED: usize = 256;
/// What a PING carries that asks whether the client knows that the connection ends.
const LEAVING: [u8; 8] = *b"leaving\0";

/// What has come of a client's bytes.
#[derive(Debug)]
pub enum Event {
    /// A request begins on this stream.
    Request(u32, Box<RequestHead>),
    /// One begins whose head is larger than it may be; whether it asks by HEAD.
    TooLarge(u32, bool),
    /// Something has come on this stream.
    Readable(u32),
    /// The client takes more on this stream.
    Writable(u32),
    /// It takes something again on all streams together.
    ConnectionWritable,
    /// It may take more on every stream.
    AllWritable,
    /// This stream has been reset, by either side.
    Reset(u32),
    /// A stream was reset before anybody was told of it.
    Refused,
}

/// Why a connection ends at once; the client has been told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionFault {
    /// The client breaks the rules.
    Broken(ErrorCode),
    /// The client sends more frames than it has earned.
    Flooded,
}

impl From<ErrorCode> for ConnectionFault {
    fn from(code: ErrorCode) -> Self {
        Self::Broken(code)
    }
}

impl From<Flooded> for ConnectionFault {
    fn from(_: Flooded) -> Self {
        Self::Flooded
    }
}

/// A field block that has begun.
pub(super) struct Block {
    pub(super) stream: u32,
    pub(super) ends: bool,
    pub(super) depends_on: Option<u32>,
    pub(super) fragment: Vec<u8>,
}

/// How far a connection is towards its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaving {
    No,
    /// The client is asked whether it knows.
    Asked,
    /// It knows: what it begins behind this stream is ignored.
    After(u32),
}

/// A connection. Of each stream it keeps a `W` besides its own state.
pub struct Connection<W> {
    pub(super) limits: Limits,
    /// To be sent.
    pub out: Vec<u8>,
    /// Bytes of the preface that have come.
    preface: usize,
    /// The beginning of a frame.
    partial: Vec<u8>,
    has_settings: bool,
    pub(super) block: Option<Block>,
    /// Field blocks that were complete.
    pub(super) blocks: u32,
    pub(super) decoder: Decoder,
    pub(super) meter: Meter,
    /// In the order of their numbers.
    pub(super) streams: Vec<Stream<W>>,
    /// Those that count towards the limit.
    pub(super) open: u32,
    /// The client's latest stream.
    pub(super) last: u32,
    pub(super) forgotten: VecDeque<u32>,
    /// Bytes that the client takes on all streams together, and at first on a new one.
    pub(super) window: i64,
    pub(super) first_window: i64,
    /// Bytes that the client may send on all streams together.
    pub(super) allowed: i64,
    /// The client's table of fields is to be told that nothing is kept.
    pub(super) tells_table: bool,
    leaving: Leaving,
    /// The client begins no more streams.
    pub(super) is_left: bool,
}

impl<W: Default> Connection<W> {
    /// One that begins. What the client is allowed is to be sent at once.
    pub fn new(limits: Limits) -> Self {
        let mut out = Vec::with_capacity(64);
        limits.put(&mut out);
        let more = limits.connection_window() - FIRST_WINDOW;
        if let Some(more) = u32::try_from(more).ok().filter(|more| *more > 0) {
            put(&mut out, frame::WINDOW_UPDATE, 0, 0, &more.to_be_bytes());
        }
        Self {
            limits,
            out,
            preface: 0,
            partial: Vec::new(),
            has_settings: false,
            block: None,
            blocks: 0,
            decoder: Decoder::default(),
            meter: Meter::default(),
            streams: Vec::new(),
            open: 0,
            last: 0,
            forgotten: VecDeque::new(),
            window: FIRST_WINDOW,
            first_window: FIRST_WINDOW,
            allowed: limits.connection_window(),
            tells_table: false,
            leaving: Leaving::No,
            is_left: false,
        }
    }

    /// Takes what the client has sent. `now` counts from an arbitrary moment and never goes back.
    ///
    /// # Errors
    /// The connection ends: nothing more is read, and [`Connection::out`] ends with GOAWAY.
    pub fn read(
        &mut self,
        input: &[u8],
        now: Duration,
        events: &mut Vec<Event>,
    ) -> Result<(), ConnectionFault> {
        self.meter.pass(now);
        let read = self.frames(input, events);
        if let Err(fault) = read {
            let code = match fault {
                ConnectionFault::Broken(code) => code,
                ConnectionFault::Flooded => ErrorCode::ENHANCE_YOUR_CALM,
            };
            self.give_up(code);
        }
        read
    }

    fn frames(&mut self, input: &[u8], events: &mut Vec<Event>) -> Result<(), ConnectionFault> {
        let (preface, mut rest) = input.split_at(input.len().min(PREFACE.len() - self.preface));
        if !PREFACE.get(self.preface..).unwrap_or_default().starts_with(preface) {
            return Err(ErrorCode::PROTOCOL_ERROR.into());
        }
        self.preface += preface.len();
        if !self.partial.is_empty() {
            let mut partial = std::mem::take(&mut self.partial);
            while let Some(count) = missing(&partial)?.filter(|_| !rest.is_empty()) {
                let (part, after) = rest.split_at(count.min(rest.len()));
                partial.extend_from_slice(part);
                rest = after;
            }
            if missing(&partial)?.is_some() {
                self.partial = partial;
                return Ok(());
            }
            self.whole_frame(&partial, events)?;
        }
        while missing(rest)?.is_none() {
            let length = HEADER + rest.first_chunk().map_or(0, |header| Header::read(*header).length);
            let (whole, after) = rest.split_at(length.min(rest.len()));
            self.whole_frame(whole, events)?;
            rest = after;
        }
        self.partial = rest.to_vec();
        Ok(())
    }

    fn whole_frame(&mut self, whole: &[u8], events: &mut Vec<Event>) -> Result<(), ConnectionFault> {
        let Some((header, payload)) = whole.split_first_chunk() else { return Ok(()) };
        let header = Header::read(*header);
        self.meter.came(&header)?;
        if !std::mem::replace(&mut self.has_settings, true)
            && (header.kind != frame::SETTINGS || header.has(frame::ACK))
        {
            return Err(ErrorCode::PROTOCOL_ERROR.into());
        }
        // Nothing but its rest comes within a field block (section 4.3).
        if (self.block.is_some()) != (header.kind == frame::CONTINUATION) {
            return Err(ErrorCode::PROTOCOL_ERROR.into());
        }
        self.frame(&header, payload, events)
    }

    /// The number of the field block that has begun and is not complete; 0 also for what the client must say first.
    pub fn awaits(&self) -> Option<u32> {
        let begins = |kind: &u8| matches!(*kind, frame::HEADERS | frame::CONTINUATION);
        let is_in_block = self.block.is_some() || self.partial.get(3).is_some_and(begins);
        (is_in_block || !self.has_settings).then_some(self.blocks)
    }

    /// Says that the connection ends, and why.
    pub fn give_up(&mut self, code: ErrorCode) {
        let last = if let Leaving::After(last) = self.leaving { last } else { self.last };
        self.put_goaway(last, code);
    }

    /// Whether the client has said what it must say first.
    pub fn has_begun(&self) -> bool {
        self.has_settings
    }

    /// So much of [`Connection::out`] has been sent.
    pub fn sent(&mut self, bytes: usize) {
        self.meter.sent(bytes);
    }

    /// Asks the client to begin no more streams.
    pub fn leave(&mut self) {
        if self.leaving == Leaving::No {
            self.leaving = Leaving::Asked;
            self.put_goaway(LARGEST_WINDOW as u32, ErrorCode::NO_ERROR);
            put(&mut self.out, frame::PING, 0, 0, &LEAVING);
        }
    }

    /// The answer to a PING has come.
    pub(super) fn answered(&mut self, payload: [u8; 8]) {
        if self.leaving == Leaving::Asked && payload == LEAVING {
            self.leaving = Leaving::After(self.last);
            self.put_goaway(self.last, ErrorCode::NO_ERROR);
        }
    }

    /// Whether a stream comes too late to be served.
    pub(super) fn is_too_late(&self, stream: u32) -> bool {
        matches!(self.leaving, Leaving::After(last) if stream > last)
    }

    /// Whether one side has left, and nothing is under way.
    pub fn is_done(&self) -> bool {
        (self.is_left || matches!(self.leaving, Leaving::After(_))) && self.streams.is_empty()
    }

    /// Whether no stream is held.
    pub fn is_idle(&self) -> bool {
        self.streams.is_empty()
    }

    /// All streams end, as the connection does.
    pub fn break_off(&mut self, events: &mut Vec<Event>) {
        for stream in self.streams.iter_mut().filter(|stream| stream.reset.is_none()) {
            stream.reset = Some(By::Client);
            events.push(Event::Reset(stream.id));
        }
        self.open = 0;
    }

    fn put_goaway(&mut self, last: u32, code: ErrorCode) {
        frame::put_header(&mut self.out, frame::GOAWAY, 0, 0, 8);
        self.out.extend_from_slice(&last.to_be_bytes());
        self.out.extend_from_slice(&code.0.to_be_bytes());
    }
}

impl<W> Connection<W> {
    pub(super) fn at(&self, stream: u32) -> Result<usize, usize> {
        self.streams.binary_search_by_key(&stream, |stream| stream.id)
    }

    pub(super) fn get(&mut self, stream: u32) -> Option<&mut Stream<W>> {
        let at = self.at(stream).ok()?;
        self.streams.get_mut(at)
    }

    /// Notes that a half of this stream has ended.
    pub(super) fn settle(&mut self, stream: u32, was_open: bool) {
        if was_open && self.get(stream).is_none_or(|stream| !stream.is_open()) {
            self.open -= 1;
        }
    }

    /// Resets a stream, whether it is held or not.
    pub(super) fn put_reset(&mut self, stream: u32, code: ErrorCode) {
        put(&mut self.out, frame::RST_STREAM, 0, stream, &code.0.to_be_bytes());
        self.forget(stream);
    }

    /// What the client still says on this stream is ignored.
    pub(super) fn forget(&mut self, stream: u32) {
        if self.forgotten.len() == REMEMBERED {
            self.forgotten.pop_front();
        }
        self.forgotten.push_back(stream);
    }

    /// Resets a stream that the client has broken the rules on.
    pub(super) fn fail(
        &mut self,
        stream: u32,
        code: ErrorCode,
        events: &mut Vec<Event>,
    ) -> Result<(), Flooded> {
        self.put_reset(stream, code);
        if let Some(failed) = self.get(stream) {
            let was_open = failed.is_open();
            failed.reset = Some(By::Usher);
            self.settle(stream, was_open);
            events.push(Event::Reset(stream));
        }
        self.meter.fault()
    }
}

/// How much is missing of the frame that begins with `part`.
fn missing(part: &[u8]) -> Result<Option<usize>, ErrorCode> {
    let Some(header) = part.first_chunk() else { return Ok(Some(HEADER - part.len())) };
    let length = Header::read(*header).length;
    if length > LARGEST {
        return Err(ErrorCode::FRAME_SIZE_ERROR);
    }
    Ok((HEADER + length).checked_sub(part.len()).filter(|missing| *missing > 0))
}
