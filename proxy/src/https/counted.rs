//! The guard of an HTTP/2 connection: frame headers are counted on their way to the codec, and a block of
//! fields must come to its end.

use super::closing::Closing;
use crate::tls::ClientStream;
use bytes::{Buf, Bytes};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use usher_config::snapshot::Limits;
use usher_wire::http2::FrameMeter;

/// The connection.
pub(super) struct Counted {
    stream: ClientStream,
    meter: FrameMeter,
    begun: Instant,
    header: Duration,
    /// What is left of the last words to a client that floods.
    last_words: Option<Bytes>,
    /// By when the block of fields that has begun must be whole.
    block: Option<Pin<Box<Sleep>>>,
    closing: Closing,
}

impl Counted {
    pub(super) fn new(stream: ClientStream, limits: &Limits) -> Self {
        Self {
            stream,
            meter: FrameMeter::default(),
            begun: Instant::now(),
            header: limits.http_header,
            last_words: None,
            block: None,
            closing: Closing::new(limits.farewell),
        }
    }
}

impl Counted {
    /// Says why, waits until that is likely to have been heard, and breaks the connection.
    fn poll_leave(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(words) = self.last_words.as_mut().filter(|words| !words.is_empty()) {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, words))?;
            words.advance(written.max(1).min(words.len()));
        }
        ready!(self.closing.poll(cx, &mut self.stream))?;
        Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "too many frames")))
    }
}

impl AsyncRead for Counted {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.last_words.is_some() {
            return this.poll_leave(cx);
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = read {
            let new = buf.filled().get(before..).unwrap_or_default();
            if this.meter.read(new, this.begun.elapsed()).is_err() {
                buf.set_filled(before);
                this.last_words =
                    Some(this.meter.goaway().map_or_else(Bytes::new, |frame| Bytes::copy_from_slice(&frame)));
                return this.poll_leave(cx);
            }
        }
        if !this.meter.is_in_field_block() {
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

impl AsyncWrite for Counted {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.last_words.is_some() {
            // There are no words behind the last ones.
            return Poll::Ready(Ok(buf.len()));
        }
        let written = ready!(Pin::new(&mut this.stream).poll_write(cx, buf))?;
        this.meter.sent(buf.get(..written).unwrap_or_default());
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.closing.poll(cx, &mut this.stream)
    }
}
