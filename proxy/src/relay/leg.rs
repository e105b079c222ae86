//! One side of a relay: its stream, what of its input is not done with, and what it has not taken yet.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Octets read at a time, and the most that waits for a side which does not take them: four TLS records, which go out
/// in one system call.
const READ: usize = 64 * 1024;

/// Octets that are enough for one turn, so that a fast transfer leaves the worker to others.
pub(super) const TURN: u64 = 128 * 1024;
/// Steps that are enough, however little they moved.
pub(super) const STEPS: usize = 8;

thread_local! {
    /// What all sessions of a worker thread read into; nothing of it outlives a poll.
    pub(super) static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into_boxed_slice());
}

/// One side. Both buffers are empty, and own nothing, while nothing flows.
pub(crate) struct Leg<S> {
    pub(crate) stream: S,
    /// Octets read that the tracker has not judged yet.
    pub(crate) unread: Vec<u8>,
    /// Octets for this side that it has not taken yet.
    unsent: Vec<u8>,
    /// The stream may hold octets that were written but not sent.
    unflushed: bool,
    /// It has taken octets since somebody last asked.
    took_some: bool,
    /// No more comes from this side.
    pub(crate) ended: bool,
    /// This side has been told that no more comes.
    closed: bool,
    /// Octets read in all.
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

    /// Whether octets wait for this side to take them.
    pub(crate) fn is_blocked(&self) -> bool {
        !self.unsent.is_empty() || self.unflushed
    }

    /// Whether it has taken octets since this was last asked.
    pub(crate) fn took_some(&mut self) -> bool {
        std::mem::take(&mut self.took_some)
    }

    /// Reads once into `buf`. Zero octets: the side has ended.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
        let read = buf.filled().len();
        self.total += read as u64;
        self.ended = read == 0;
        Poll::Ready(Ok(read))
    }

    /// Hands `bytes` to this side; what it does not take now is kept.
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

    /// Sends what is kept. Ready when nothing is.
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

    /// Tells this side, once everything has been sent, that no more comes.
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
