//! The connection of a client by HTTP/1: the strict reader's parse of what it sends is the only one, and everything that
//! it waits for has a deadline.

use crate::https::lingering::Lingering;
use crate::https::message::body::{BodyFault, Inflow, Wanted};
use crate::https::message::pace::{Pace, Patience, poll_due};
use crate::https::scratch::{self, READ};
use crate::https::switched::Switched;
use crate::pending::PendingBuffer;
use crate::tls::ClientStream;
use bytes::{BufMut, Bytes, BytesMut};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use tokio_util::io::poll_read_buf;
use usher_backends::http::Received;
use usher_config::snapshot::Limits;
use usher_wire::http1::{Awaits, Fault, Head, RequestReader, Scheme};

/// Bytes of a body of known length that are read at a time, at most.
const LARGEST_READ: usize = 64 * 1024;
/// Bytes that are written at a time, at most: what is encrypted at a time.
const WRITE: usize = 64 * 1024;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The connection.
pub(crate) struct Connection {
    stream: ClientStream,
    reader: RequestReader,
    received: Received,
    /// Received, and not judged yet.
    input: PendingBuffer,
    /// The client sends nothing more.
    has_ended: bool,
    /// The body at hand broke the rules.
    refused: Option<Refused>,
    header: Duration,
    idle: Duration,
    /// Since when a head is waited for, or its rest.
    waiting: Option<(Awaits, Instant)>,
    sleep: Option<Pin<Box<Sleep>>>,
    /// To be sent, and how much of it has been.
    out: Vec<u8>,
    written: usize,
    /// To be sent behind it, and behind that.
    data: Bytes,
    behind: &'static [u8],
    unwritten: Pace,
    farewell: Duration,
}

/// Why a request is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// By its framing.
    Fault(Fault),
    /// Its head took too long.
    Slow,
}

/// What comes next on a connection.
pub(crate) enum Next {
    /// A request with this head.
    Request(Head),
    /// One that is refused, and whether it asks by HEAD.
    Refused(Refused, bool),
    /// Nothing.
    Nothing,
}

/// The client is gone, or takes nothing any more.
pub(crate) struct Gone;

impl From<io::Error> for Gone {
    fn from(_: io::Error) -> Self {
        Self
    }
}

impl Connection {
    pub(crate) fn new(stream: ClientStream, limits: &Limits, scheme: Scheme) -> Self {
        Self {
            stream,
            reader: RequestReader::new(limits.request_caps(), scheme),
            received: Received::default(),
            input: PendingBuffer::default(),
            has_ended: false,
            refused: None,
            header: limits.http_header,
            idle: limits.http_idle,
            waiting: None,
            sleep: None,
            out: Vec::new(),
            written: 0,
            data: Bytes::new(),
            behind: b"",
            unwritten: Pace::new(Patience::of(limits, None)),
            farewell: limits.farewell,
        }
    }

    /// The next request.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let mut judged = Ok(());
        loop {
            if judged.is_ok() {
                judged = self.judge_input();
            }
            if let Some(head) = self.received.heads.pop_front() {
                self.waiting = None;
                return Poll::Ready(Next::Request(head));
            }
            if let Err(fault) = judged {
                return Poll::Ready(Next::Refused(Refused::Fault(fault), self.reader.asks_for_head()));
            }
            if self.has_ended {
                return Poll::Ready(Next::Nothing);
            }
            match self.poll_judged(cx) {
                Poll::Ready(Ok(now)) => judged = now,
                Poll::Ready(Err(_)) => return Poll::Ready(Next::Nothing),
                Poll::Pending => {
                    ready!(self.poll_late(cx));
                    if self.reader.awaits() == Awaits::Head {
                        return Poll::Ready(Next::Nothing);
                    }
                    return Poll::Ready(Next::Refused(Refused::Slow, self.reader.asks_for_head()));
                }
            }
        }
    }

    /// Ready when a head, or its rest, has been waited for too long.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let awaits = self.reader.awaits();
        let allowed = if awaits == Awaits::Head { self.idle } else { self.header };
        let since = match self.waiting {
            Some((former, since)) if former == awaits => since,
            Some(_) | None => self.waiting.insert((awaits, Instant::now())).1,
        };
        poll_due(&mut self.sleep, since + allowed, cx)
    }

    /// Judges what was received before, up to the end of a head or a message.
    fn judge_input(&mut self) -> Result<(), Fault> {
        while !self.input.is_empty() && self.received.is_empty() {
            let taken = self.reader.read(self.input.rest(), &mut self.received)?;
            self.input.take(taken);
            if taken == 0 || self.is_between() {
                break;
            }
        }
        Ok(())
    }

    /// Receives something and judges it, up to the end of a head or a message.
    fn poll_judged(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Result<(), Fault>>> {
        scratch::with(|scratch| {
            let mut scratch = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut scratch))?;
            self.has_ended = scratch.filled().is_empty();
            Poll::Ready(Ok(self.reader.read(scratch.filled(), &mut self.received).map(|taken| {
                let rest = scratch.filled().get(taken..).unwrap_or_default();
                self.input.octets.extend_from_slice(rest);
            })))
        })
    }

    /// Receives something behind what is still to be judged.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        scratch::with(|scratch| {
            let mut scratch = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut scratch))?;
            self.has_ended = scratch.filled().is_empty();
            self.input.octets.extend_from_slice(scratch.filled());
            Poll::Ready(Ok(()))
        })
    }

    /// Whether nothing has come of a request.
    pub(crate) fn is_idle(&self) -> bool {
        self.reader.awaits() == Awaits::Head && self.input.is_empty()
    }

    /// Whether nothing of a request is under way.
    fn is_between(&self) -> bool {
        matches!(self.reader.awaits(), Awaits::Head | Awaits::Switch)
    }

    /// The body of the request whose head came last; `None`: it has none. What came together with the head is judged now:
    /// a request that is known to be bad goes nowhere.
    ///
    /// # Errors
    /// The body breaks the rules.
    pub(crate) fn body(&mut self) -> Result<Option<Inflow>, Refused> {
        if self.reader.awaits() != Awaits::Body {
            return Ok(None);
        }
        if let Err(fault) = self.judge_input() {
            self.refused = Some(Refused::Fault(fault));
            return Err(Refused::Fault(fault));
        }
        let data = std::mem::take(&mut self.received.data).freeze();
        let is_whole = self.is_between();
        let trailers = if is_whole { Some(self.received.trailers.take()) } else { None };
        let left = if is_whole { Some(0) } else { self.reader.left() };
        Ok(Some(Inflow::new(data, left, trailers)))
    }

    /// Whether all of the request has been read.
    pub(crate) fn is_read(&self) -> bool {
        self.is_between()
    }

    /// Why the body at hand is refused, where it is.
    pub(crate) fn refused(&self) -> Option<Refused> {
        self.refused
    }

    /// Reads the body, as far as it is wanted. Ready where something has come of it, or the client is gone; `continues`:
    /// the client waits for a word before it sends it.
    pub(crate) fn poll_body(
        &mut self,
        inflow: Option<&Inflow>,
        continues: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Gone>> {
        match inflow.filter(|_| self.reader.awaits() == Awaits::Body && self.refused.is_none()) {
            Some(inflow) => {
                match inflow.is_wanted(cx) {
                    Wanted::No => return Poll::Pending,
                    Wanted::First if continues => {
                        self.out.extend_from_slice(CONTINUE);
                        let _ = self.poll_flush(cx)?;
                    }
                    Wanted::First | Wanted::More => {}
                }
                self.poll_piece(inflow, cx).map(Ok)
            }
            None => self.poll_gone(cx),
        }
    }

    /// Reads one piece of the body.
    fn poll_piece(&mut self, inflow: &Inflow, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut judged = Ok(());
            let free = self.reader.free();
            if self.input.is_empty() && free > READ as u64 {
                let most = usize::try_from(free).unwrap_or(usize::MAX).min(LARGEST_READ);
                let mut data = BytesMut::with_capacity(most).limit(most);
                match ready!(poll_read_buf(Pin::new(&mut self.stream), cx, &mut data)) {
                    Ok(count) if count > 0 => {
                        self.reader.passed(count);
                        self.received.data = data.into_inner();
                    }
                    Ok(_) | Err(_) => self.has_ended = true,
                }
            } else if self.input.is_empty() {
                match ready!(self.poll_judged(cx)) {
                    Ok(now) => judged = now,
                    Err(_) => self.has_ended = true,
                }
            } else {
                judged = self.judge_input();
            }
            let data = std::mem::take(&mut self.received.data).freeze();
            let has_come = !data.is_empty();
            if has_come {
                inflow.push(data, self.reader.left(), cx);
            }
            if let Err(fault) = judged {
                self.refused = Some(Refused::Fault(fault));
            }
            if self.is_between() {
                inflow.end(Ok(self.received.trailers.take()), cx);
            } else if self.refused.is_some() || self.has_ended {
                inflow.end(Err(BodyFault::Broken), cx);
            } else if !has_come {
                continue;
            }
            return Poll::Ready(());
        }
    }

    /// Ready when the client has gone away. What it sends meanwhile is its next request.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        loop {
            if self.has_ended {
                return Poll::Ready(Err(Gone));
            }
            if self.refused.is_some() || self.input.octets.len() >= READ {
                return Poll::Pending;
            }
            ready!(self.poll_receive(cx))?;
        }
    }

    /// What waits to be sent; more may be added.
    pub(crate) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Sends `data`, and then `behind`, after what waits.
    pub(crate) fn put(&mut self, data: Bytes, behind: &'static [u8]) {
        if data.len() <= READ {
            // With what is before it, in one record.
            self.out.extend_from_slice(&data);
            self.out.extend_from_slice(behind);
        } else {
            (self.data, self.behind) = (data, behind);
        }
    }

    /// Whether more is to be added only after something has been sent.
    pub(crate) fn is_full(&self) -> bool {
        !self.data.is_empty() || self.out.len() >= WRITE || self.is_blocked()
    }

    /// Whether the client takes nothing at the moment. Nobody is asked for more then: it would only be kept.
    pub(crate) fn is_blocked(&self) -> bool {
        self.stream.is_blocked()
    }

    /// From now on it is waited so long for the client to take what is sent.
    pub(crate) fn allow(&mut self, patience: Patience) {
        self.unwritten.allow(patience);
    }

    /// Sends what waits.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.out.len() {
            let rest = self.out.get(self.written..).unwrap_or_default();
            let written = Pin::new(&mut self.stream).poll_write(cx, rest);
            self.written += ready!(self.watch(cx, written))?;
        }
        // Nothing is kept while nothing flows.
        (self.out, self.written) = (Vec::new(), 0);
        while !self.data.is_empty() {
            let written = Pin::new(&mut self.stream).poll_write(cx, &self.data);
            let written = ready!(self.watch(cx, written))?;
            let _ = self.data.split_to(written);
        }
        self.data = Bytes::new();
        // Together with what comes next.
        self.out.extend_from_slice(std::mem::take(&mut self.behind));
        Poll::Ready(Ok(()))
    }

    /// Sends what waits, to its last byte. What TLS itself has to say goes out with it, and not before.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() || !self.data.is_empty() {
            ready!(self.poll_write(cx))?;
        }
        if !self.stream.is_blocked() {
            return Poll::Ready(Ok(()));
        }
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(cx, flushed.map_ok(|()| 0)).map_ok(|_| ())
    }

    /// Notes the result of a write, and gives up on a client that takes too little.
    fn watch(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(count)) => {
                self.unwritten.progress(count);
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.unwritten.poll_wait(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
        }
    }

    /// The answer to a request to switch protocols was no.
    pub(crate) fn stay(&mut self) {
        self.reader.switched(false);
    }

    /// The connection, once it is another protocol's.
    pub(crate) fn into_switched(self) -> Switched<ClientStream> {
        Switched::new(self.input, self.stream)
    }

    /// Closes it so that the client reads what it was told.
    pub(crate) async fn close(&mut self) {
        let mut closing = Lingering::new(self.farewell);
        let _ = std::future::poll_fn(|cx| closing.poll(cx, &mut self.stream)).await;
    }
}
