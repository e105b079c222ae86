//! What the conversation can come to.

use crate::imap::id::ClientId;
use crate::imap::sasl::{Credential, Mechanism};

/// Who a client claims to be, and what is needed to answer it.
#[derive(Debug)]
pub struct Claim {
    /// The tag that waits for an answer.
    pub tag: Vec<u8>,
    /// How the credential came.
    pub mechanism: Mechanism,
    /// The credential, not yet verified.
    pub credential: Credential,
    /// What the client said of itself with ID.
    pub client_id: ClientId,
    /// Whether the client has asked for CAPABILITY on this connection and would miss it after login.
    pub asked_capability: bool,
}

/// Why the conversation ends before login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseCause {
    /// The client said LOGOUT.
    Logout,
    /// Too many invalid commands.
    TooManyInvalid,
    /// A line over its cap.
    LineTooLong,
    /// A non-synchronizing literal over its cap.
    LiteralTooLarge,
    /// NUL or bare CR.
    ControlOctet,
    /// The client speaks HTTP.
    Http,
    /// Bytes followed STARTTLS.
    BytesBehindStartTls,
}
