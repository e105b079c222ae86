//! The proof that TLS begins with the first byte that its peer meant for it.

use tokio::net::TcpStream;
use usher_wire::imap::preauth::PlainDrained;

/// A connection from which nothing was read that belongs to what comes next: what was sent in the clear before a
/// handshake must never be taken for what was sent within it.
pub(crate) struct Unread(TcpStream);

impl Unread {
    /// As it was accepted.
    pub(crate) fn accepted(tcp: TcpStream) -> Self {
        Self(tcp)
    }

    /// After STARTTLS, when nothing waits that came with it.
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
