//! One side of a relay: its stream, its input that is not done with, and the output that it has not taken.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes read at a time, and the most that are buffered for a side that does not take them: four TLS records, which are
/// sent by one system call.
const READ: usize = 64 * 1024;

/// Bytes per turn, so that a fast transfer leaves the worker to others.
pub(super) const TURN: u64 = 128 * 1024;
/// Steps per turn, however little they move.
pub(super) const STEPS: usize = 8;

thread_local! {
    /// All sessions of a worker thread read into this; nothing in it outlives a poll.
    pub(super) static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into_boxed_slice());
}

/// One side. Both buffers are empty and unallocated while nothing flows.
pub(crate) struct Leg<S> {
    pub(crate) stream: S,
    /// Bytes read that the tracker has not judged yet.
    pub(crate) unread: Vec<u8>,
    /// Bytes for this side that it has not taken yet.
    unsent: Vec<u8>,
    /// The stream may hold bytes that were written but not flushed.
    unflushed: bool,
    /// It has taken bytes since somebody last asked.
    took_some: bool,
    /// No more comes from this side.
    pub(crate) ended: bool,
    /// This side has been told that nothing more will come.
    closed: bool,
    /// Bytes read in all.
    pub(crate) total: u64,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Leg<S> {
    pub(crate) fn new(stream: S, unread: Vec<u8>, unsent: Vec<u8>) -> Self {
        let total = unread.len() as u64;
        Self {
            stream,
            unread,
            unsent,
            unflushed: false,
            took_some: false,
            ended: false,
            closed: false,
            total,
        }
    }

    /// Whether bytes wait for this side to take them.
    pub(crate) fn is_blocked(&self) -> bool {
        !self.unsent.is_empty() || self.unflushed
    }

    /// Whether it has taken bytes since this was last asked.
    pub(crate) fn took_some(&mut self) -> bool {
        std::mem::take(&mut self.took_some)
    }

    /// Reads once into `buf`. Zero bytes: the side has ended.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
        let read = buf.filled().len();
        self.total += read as u64;
        self.ended = read == 0;
        Poll::Ready(Ok(read))
    }

    /// Sends `bytes` to this side; what it does not take now is kept.
    pub(crate) fn send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() && self.unsent.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => {
                    self.unflushed = true;
                    self.took_some = true;
                    rest = rest.get(written..).unwrap_or_default();
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            }
        }
        self.unsent.extend_from_slice(rest);
        Ok(())
    }

    /// Sends what is buffered. Ready when nothing is left.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut sent = 0;
        while let Some(rest) = self.unsent.get(sent..).filter(|rest| !rest.is_empty()) {
            match Pin::new(&mut self.stream).poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => {
                    self.unflushed = true;
                    self.took_some = true;
                    sent += written;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.unsent.drain(..sent);
                    return Poll::Pending;
                }
            }
        }
        self.unsent = Vec::new();
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Tells this side, once everything has been sent, that nothing more will come.
    pub(crate) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.closed {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_flush(cx))?;
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        self.closed = true;
        Poll::Ready(Ok(()))
    }

    /// The stream, and what it has not taken.
    pub(crate) fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.unsent)
    }
}
