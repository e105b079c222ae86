//! How a relay ends.

use crate::session::Ended;

/// How the client's connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LastWords {
    /// Without any words, because the client is in the middle of a response or is gone.
    None,
    /// Nothing more is to be said.
    Clean,
    /// A goodbye.
    Bye,
}

impl LastWords {
    /// The words, given that `goodbye` tells the client that its session ends.
    pub(crate) fn words(self, goodbye: &'static [u8]) -> &'static [u8] {
        match self {
            Self::None | Self::Clean => b"",
            Self::Bye => goodbye,
        }
    }
}

/// The result of a relay.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    pub(crate) ended: Ended,
    /// Bytes from the client and from the backend.
    pub(crate) octets: (u64, u64),
    pub(crate) last_words: LastWords,
}
