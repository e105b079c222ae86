//! Where the input of a client goes that waits for its login.

use usher_wire::imap::preauth::Answer;

/// Keeps what a client sends after its login, and knows how a conversation before it is written.
pub(crate) trait Inbox {
    /// How many bytes may be fed now.
    fn room(&self) -> usize;

    /// Takes what came.
    fn feed(&mut self, bytes: &[u8]);

    /// The client's answer to a challenge, if it has come.
    fn answer(&mut self) -> Option<Answer>;

    /// Appends a challenge to `out`.
    fn challenge(message: &[u8], out: &mut Vec<u8>);
}
