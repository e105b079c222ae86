//! The end of a connection that the client is to understand.

use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// Says `last_words`, closes this side and lets the client finish for at most `patience`: closing over octets
/// that were not read would reset the connection, and the last words with it.
pub(crate) async fn farewell(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    last_words: &[u8],
    patience: Duration,
) {
    let _ = timeout(patience, async {
        stream.write_all(last_words).await?;
        stream.shutdown().await?;
        let mut scrap = [0; 1024];
        while stream.read(&mut scrap).await? > 0 {}
        Ok::<_, std::io::Error>(())
    })
    .await;
}
