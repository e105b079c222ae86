//! How a relay ends.

use crate::session::Ended;

/// What the client is told where usher ends a session between two responses, or its backend is gone.
const BYE: &[u8] = b"* BYE [UNAVAILABLE] Connection is closing, please reconnect.\r\n";

/// How the client's connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LastWords {
    /// Cut, because the client is in the middle of a response or is gone.
    None,
    /// Nothing more is to be said.
    Clean,
    /// [`BYE`].
    Bye,
}

impl LastWords {
    /// The words.
    pub(crate) fn words(self) -> &'static [u8] {
        match self {
            Self::None | Self::Clean => b"",
            Self::Bye => BYE,
        }
    }
}

/// What came of a relay.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    pub(crate) ended: Ended,
    /// Octets from the client and from the backend.
    pub(crate) octets: (u64, u64),
    pub(crate) last_words: LastWords,
}
