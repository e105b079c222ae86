//! A backend's HTTP/1 connection, behind the strict reader of its responses.

use crate::connect::BackendStream;
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use usher_wire::http1::{Expected, Fault, ResponseReader};

/// Bytes read at a time: a TLS record.
const READ: usize = 16 * 1024;

thread_local! {
    /// The connections of a worker thread read into this before validation; nothing in it outlives a poll.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into_boxed_slice());
}

/// The reader, shared by the connection and whoever sends requests on it.
#[derive(Clone, Default)]
pub(super) struct Judge(Arc<Mutex<Judgement>>);

#[derive(Default)]
struct Judgement {
    reader: ResponseReader,
    fault: Option<Fault>,
}

impl Judge {
    fn lock(&self) -> MutexGuard<'_, Judgement> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request goes out.
    pub(super) fn expect(&self, expected: Expected) {
        self.lock().reader.expect(expected);
    }

    /// Why the connection is useless, if it is.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.lock().fault
    }
}

/// The connection.
pub(super) struct Judged {
    stream: BackendStream,
    judge: Judge,
    /// What has been validated and not taken yet, and how much of it has been taken.
    good: Vec<u8>,
    taken: usize,
}

impl Judged {
    pub(super) fn new(stream: BackendStream, judge: Judge) -> Self {
        Self { stream, judge, good: Vec::new(), taken: 0 }
    }

    /// Hands on validated bytes. False if there are none.
    fn deliver(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let rest = self.good.get(self.taken..).unwrap_or_default();
        if rest.is_empty() {
            return false;
        }
        let step = rest.len().min(buf.remaining());
        buf.put_slice(rest.get(..step).unwrap_or_default());
        self.taken += step;
        if self.taken == self.good.len() {
            // Keeps no buffer while nothing flows.
            (self.good, self.taken) = (Vec::new(), 0);
        }
        true
    }
}

impl AsyncRead for Judged {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.deliver(buf) {
                return Poll::Ready(Ok(()));
            }
            // What was valid before a fault has been passed on; nothing after it is.
            if let Some(fault) = this.judge.fault() {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, fault.name())));
            }
            // What needs no validation is read directly into the caller's buffer.
            if this.judge.lock().reader.free() >= buf.remaining() as u64 {
                let before = buf.filled().len();
                ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
                this.judge.lock().reader.passed(buf.filled().len() - before);
                return Poll::Ready(Ok(()));
            }
            let judged = BUFFER.with_borrow_mut(|scratch| {
                let mut scratch = ReadBuf::new(scratch);
                ready!(Pin::new(&mut this.stream).poll_read(cx, &mut scratch))?;
                let mut judgement = this.judge.lock();
                judgement.fault = judgement.reader.read(scratch.filled(), &mut this.good).err();
                Poll::Ready(Ok::<_, io::Error>(scratch.filled().len()))
            });
            if ready!(judged)? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Judged {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
