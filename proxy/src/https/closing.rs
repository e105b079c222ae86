//! The end of a connection: this side closes first and lets the client finish for a moment, as closing over
//! octets that were not read would reset the connection, and the last answer with it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How far it is.
pub(super) enum Closing {
    /// Not said yet.
    Open(Duration),
    /// Said; the client may finish until then.
    Said(Pin<Box<Sleep>>),
    Done,
}

impl Closing {
    pub(super) fn new(patience: Duration) -> Self {
        Self::Open(patience)
    }

    /// Closes this side of `stream` and drains the other.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        loop {
            match self {
                Self::Open(patience) => {
                    let patience = *patience;
                    ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
                    *self = Self::Said(Box::pin(tokio::time::sleep(patience)));
                }
                Self::Said(until) => {
                    let mut scrap = [0; 1024];
                    let mut scrap = ReadBuf::new(&mut scrap);
                    let over = match Pin::new(&mut *stream).poll_read(cx, &mut scrap) {
                        Poll::Ready(Ok(())) => scrap.filled().is_empty(),
                        Poll::Ready(Err(_)) => true,
                        Poll::Pending => {
                            ready!(until.as_mut().poll(cx));
                            true
                        }
                    };
                    if over {
                        *self = Self::Done;
                    }
                }
                Self::Done => return Poll::Ready(Ok(())),
            }
        }
    }
}
