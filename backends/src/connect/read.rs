//! Reading without a buffer that lasts as long as the wait.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};
use zeroize::Zeroize;

/// Most bytes read at a time.
const READ: usize = 2048;

/// Reads once, at most `most` bytes and 2 KiB, hands them to `feed`, and returns how many there were; 0: `stream` has
/// ended. Whoever waits holds no buffer, and nothing is left in one: it may have been a password.
///
/// # Errors
/// The stream's.
pub async fn read_once(
    stream: &mut (impl AsyncRead + Unpin),
    most: usize,
    mut feed: impl FnMut(&[u8]),
) -> io::Result<usize> {
    poll_fn(|cx| {
        let mut room = [const { MaybeUninit::<u8>::uninit() }; READ];
        let mut buf = ReadBuf::uninit(room.get_mut(..most.min(READ)).unwrap_or_default());
        ready!(Pin::new(&mut *stream).poll_read(cx, &mut buf))?;
        feed(buf.filled());
        let read = buf.filled().len();
        buf.filled_mut().zeroize();
        Poll::Ready(Ok(read))
    })
    .await
}
