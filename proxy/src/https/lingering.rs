//! The end of a connection: this side closes first and gives the client a moment to finish, because closing while
//! received bytes are unread would reset the connection and lose the last answer.

use crate::https::message::pace::poll_due;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// State of the closing.
pub(crate) struct Lingering {
    patience: Duration,
    /// When it is over, whatever the client does.
    until: Option<Instant>,
    said: bool,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Lingering {
    pub(crate) fn new(patience: Duration) -> Self {
        Self { patience, until: None, said: false, sleep: None }
    }

    /// Closes this side of `stream` and drains the other.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        let until = *self.until.get_or_insert_with(|| Instant::now() + self.patience);
        while Instant::now() < until {
            if !self.said {
                match Pin::new(&mut *stream).poll_shutdown(cx) {
                    Poll::Ready(Ok(())) => self.said = true,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return poll_due(&mut self.sleep, until, cx).map(Ok),
                }
            }
            let mut scrap = [0; 1024];
            let mut scrap = ReadBuf::new(&mut scrap);
            match Pin::new(&mut *stream).poll_read(cx, &mut scrap) {
                Poll::Ready(Ok(())) if !scrap.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return poll_due(&mut self.sleep, until, cx).map(Ok),
            }
        }
        Poll::Ready(Ok(()))
    }
}
