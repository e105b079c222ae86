//! A stream as one byte stream, for tunnels (RFC 8441 section 5).

use super::stream::{Incoming, Piece, Responder};
use bytes::Bytes;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use usher_wire::http2::ErrorCode;

/// Both directions.
pub(super) struct StreamIo {
    to: Responder,
    from: Incoming,
    /// Received and not taken yet.
    left: Bytes,
    ended: bool,
}

impl StreamIo {
    pub(super) fn new(to: Responder, from: Incoming) -> Self {
        Self { to, from, left: Bytes::new(), ended: false }
    }
}

impl AsyncRead for StreamIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.left.is_empty() {
            match ready!(this.from.poll_piece(cx)) {
                // Nobody reads the trailers of a tunnel.
                None | Some(Ok(Piece::Trailers(_))) => return Poll::Ready(Ok(())),
                Some(Err(_)) => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                Some(Ok(Piece::Data(data))) => this.left = data,
            }
        }
        let part = this.left.split_to(this.left.len().min(buf.remaining()));
        buf.put_slice(&part);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for StreamIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        self.to.poll_data(buf, false, cx).map_err(|_| io::ErrorKind::ConnectionReset.into())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.ended {
            ready!(this.to.poll_data(&[], true, cx)).map_err(|_| io::ErrorKind::ConnectionReset)?;
            this.ended = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for StreamIo {
    fn drop(&mut self) {
        if !self.ended {
            self.to.reset(ErrorCode::CANCEL);
        }
    }
}
