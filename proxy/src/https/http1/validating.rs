//! The guard of an HTTP/1 connection: what a client sends passes the strict reader before the codec sees it, and must
//! arrive within the deadlines.
//!
//! A refused request is replaced by one that asks for nothing and closes the connection, so that the codec answers it
//! in order, after the answers to earlier requests.

use super::pipeline::{Pipeline, Refused};
use crate::https::lingering::Lingering;
use crate::https::message::pace::{Pace, Patience, poll_due};
use crate::pending::PendingBuffer;
use crate::tls::ClientStream;
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use usher_config::snapshot::Limits;
use usher_wire::http1::{Awaits, RequestReader, Scheme};

/// Bytes read at a time: a TLS record.
const READ: usize = 16 * 1024;

/// What the codec is given instead of a refused request.
const IN_PLACE: &[u8] = b" / HTTP/1.1\r\nhost: refused.invalid\r\nconnection: close\r\n\r\n";

thread_local! {
    /// What connections of a worker thread read into before it is judged; nothing of it outlives a poll.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into_boxed_slice());
}

/// The connection.
pub(crate) struct ValidatingReader {
    stream: ClientStream,
    pipeline: Pipeline,
    reader: RequestReader,
    /// What has been validated and not taken yet.
    good: PendingBuffer,
    /// What came after a request to switch protocols.
    held: Vec<u8>,
    /// Nothing more is read: a request was refused.
    refused: bool,
    header: Duration,
    idle: Duration,
    /// Since when a head, or the rest of one, has been awaited.
    waiting: Option<(Awaits, Instant)>,
    sleep: Option<Pin<Box<Sleep>>>,
    unwritten: Pace,
    /// An interim response that is being written.
    interim: Vec<u8>,
    closing: Lingering,
}

impl ValidatingReader {
    pub(crate) fn new(stream: ClientStream, pipeline: Pipeline, limits: &Limits, scheme: Scheme) -> Self {
        Self {
            stream,
            pipeline,
            reader: RequestReader::new(limits.request_caps(), scheme),
            good: PendingBuffer::default(),
            held: Vec::new(),
            refused: false,
            header: limits.http_header,
            idle: limits.http_idle,
            waiting: None,
            sleep: None,
            unwritten: Pace::new(Patience::of(limits, None)),
            interim: Vec::new(),
            closing: Lingering::new(limits.farewell),
        }
    }

    /// Judges `input`.
    fn judge(&mut self, input: &[u8]) {
        match self.reader.read(input, &mut self.good.octets) {
            Ok(taken) => self.held.extend_from_slice(input.get(taken..).unwrap_or_default()),
            Err(fault) => self.refuse(Refused::Fault(fault)),
        }
    }

    /// Refuses the request that is being read. If its body is being read, the body breaks off.
    fn refuse(&mut self, refused: Refused) {
        self.refused = true;
        if self.reader.awaits() == Awaits::Body {
            self.pipeline.refuse(self.reader.heads(), refused);
        } else {
            self.pipeline.refuse(self.reader.heads() + 1, refused);
            // The answer to HEAD has no content, whatever it is.
            let method: &[u8] = if self.reader.asks_for_head() { b"HEAD" } else { b"GET" };
            self.good.octets.extend_from_slice(method);
            self.good.octets.extend_from_slice(IN_PLACE);
        }
    }

    /// Whether a deadline has passed without input.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let awaits = self.reader.awaits();
        let allowed = match awaits {
            // A client that waits for an answer need not send anything.
            Awaits::Head if self.pipeline.is_busy(cx.waker()) => return Poll::Pending,
            Awaits::Head => self.idle,
            Awaits::RestOfHead => self.header,
            // Whoever waits for a body has a timer of their own.
            Awaits::Body | Awaits::Switch | Awaits::Tunnel => return Poll::Pending,
        };
        let since = match self.waiting {
            Some((former, since)) if former == awaits => since,
            Some(_) | None => self.waiting.insert((awaits, Instant::now())).1,
        };
        poll_due(&mut self.sleep, since + allowed, cx)
    }

    /// Notes the result of writing, and gives up on a client that takes too little.
    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
        octets: impl FnOnce(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        match written {
            Poll::Ready(Ok(value)) => {
                self.unwritten.progress(octets(&value));
                Poll::Ready(Ok(value))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                self.pipeline.allowed().inspect(|patience| self.unwritten.allow(*patience));
                self.unwritten.poll_wait(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }

    /// Writes interim responses, which precede everything that the codec writes next.
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.interim.is_empty() {
            self.interim = self.pipeline.take_interim();
        }
        while !self.interim.is_empty() {
            let written = Pin::new(&mut self.stream).poll_write(cx, &self.interim);
            let written = ready!(self.watch(cx, written, |written| *written))?;
            self.interim.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for ValidatingReader {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.good.deliver(buf) {
                this.waiting = None;
                return Poll::Ready(Ok(()));
            }
            if this.refused {
                return match this.reader.awaits() {
                    Awaits::Body => Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
                    // The answer closes the connection.
                    Awaits::Head | Awaits::RestOfHead | Awaits::Switch | Awaits::Tunnel => Poll::Pending,
                };
            }
            if this.reader.awaits() == Awaits::Switch {
                let number = this.reader.heads();
                let Some(switched) = this.pipeline.switched(number, cx.waker()) else { return Poll::Pending };
                this.reader.switched(switched);
                let held = std::mem::take(&mut this.held);
                this.judge(&held);
                continue;
            }
            // What needs no validation is read directly into the caller's buffer.
            if this.reader.free() >= buf.remaining() as u64 {
                let before = buf.filled().len();
                ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
                this.reader.passed(buf.filled().len() - before);
                return Poll::Ready(Ok(()));
            }
            let read = BUFFER.with_borrow_mut(|scratch| {
                let mut scratch = ReadBuf::new(scratch);
                ready!(Pin::new(&mut this.stream).poll_read(cx, &mut scratch))?;
                this.judge(scratch.filled());
                Poll::Ready(Ok::<_, io::Error>(scratch.filled().len()))
            });
            match read {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    ready!(this.poll_late(cx));
                    if this.reader.awaits() == Awaits::Head {
                        return Poll::Ready(Ok(()));
                    }
                    this.refuse(Refused::Slow);
                }
            }
        }
    }
}

impl AsyncWrite for ValidatingReader {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_interim(cx))?;
        this.pipeline.note_flushed(false);
        let written = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.watch(cx, written, |written| *written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_interim(cx))?;
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        ready!(this.watch(cx, flushed, |()| 0))?;
        this.pipeline.note_flushed(true);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.reader.awaits() == Awaits::Tunnel {
            // Only this direction ends; what the client still sends matters.
            return Pin::new(&mut this.stream).poll_shutdown(cx);
        }
        this.closing.poll(cx, &mut this.stream)
    }
}
