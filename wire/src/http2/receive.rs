//! What each frame does.

use super::connection::{Block, Connection, ConnectionFault, Event};
use super::frame::{self, ErrorCode, Header, put};
use super::hpack::Fields;
use super::request::{self, RequestHead};
use super::settings::{LARGEST_WINDOW, Set};
use super::stream::{By, Stream};

/// Bytes of a field block for each byte of a head that is allowed: in Huffman's code a byte can take almost four.
const A_BYTE: usize = 4;

impl<W: Default> Connection<W> {
    /// Takes a frame.
    pub(super) fn frame(
        &mut self,
        header: &Header,
        payload: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<(), ConnectionFault> {
        let on_a_stream = matches!(
            header.kind,
            frame::DATA | frame::HEADERS | frame::PRIORITY | frame::RST_STREAM | frame::CONTINUATION
        );
        let on_the_connection = matches!(header.kind, frame::SETTINGS | frame::PING | frame::GOAWAY);
        if (on_a_stream && header.stream == 0) || (on_the_connection && header.stream != 0) {
            return Err(ErrorCode::PROTOCOL_ERROR.into());
        }
        match header.kind {
            frame::DATA => self.data(header, payload, events),
            frame::HEADERS => self.headers(header, payload, events),
            frame::CONTINUATION => self.continuation(header, payload, events),
            frame::PRIORITY => self.priority(header, payload, events),
            frame::RST_STREAM => self.rst_stream(header.stream, payload, events),
            frame::SETTINGS => self.settings(header, payload, events),
            frame::PUSH_PROMISE => Err(ErrorCode::PROTOCOL_ERROR.into()),
            frame::PING => self.ping(header, payload),
            frame::GOAWAY if payload.len() < 8 => Err(ErrorCode::FRAME_SIZE_ERROR.into()),
            frame::GOAWAY => {
                self.is_left = true;
                Ok(())
            }
            frame::WINDOW_UPDATE => self.window_update(header.stream, payload, events),
            // Extensions are ignored (section 5.5).
            _ => Ok(()),
        }
    }

    /// Whether the client cannot have begun this stream.
    fn is_idle_stream(&self, stream: u32) -> bool {
        stream > self.last || stream.is_multiple_of(2)
    }

    fn data(
        &mut self,
        header: &Header,
        payload: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<(), ConnectionFault> {
        let content = header.content(payload).ok_or(ErrorCode::PROTOCOL_ERROR)?;
        if self.is_idle_stream(header.stream) {
            return Err(ErrorCode::PROTOCOL_ERROR.into());
        }
        self.allowed -= payload.len() as i64;
        if self.allowed < 0 {
            return Err(ErrorCode::FLOW_CONTROL_ERROR.into());
        }
        // A stream has a window of its own, so the connection's is opened again at once, though not for every few bytes.
        let window = self.limits.connection_window();
        if self.allowed < window / 2 {
            let more = (window - self.allowed) as u32;
            put(&mut self.out, frame::WINDOW_UPDATE, 0, 0, &more.to_be_bytes());
            self.allowed = window;
        }
        let Some(stream) = self.get(header.stream) else {
            if !self.forgotten.contains(&header.stream) {
                self.put_reset(header.stream, ErrorCode::STREAM_CLOSED);
            }
            return Ok(());
        };
        match stream.reset {
            Some(By::Usher) => return Ok(()),
            Some(By::Client) => {
                // It is told so once.
                stream.reset = Some(By::Usher);
                self.put_reset(header.stream, ErrorCode::STREAM_CLOSED);
                return Ok(());
            }
            None => {}
        }
        let was_open = stream.is_open();
        let taken = stream.data(content, payload.len(), header.has(frame::END_STREAM));
        self.settle(header.stream, was_open);
        match taken {
            Ok(()) => events.push(Event::Readable(header.stream)),
            Err(code) => self.fail(header.stream, code, events)?,
        }
        Ok(())
    }

    fn headers(
        &mut self,
        header: &Header,
        payload: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<(), ConnectionFault> {
        let content = header.content(payload).ok_or(ErrorCode::PROTOCOL_ERROR)?;
        let depends_on = header.has(frame::WITH_PRIORITY).then(|| header.depends_on(payload)).flatten();
        let (stream, ends) = (header.stream, header.has(frame::END_STREAM));
        if header.has(frame::END_HEADERS) {
            return self.block(stream, ends, depends_on, content, events);
        }
        self.block = Some(Block { stream, ends, depends_on, fragment: content.to_vec() });
        Ok(())
    }

    fn continuation(
        &mut self,
        header: &Header,
        payload: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<(), ConnectionFault> {
        let most = self.limits.head * A_BYTE + frame::LARGEST;
        let mut block = self
            .block
            .take()
            .filter(|block| block.stream == header.stream)
            .ok_or(ErrorCode::PROTOCOL_ERROR)?;
        block.fragment.extend_from_slice(payload);
        if block.fragment.len() > most {
            return Err(ErrorCode::ENHANCE_YOUR_CALM.into());
        }
        if header.has(frame::END_HEADERS) {
            return self.block(block.stream, block.ends, block.depends_on, &block.fragment, events);
        }
        self.block = Some(block);
        Ok(())
    }

    /// Takes a whole field block: the head of a request, or trailers.
    fn block(
        &mut self,
        stream: u32,
        ends: bool,
        depends_on: Option<u32>,
        block: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<(), ConnectionFault> {
        // Whatever becomes of it: the next block builds on this one.
        self.blocks = self.blocks.wrapping_add(1);
        let fields = self.decoder.decode(block, self.limits.head, self.limits.fields)?;
        let is_its_own_parent = depends_on == Some(stream);
        if let Some(known) = self.get(stream) {
            let was_open = known.is_open();
            let taken = match known.reset {
                // It had been sent before the client knew.
                Some(By::Usher) => return Ok(()),
                Some(By::Client) => return Err(ErrorCode::STREAM_CLOSED.into()),
                None if known.has_ended => Err(ErrorCode::STREAM_CLOSED),
                None if !ends
                    || fields.is_beyond()
                    || is_its_own_parent
                    || request::check(&fields).is_err() =>
                {
                    Err(ErrorCode::PROTOCOL_ERROR)
                }
                None => known.trailers(fields),
            };
            self.settle(stream, was_open);
            match taken {
                Ok(()) => events.push(Event::Readable(stream)),
                Err(code) => self.fail(stream, code, events)?,
            }
            return Ok(());
        }
        if stream <= self.last && self.forgotten.contains(&stream) {
            return Ok(());
        }
        if stream <= self.last || stream.is_multiple_of(2) {
            return Err(ErrorCode::PROTOCOL_ERROR.into());
        }
        self.last = stream;
        if self.is_too_late(stream) {
            self.forget(stream);
            return Ok(());
        }
        self.begin(stream, ends, fields, is_its_own_parent, events)
    }

    /// A request begins with these fields.
    fn begin(
        &mut self,
        stream: u32,
        ends: bool,
        fields: Fields,
        is_its_own_parent: bool,
        events: &mut Vec<Event>,
    ) -> Result<(), ConnectionFault> {
        let is_too_large = fields.is_beyond();
        let is_head = fields.iter().any(|field| field == (b":method", b"HEAD"));
        let head = if is_too_large { None } else { Some(RequestHead::read(fields)) };
        let length = match &head {
            Some(Ok(head)) => head.length,
            Some(Err(_)) | None => None,
        };
        let is_malformed = matches!(head, Some(Err(_)))
            || is_its_own_parent
            || (ends && length.is_some_and(|length| length > 0));
        let refused = if is_malformed {
            Some(ErrorCode::PROTOCOL_ERROR)
        } else {
            (self.open >= self.limits.streams).then_some(ErrorCode::REFUSED_STREAM)
        };
        if let Some(code) = refused {
            self.put_reset(stream, code);
            events.push(Event::Refused);
            // One too many may be honest: the limit may not have been known.
            return if is_malformed { Ok(self.meter.fault()?) } else { Ok(()) };
        }
        self.open += 1;
        self.meter.request();
        let allowed = i64::from(self.limits.window);
        self.streams.push(Stream::new(stream, self.first_window, allowed, length, ends));
        events.push(match head {
            Some(Ok(head)) => Event::Request(stream, Box::new(head)),
            Some(Err(_)) | None => Event::TooLarge(stream, is_head),
        });
        Ok(())
    }

    fn priority(
        &mut self,
        header: &Header,
        payload: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<(), ConnectionFault> {
        if payload.len() != 5 {
            return Err(ErrorCode::FRAME_SIZE_ERROR.into());
        }
        // No order is kept; still nothing can depend on itself.
        if header.depends_on(payload) == Some(header.stream) {
            if self.is_idle_stream(header.stream) {
                return Err(ErrorCode::PROTOCOL_ERROR.into());
            }
            self.fail(header.stream, ErrorCode::PROTOCOL_ERROR, events)?;
        }
        Ok(())
    }

    fn rst_stream(
        &mut self,
        stream: u32,
        payload: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<(), ConnectionFault> {
        if payload.len() != 4 {
            return Err(ErrorCode::FRAME_SIZE_ERROR.into());
        }
        if self.is_idle_stream(stream) {
            return Err(ErrorCode::PROTOCOL_ERROR.into());
        }
        if let Some(reset) = self.get(stream).filter(|stream| stream.reset.is_none()) {
            let was_open = reset.is_open();
            reset.reset = Some(By::Client);
            self.settle(stream, was_open);
            events.push(Event::Reset(stream));
        }
        Ok(())
    }

    fn settings(
        &mut self,
        header: &Header,
        payload: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<(), ConnectionFault> {
        if header.has(frame::ACK) {
            return if payload.is_empty() { Ok(()) } else { Err(ErrorCode::FRAME_SIZE_ERROR.into()) };
        }
        let set = Set::read(payload)?;
        self.tells_table |= set.table;
        if let Some(window) = set.window {
            let by = window - self.first_window;
            self.first_window = window;
            for stream in &mut self.streams {
                stream.widen(by).ok_or(ErrorCode::FLOW_CONTROL_ERROR)?;
            }
            if by > 0 {
                events.push(Event::AllWritable);
            }
        }
        put(&mut self.out, frame::SETTINGS, frame::ACK, 0, &[]);
        Ok(())
    }

    fn ping(&mut self, header: &Header, payload: &[u8]) -> Result<(), ConnectionFault> {
        let payload = <[u8; 8]>::try_from(payload).map_err(|_| ErrorCode::FRAME_SIZE_ERROR)?;
        if header.has(frame::ACK) {
            self.answered(payload);
        } else {
            put(&mut self.out, frame::PING, frame::ACK, 0, &payload);
        }
        Ok(())
    }

    fn window_update(
        &mut self,
        stream: u32,
        payload: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<(), ConnectionFault> {
        let by = <[u8; 4]>::try_from(payload).map_err(|_| ErrorCode::FRAME_SIZE_ERROR)?;
        let by = i64::from(u32::from_be_bytes(by) & 0x7fff_ffff);
        if stream == 0 {
            let before = self.window;
            self.window += by;
            if by == 0 {
                return Err(ErrorCode::PROTOCOL_ERROR.into());
            }
            if self.window > LARGEST_WINDOW {
                return Err(ErrorCode::FLOW_CONTROL_ERROR.into());
            }
            if before <= 0 && self.window > 0 {
                events.push(Event::ConnectionWritable);
            }
            return Ok(());
        }
        if self.is_idle_stream(stream) {
            return Err(ErrorCode::PROTOCOL_ERROR.into());
        }
        let Some(widened) = self.get(stream).filter(|stream| stream.reset.is_none()) else { return Ok(()) };
        match widened.widen(by) {
            _ if by == 0 => self.fail(stream, ErrorCode::PROTOCOL_ERROR, events)?,
            None => self.fail(stream, ErrorCode::FLOW_CONTROL_ERROR, events)?,
            Some(true) => events.push(Event::Writable(stream)),
            Some(false) => {}
        }
        Ok(())
    }
}
