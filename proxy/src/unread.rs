//! Proof that TLS begins with the first byte that the peer meant for it.

use tokio::net::TcpStream;
use usher_wire::imap::preauth::PlainDrained;

/// A connection from which nothing has been read that belongs to what comes next: what was sent in the clear before a
/// handshake must never be mistaken for something sent within it.
pub(crate) struct Unread(TcpStream);

impl Unread {
    /// As accepted.
    pub(crate) fn accepted(tcp: TcpStream) -> Self {
        Self(tcp)
    }

    /// After STARTTLS, if nothing that came with it is waiting.
    pub(crate) fn drained(tcp: TcpStream, _proof: PlainDrained) -> Self {
        Self(tcp)
    }

    /// For the PROXY header, of which not a byte too many is read.
    pub(crate) fn header(&mut self) -> &mut TcpStream {
        &mut self.0
    }

    /// What comes next reads it.
    pub(crate) fn into_inner(self) -> TcpStream {
        self.0
    }
}
