//! Postfix's socketmap_table(5): a netstring with the name of a map and a key.

use super::place::Told;
use super::{QUESTION, Service, invalid, send};
use std::io::{self, ErrorKind};
use tokio::io::{AsyncBufRead, AsyncReadExt, AsyncWrite};
use tokio::time::timeout;
use usher_config::snapshot::LookupProtocol;

/// Longest question in bytes.
const CAP: usize = 4096;
/// Digits of the longest.
const DIGITS: usize = 5;

impl Service {
    pub(super) async fn answer_socketmap<S>(&self, stream: &mut S) -> io::Result<()>
    where
        S: AsyncBufRead + AsyncWrite + Unpin + Send,
    {
        while self.is_asked(stream).await?
            && let Some(question) = timeout(QUESTION, netstring(stream)).await??
        {
            let space = question.iter().position(|byte| *byte == b' ');
            let answer = match space.map(|at| (&question[..at], &question[at + 1..])) {
                Some((map @ (b"transport" | b"host"), key)) => {
                    let told = self.postfix(LookupProtocol::Socketmap, key).await;
                    match told {
                        Told::On(place) if map == b"host" => format!("OK {}", place.host.config.name),
                        Told::On(place) => format!("OK {}", self.transport(&place)),
                        Told::Nobody => "NOTFOUND ".to_owned(),
                        Told::Later => "TEMP where the user is cannot be said now".to_owned(),
                    }
                }
                _ => "PERM there are the maps \"transport\" and \"host\"".to_owned(),
            };
            send(stream, format!("{}:{answer},", answer.len()).as_bytes()).await?;
        }
        Ok(())
    }

    /// Postfix asks for a whole address, and then for what is in it: only the first says whom it is about.
    pub(super) async fn postfix(&self, protocol: LookupProtocol, key: &[u8]) -> Told {
        let is_address =
            key.iter().rposition(|byte| *byte == b'@').is_some_and(|at| at > 0 && at + 1 < key.len());
        if is_address { self.look_up(protocol, key).await } else { Told::Nobody }
    }
}

/// The next netstring; `None`: there is none.
async fn netstring<S: AsyncBufRead + Unpin>(stream: &mut S) -> io::Result<Option<Vec<u8>>> {
    let mut length = 0;
    for digit in 0.. {
        match stream.read_u8().await {
            Ok(byte @ b'0'..=b'9') if digit < DIGITS => length = length * 10 + usize::from(byte - b'0'),
            Ok(b':') if digit > 0 => break,
            Ok(_) => return Err(invalid("a netstring without a length")),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof && digit == 0 => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    if length > CAP {
        return Err(invalid("a netstring that is too long"));
    }
    let mut text = vec![0; length];
    stream.read_exact(&mut text).await?;
    match stream.read_u8().await? {
        b',' => Ok(Some(text)),
        _ => Err(invalid("a netstring without an end")),
    }
}
