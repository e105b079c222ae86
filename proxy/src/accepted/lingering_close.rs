//! Ends a connection so that the client understands why.

use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use usher_backends::connect::read_once;

/// Sends `last_words`, closes this side and gives the client up to `patience` to finish: closing while received bytes
/// are unread would reset the connection and lose the last words.
pub(crate) async fn lingering_close(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    last_words: &[u8],
    patience: Duration,
) {
    let _ = timeout(patience, async {
        stream.write_all(last_words).await?;
        stream.shutdown().await?;
        while read_once(&mut stream, usize::MAX, |_| {}).await? > 0 {}
        Ok::<_, std::io::Error>(())
    })
    .await;
}
