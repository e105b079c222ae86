//! What is said on a stream, and what is taken from it. Each stream is named by its number; one that has been reset, or
//! that nobody holds, says nothing and gives nothing.

use super::connection::Connection;
use super::frame::{self, ErrorCode, LARGEST, put_block, put_header};
use super::hpack::{encode_field, encode_nothing_kept, encode_status};
use super::stream::{By, Received};

impl<W> Connection<W> {
    /// What is kept with this stream.
    pub fn with(&mut self, stream: u32) -> Option<&mut W> {
        self.get(stream).map(|stream| &mut stream.with)
    }

    /// What is kept with each stream.
    pub fn all(&mut self) -> impl Iterator<Item = &mut W> {
        self.streams.iter_mut().map(|stream| &mut stream.with)
    }

    /// Whether this stream has been reset by either side.
    pub fn is_reset(&self, stream: u32) -> bool {
        self.at(stream).ok().and_then(|at| self.streams.get(at)).is_none_or(|stream| stream.reset.is_some())
    }

    /// Whether nothing more comes on this stream, and that is no fault.
    pub fn is_over(&self, stream: u32) -> bool {
        self.at(stream).ok().and_then(|at| self.streams.get(at)).is_some_and(|stream| stream.is_over())
    }

    /// What has come on this stream. The client may send as much again.
    pub fn take(&mut self, stream: u32) -> Received {
        let window = i64::from(self.limits.window);
        let Some(from) = self.get(stream) else { return Received::Broken };
        let received = from.take();
        if let Some(more) = from.allowance(window) {
            frame::put(&mut self.out, frame::WINDOW_UPDATE, 0, stream, &more.to_be_bytes());
        }
        received
    }

    /// Nobody takes any more from this stream.
    pub fn leave_unread(&mut self, stream: u32) {
        if let Some(unread) = self.get(stream) {
            unread.is_unread = true;
        }
    }

    /// How many bytes the client takes on this stream at the moment; `None`: it has been reset.
    pub fn room(&mut self, stream: u32) -> Option<usize> {
        let window = self.window;
        let stream = self.get(stream).filter(|stream| stream.reset.is_none())?;
        Some(usize::try_from(stream.window.min(window)).unwrap_or(0))
    }

    /// Whether the client takes nothing on any stream.
    pub fn is_held_back(&self) -> bool {
        self.window <= 0
    }

    /// Says the head of a response, an interim one too, as long as that has its place. Returns whether anybody hears it.
    pub fn send_head<'f>(
        &mut self,
        stream: u32,
        status: u16,
        fields: impl Iterator<Item = (&'f str, &'f [u8])>,
        ends: bool,
    ) -> bool {
        let is_interim = status < 200;
        match self.get(stream) {
            Some(to) if to.has_head => return false,
            Some(to) => to.has_head = !is_interim,
            None => return false,
        }
        self.send_block(stream, ends, |out| {
            encode_status(status, out);
            fields.for_each(|(name, value)| encode_field(name, value, out));
        })
    }

    /// Says the trailers of a response, and with them its end.
    pub fn send_trailers<'f>(&mut self, stream: u32, fields: impl Iterator<Item = (&'f str, &'f [u8])>) {
        self.send_block(stream, true, |out| {
            fields.for_each(|(name, value)| encode_field(name, value, out));
        });
    }

    fn send_block(&mut self, stream: u32, ends: bool, encode: impl FnOnce(&mut Vec<u8>)) -> bool {
        if !self.may_say(stream) {
            return false;
        }
        let flags = if ends { frame::END_STREAM } else { 0 };
        let tells_table = std::mem::take(&mut self.tells_table);
        put_block(&mut self.out, flags, stream, |out| {
            if tells_table {
                encode_nothing_kept(out);
            }
            encode(out);
        });
        if ends {
            self.end(stream);
        }
        true
    }

    /// Says as much of `data` as the client takes, and the end behind the last byte where it `ends`. Returns how many
    /// bytes that were.
    pub fn send_data(&mut self, stream: u32, data: &[u8], ends: bool) -> usize {
        if !self.may_say(stream) {
            return 0;
        }
        let mut left = data.get(..self.room(stream).unwrap_or(0).min(data.len())).unwrap_or_default();
        let (taken, ends) = (left.len(), ends && left.len() == data.len());
        // The end may stand alone, in a frame without data.
        let mut has_more = taken > 0 || ends;
        while has_more {
            let (part, rest) = left.split_at(left.len().min(LARGEST));
            let flags = if ends && rest.is_empty() { frame::END_STREAM } else { 0 };
            put_header(&mut self.out, frame::DATA, flags, stream, part.len());
            self.out.extend_from_slice(part);
            if !part.is_empty() {
                self.meter.message();
            }
            (left, has_more) = (rest, !rest.is_empty());
        }
        self.window -= taken as i64;
        if let Some(to) = self.get(stream) {
            to.window -= taken as i64;
        }
        if ends {
            self.end(stream);
        }
        taken
    }

    /// Resets this stream.
    pub fn reset(&mut self, stream: u32, code: ErrorCode) {
        let Some(held) = self.get(stream).filter(|held| held.is_open()) else { return };
        held.reset = Some(By::Usher);
        self.settle(stream, true);
        self.put_reset(stream, code);
    }

    /// Nobody holds this stream any more. One that is still open is reset: without an error if it has been answered, as
    /// then nobody needs the rest of the request (section 8.1).
    pub fn release(&mut self, stream: u32) {
        let Ok(at) = self.at(stream) else { return };
        let held = self.streams.remove(at);
        if held.is_open() {
            self.open -= 1;
            self.put_reset(stream, if held.is_answered { ErrorCode::NO_ERROR } else { ErrorCode::CANCEL });
        }
        if self.streams.is_empty() {
            // An idle connection keeps no room for them.
            self.streams = Vec::new();
        }
    }

    fn may_say(&mut self, stream: u32) -> bool {
        self.get(stream).is_some_and(|stream| stream.reset.is_none() && !stream.is_answered)
    }

    fn end(&mut self, stream: u32) {
        if let Some(ended) = self.get(stream) {
            let was_open = ended.is_open();
            ended.is_answered = true;
            self.settle(stream, was_open);
        }
    }
}
