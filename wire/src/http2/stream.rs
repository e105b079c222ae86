//! One stream: which of its halves are open, and how much may flow (RFC 9113 sections 5.1 and 5.2).

use super::frame::ErrorCode;
use super::hpack::Fields;
use super::settings::LARGEST_WINDOW;

/// Who has ended a stream before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Client,
    Usher,
}

/// What has come of a body.
pub enum Received {
    /// Bytes.
    Data(Vec<u8>),
    /// Its trailers, behind which nothing comes.
    Trailers(Fields),
    /// Its end.
    End,
    /// It breaks off here.
    Broken,
    /// Nothing yet.
    Nothing,
}

/// A stream, for as long as somebody holds it.
pub(super) struct Stream<W> {
    pub(super) id: u32,
    pub(super) reset: Option<By>,
    /// The client has said all.
    pub(super) has_ended: bool,
    /// The head of the final response has been said.
    pub(super) has_head: bool,
    /// This side has said all as well.
    pub(super) is_answered: bool,
    /// Bytes that the client takes.
    pub(super) window: i64,
    /// Bytes that the client may send.
    allowed: i64,
    /// Bytes that have been taken, and that the client has not been allowed again.
    taken: i64,
    /// Bytes that are to come, where the head says so.
    length: Option<u64>,
    data: Vec<u8>,
    trailers: Option<Fields>,
    /// Nobody takes its data.
    pub(super) is_unread: bool,
    pub(super) with: W,
}

impl<W: Default> Stream<W> {
    pub(super) fn new(id: u32, window: i64, allowed: i64, length: Option<u64>, has_ended: bool) -> Self {
        Self {
            id,
            reset: None,
            has_ended,
            has_head: false,
            is_answered: false,
            window,
            allowed,
            taken: 0,
            length,
            data: Vec::new(),
            trailers: None,
            is_unread: false,
            with: W::default(),
        }
    }
}

impl<W> Stream<W> {
    /// Whether something may still flow.
    pub(super) fn is_open(&self) -> bool {
        self.reset.is_none() && !(self.has_ended && self.is_answered)
    }

    /// Takes the content of a DATA frame that is so long with its padding.
    pub(super) fn data(&mut self, content: &[u8], length: usize, ends: bool) -> Result<(), ErrorCode> {
        if self.has_ended {
            return Err(ErrorCode::STREAM_CLOSED);
        }
        self.allowed -= length as i64;
        if self.allowed < 0 {
            return Err(ErrorCode::FLOW_CONTROL_ERROR);
        }
        if let Some(left) = &mut self.length {
            *left = left.checked_sub(content.len() as u64).ok_or(ErrorCode::PROTOCOL_ERROR)?;
        }
        if ends {
            self.end()?;
        }
        if !self.is_unread {
            self.data.extend_from_slice(content);
            // Padding is taken at once.
            self.taken += (length - content.len()) as i64;
        }
        Ok(())
    }

    /// Takes trailers.
    pub(super) fn trailers(&mut self, trailers: Fields) -> Result<(), ErrorCode> {
        self.trailers = Some(trailers);
        self.end()
    }

    fn end(&mut self) -> Result<(), ErrorCode> {
        self.has_ended = true;
        // Shorter than was said (section 8.1.1).
        if self.length.is_some_and(|left| left > 0) { Err(ErrorCode::PROTOCOL_ERROR) } else { Ok(()) }
    }

    /// What has come.
    pub(super) fn take(&mut self) -> Received {
        if self.reset.is_some() {
            return Received::Broken;
        }
        if !self.data.is_empty() {
            self.taken += self.data.len() as i64;
            return Received::Data(std::mem::take(&mut self.data));
        }
        match self.trailers.take() {
            Some(trailers) => Received::Trailers(trailers),
            None if self.has_ended => Received::End,
            None => Received::Nothing,
        }
    }

    /// Whether nothing more comes, and that is no fault.
    pub(super) fn is_over(&self) -> bool {
        self.has_ended && self.reset.is_none() && self.data.is_empty() && self.trailers.is_none()
    }

    /// Bytes that the client is to be allowed now: not for every few, and none behind the end.
    pub(super) fn allowance(&mut self, window: i64) -> Option<u32> {
        if self.has_ended || self.reset.is_some() || self.taken < window / 2 {
            return None;
        }
        self.allowed += self.taken;
        u32::try_from(std::mem::take(&mut self.taken)).ok()
    }

    /// Moves the client's window. Returns whether something may flow that could not before; `None`: the window would be
    /// larger than a window may be.
    pub(super) fn widen(&mut self, by: i64) -> Option<bool> {
        let before = self.window;
        self.window += by;
        (self.window <= LARGEST_WINDOW).then_some(before <= 0 && self.window > 0)
    }
}
