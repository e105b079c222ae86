//! The guard of an HTTP/2 connection: counts frame headers on their way to the codec, and makes sure that a field block
//! comes to its end.

use crate::https::client::Client;
use crate::https::lingering::Lingering;
use crate::tls::ClientStream;
use bytes::{Buf, Bytes};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use usher_config::snapshot::Limits;
use usher_wire::http2::FrameMeter;

/// Most bytes of frames that go out together: what is encrypted at a time.
const GATHER: usize = 64 * 1024;

/// The connection.
pub(crate) struct FrameLimiter {
    client: Arc<Client>,
    wire: Wire,
    frames: Frames,
    begun: Instant,
    header: Duration,
    /// The rest of the last words to a client that floods.
    last_words: Option<Bytes>,
    /// When the current field block must be complete.
    block: Option<Pin<Box<Sleep>>>,
    closing: Lingering,
}

/// The connection itself, shared by the codec and by whoever sends what that has gathered.
#[derive(Clone)]
pub(crate) struct Wire(Arc<Mutex<Gathering>>);

struct Gathering {
    stream: ClientStream,
    /// Frames that go out together, in as few records and calls of the system as possible.
    gathered: Vec<u8>,
    /// Bytes of bodies that the codec was given, and has not gathered yet.
    handed: usize,
    /// Streams that have something to say once the client takes it.
    waiting: Vec<Waker>,
}

impl Wire {
    pub(crate) fn new(stream: ClientStream) -> Self {
        Self(Arc::new(Mutex::new(Gathering { stream, gathered: Vec::new(), handed: 0, waiting: Vec::new() })))
    }

    fn lock(&self) -> MutexGuard<'_, Gathering> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what has been gathered.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut wire = self.lock();
        ready!(wire.poll_pass_on(cx))?;
        ready!(Pin::new(&mut wire.stream).poll_flush(cx))?;
        // What the codec still has, a window holds back.
        wire.handed = 0;
        wire.waiting.drain(..).for_each(Waker::wake);
        Poll::Ready(Ok(()))
    }

    /// Ready when the client takes something. Until then, whatever a stream has to say would only be kept.
    pub(crate) fn poll_open(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut wire = self.lock();
        if !wire.stream.is_blocked() && wire.handed < GATHER {
            return Poll::Ready(());
        }
        if !wire.waiting.iter().any(|waiting| waiting.will_wake(cx.waker())) {
            wire.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// The codec is given so many bytes of a body.
    pub(crate) fn note_handed(&self, bytes: usize) {
        self.lock().handed += bytes;
    }
}

impl Gathering {
    /// Hands what has been gathered to the stream.
    fn poll_pass_on(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.gathered.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.gathered))?;
            if written == self.gathered.len() {
                // An idle connection keeps no room for them.
                self.gathered = Vec::new();
            } else {
                self.gathered.drain(..written.max(1));
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The frames of a connection, as far as they are counted.
#[derive(Clone, Default)]
pub(crate) struct Frames(Arc<Mutex<FrameMeter>>);

impl Frames {
    fn lock(&self) -> MutexGuard<'_, FrameMeter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The request of this stream is being answered.
    pub(crate) fn accepted(&self, stream: h2::StreamId) {
        self.lock().accepted(stream.as_u32());
    }
}

impl FrameLimiter {
    pub(crate) fn new(client: Arc<Client>, wire: Wire, frames: Frames, limits: &Limits) -> Self {
        Self {
            client,
            wire,
            frames,
            begun: Instant::now(),
            header: limits.http_header,
            last_words: None,
            block: None,
            closing: Lingering::new(limits.farewell),
        }
    }
}

impl FrameLimiter {
    /// Says why, waits until that has probably been received, and breaks the connection.
    fn poll_leave(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut wire = self.wire.lock();
        ready!(wire.poll_pass_on(cx))?;
        while let Some(words) = self.last_words.as_mut().filter(|words| !words.is_empty()) {
            let written = ready!(Pin::new(&mut wire.stream).poll_write(cx, words))?;
            words.advance(written.max(1).min(words.len()));
        }
        ready!(self.closing.poll(cx, &mut wire.stream))?;
        Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "too many frames")))
    }
}

impl AsyncRead for FrameLimiter {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.last_words.is_some() {
            return this.poll_leave(cx);
        }
        let before = buf.filled().len();
        let mut wire = this.wire.lock();
        let read = Pin::new(&mut wire.stream).poll_read(cx, buf);
        if read.is_pending() && !wire.gathered.is_empty() {
            // Whoever waits for the client's word has said theirs.
            let _ = wire.poll_pass_on(cx)?;
        }
        drop(wire);
        if let Poll::Ready(Ok(())) = read {
            let new = buf.filled().get(before..).unwrap_or_default();
            let mut frames = this.frames.lock();
            if frames.read(new, this.begun.elapsed()).is_err() {
                let words = frames.goaway().map_or_else(Bytes::new, |frame| Bytes::copy_from_slice(&frame));
                drop(frames);
                buf.set_filled(before);
                this.last_words = Some(words);
                return this.poll_leave(cx);
            }
        }
        if !this.frames.lock().is_in_field_block() {
            this.block = None;
        } else if read.is_pending() {
            let header = this.header;
            let block = this.block.get_or_insert_with(|| Box::pin(tokio::time::sleep(header)));
            ready!(block.as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl AsyncWrite for FrameLimiter {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.last_words.is_some() {
            // Nothing follows the last words.
            return Poll::Ready(Ok(buf.len()));
        }
        let mut wire = this.wire.lock();
        if wire.gathered.len() >= GATHER {
            ready!(wire.poll_pass_on(cx))?;
        }
        let taken = buf.get(..buf.len().min(GATHER - wire.gathered.len())).unwrap_or_default();
        wire.gathered.extend_from_slice(taken);
        wire.handed = wire.handed.saturating_sub(taken.len());
        drop(wire);
        let refused = this.frames.lock().sent(taken);
        (0..refused).for_each(|_| this.client.note_refused_by_codec());
        Poll::Ready(Ok(taken.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The codec flushes after every larger frame; what it has gathered goes out when it has nothing to do.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let mut wire = this.wire.lock();
        ready!(wire.poll_pass_on(cx))?;
        this.closing.poll(cx, &mut wire.stream)
    }
}
