//! One HTTP/1.1 connection to a web service, driven by whoever uses it: no task of its own stands between a request and
//! the socket.

use super::coding::Coding;
use super::encode::encode_head;
use super::received::{Received, response};
use crate::connect::{BackendStream, Cause};
use bytes::{BufMut, Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;
use usher_wire::http1::{Expected, ResponseReader};

/// Bytes read at a time where framing is looked for.
const READ: usize = 8 * 1024;
/// Bytes of a body of known length that are read at a time, at most.
const LARGEST_READ: usize = 64 * 1024;
/// Bytes of a request that are gathered before they are written.
const GATHER: usize = 64 * 1024;

thread_local! {
    /// What connections of a worker thread read into before it is judged; nothing of it outlives a poll.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into_boxed_slice());
}

/// A connection on which one request of body `B` is under way at a time.
pub(super) struct Http1<B> {
    stream: BackendStream,
    reader: ResponseReader,
    received: Received,
    /// How much of a body is read at a time: more, the more of it comes at once.
    read: usize,
    /// No more than this is read for a frame.
    most: usize,
    /// Written to the backend as soon as it takes it, and how much of that it has taken.
    out: Vec<u8>,
    written: usize,
    /// What of the request is not in `out` yet.
    body: Option<(B, Coding)>,
    is_flushed: bool,
    /// Nothing can be written any more; what the backend says of it is still heard.
    write_fault: Option<io::Error>,
    /// Nothing can be read any more.
    fault: Option<Cause>,
    /// The backend lets another request follow.
    is_persistent: bool,
}

impl<B> Http1<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    pub(super) fn new(stream: BackendStream) -> Self {
        Self {
            stream,
            reader: ResponseReader::default(),
            received: Received::default(),
            read: READ,
            most: LARGEST_READ,
            out: Vec::new(),
            written: 0,
            body: None,
            is_flushed: true,
            write_fault: None,
            fault: None,
            is_persistent: true,
        }
    }

    /// Begins a request, whose head is returned. It goes out as soon as its response is asked for.
    pub(super) fn begin(&mut self, request: Request<B>, fields: &[u8]) -> Parts {
        let expected = if request.method() == Method::HEAD { Expected::HeadOnly } else { Expected::Any };
        self.reader.expect(expected);
        (self.read, self.most) = (READ, LARGEST_READ);
        let (mut parts, body) = request.into_parts();
        self.body = encode_head(&mut parts, fields, body, &mut self.out);
        self.is_flushed = false;
        parts
    }

    /// Whether it waits for a request, and the backend has not closed it.
    pub(super) fn is_ready(&mut self) -> bool {
        self.is_persistent && self.is_between() && self.is_open()
    }

    /// Whether it is of no more use.
    pub(super) fn is_closed(&mut self) -> bool {
        self.fault.is_some() || self.write_fault.is_some() || (self.is_between() && !self.is_open())
    }

    fn is_between(&self) -> bool {
        self.reader.is_quiet() && self.received.is_empty() && self.body.is_none() && self.is_flushed
    }

    /// Looks whether the backend has closed it, or has said something that it was not asked for.
    fn is_open(&mut self) -> bool {
        if self.fault.is_some() || self.write_fault.is_some() {
            return false;
        }
        let mut scrap = [0; 1];
        let looked = Pin::new(&mut self.stream)
            .poll_read(&mut Context::from_waker(Waker::noop()), &mut ReadBuf::new(&mut scrap));
        if looked.is_ready() {
            self.fault = Some(Cause::Closed);
        }
        looked.is_pending()
    }

    /// The next head of a response: interim ones, and the final one.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<()>, Cause>> {
        loop {
            if let Some(head) = self.received.heads.pop_front() {
                let Some((head, is_persistent)) = response(head) else {
                    return Poll::Ready(Err(Cause::Http("response")));
                };
                self.is_persistent &= is_persistent;
                return Poll::Ready(Ok(head));
            }
            if let Some(fault) = self.take_fault() {
                return Poll::Ready(Err(fault));
            }
            self.send(cx);
            if self.fault.is_none() {
                ready!(self.poll_receive(cx));
            }
        }
    }

    /// The next frame of the body of the response.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cause>>> {
        loop {
            if !self.received.data.is_empty() {
                let data = std::mem::take(&mut self.received.data).freeze();
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            if self.reader.is_quiet() {
                let trailers: Option<HeaderMap> = self.received.trailers.take();
                return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
            }
            if let Some(fault) = self.take_fault() {
                return Poll::Ready(Some(Err(fault)));
            }
            self.send(cx);
            if self.fault.is_none() {
                ready!(self.poll_receive(cx));
            }
        }
    }

    /// Reads no more than so many bytes for the next frame.
    pub(super) fn read_at_most(&mut self, bytes: usize) {
        self.most = bytes;
    }

    /// Whether the whole body of the response has been taken.
    pub(super) fn is_end_stream(&self) -> bool {
        self.reader.is_quiet() && self.received.data.is_empty() && self.received.trailers.is_none()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self.reader.left().filter(|_| self.received.trailers.is_none()) {
            Some(left) => SizeHint::with_exact(left + self.received.data.len() as u64),
            None => SizeHint::default(),
        }
    }

    /// The connection, once the backend speaks another protocol, and what it has said in it already.
    pub(super) fn into_switched(self) -> (BackendStream, Bytes) {
        (self.stream, self.received.data.freeze())
    }

    fn take_fault(&mut self) -> Option<Cause> {
        let fault = self.fault.take()?;
        // It is of no use from now on, whoever asks again.
        self.fault = Some(Cause::Closed);
        Some(match (fault, self.write_fault.take()) {
            (Cause::Closed, Some(error)) => Cause::Io(error),
            (fault, _) => fault,
        })
    }

    /// Sends as much of the request as there is and as the backend takes.
    fn send(&mut self, cx: &mut Context<'_>) {
        if self.is_flushed || self.write_fault.is_some() {
            return;
        }
        if let Poll::Ready(Err(error)) = self.poll_send(cx) {
            // An answer may have come all the same.
            self.write_fault = Some(error);
            self.body = None;
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut is_waiting = false;
            while self.out.len() < GATHER
                && let Some((body, coding)) = &mut self.body
            {
                match Pin::new(body).poll_frame(cx) {
                    Poll::Pending => {
                        is_waiting = true;
                        break;
                    }
                    Poll::Ready(Some(Ok(frame))) => {
                        let (data, behind) = coding.encode(frame, &mut self.out);
                        self.out.extend_from_slice(&data);
                        self.out.extend_from_slice(behind);
                    }
                    Poll::Ready(Some(Err(_))) => {
                        // Its owner knows why. What the backend makes of half a request is nobody's answer.
                        self.fault = Some(Cause::Closed);
                        return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                    }
                    Poll::Ready(None) => {
                        if !coding.finish(&mut self.out) {
                            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                        }
                        self.body = None;
                    }
                }
                if self
                    .body
                    .as_ref()
                    .is_some_and(|(body, coding)| matches!(coding, Coding::Sized(0)) && body.is_end_stream())
                {
                    self.body = None;
                }
            }
            while self.written < self.out.len() {
                let rest = self.out.get(self.written..).unwrap_or_default();
                match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    written => self.written += written,
                }
            }
            // Nothing is kept while nothing flows.
            (self.out, self.written) = (Vec::new(), 0);
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            if self.body.is_none() {
                self.is_flushed = true;
                return Poll::Ready(Ok(()));
            }
            if is_waiting {
                return Poll::Pending;
            }
        }
    }

    /// Receives something, or learns that nothing more comes.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let free = self.reader.free();
        let received = match free >= READ.min(self.most) as u64 && self.received.data.is_empty() {
            true => self.poll_read_body(cx, free),
            false => self.poll_read_judged(cx),
        };
        match ready!(received) {
            Ok(0) => {
                if !self.reader.close() {
                    self.fault = Some(Cause::Closed);
                }
                self.is_persistent = false;
            }
            Ok(_) => {}
            Err(error) => self.fault = Some(Cause::Io(error)),
        }
        Poll::Ready(())
    }

    /// Reads what needs no judging to where it is wanted.
    fn poll_read_body(&mut self, cx: &mut Context<'_>, free: u64) -> Poll<io::Result<usize>> {
        let most = usize::try_from(free).unwrap_or(usize::MAX).min(self.read).min(self.most);
        let mut data = BytesMut::with_capacity(most).limit(most);
        let count = ready!(poll_read_buf(Pin::new(&mut self.stream), cx, &mut data))?;
        self.reader.passed(count);
        if count == most {
            self.read = (self.read * 2).min(LARGEST_READ);
        }
        self.received.data = data.into_inner();
        Poll::Ready(Ok(count))
    }

    fn poll_read_judged(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        BUFFER.with_borrow_mut(|scratch| {
            let most = self.most.min(scratch.len());
            let mut scratch = ReadBuf::new(scratch.get_mut(..most).unwrap_or_default());
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut scratch))?;
            if let Err(fault) = self.reader.read(scratch.filled(), &mut self.received) {
                self.fault = Some(Cause::Http(fault.name()));
            }
            Poll::Ready(Ok(scratch.filled().len()))
        })
    }
}
