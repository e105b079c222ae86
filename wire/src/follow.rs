//! Follows a session after login, whatever protocol is spoken: where responses end, what the client waits for, and what
//! may be inserted between two responses. It keeps no bytes: what cannot be judged yet stays with the caller, who
//! offers it again together with what comes next.

/// What goes on to the other side.
#[derive(Debug, PartialEq, Eq)]
pub enum Out<'a> {
    /// Nothing.
    Nothing,
    /// These bytes of the input, as they are.
    Forward(&'a [u8]),
    /// These bytes in place of what was taken.
    Insert(Vec<u8>),
}

/// One step, in which `taken` bytes of the input were dealt with. A step that takes nothing and emits nothing means
/// that more input is needed, or that the other direction has to move first.
#[derive(Debug, PartialEq, Eq)]
pub struct Moved<'a> {
    /// Bytes done with.
    pub taken: usize,
    /// What goes on.
    pub out: Out<'a>,
}

impl Moved<'_> {
    /// Nothing moved.
    pub const STUCK: Self = Moved { taken: 0, out: Out::Nothing };

    /// Whether nothing moved.
    pub fn is_stuck(&self) -> bool {
        *self == Self::STUCK
    }
}

/// What the client waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// For news.
    Idle,
    /// For nothing: every command has its answer.
    Between,
    /// For an answer, or it is in the middle of a command.
    Busy,
}

/// Follows both directions of one session.
pub trait Follow {
    /// Judges what the client says.
    ///
    /// # Errors
    /// A word from a closed set: what the client did that ends the session.
    fn client<'a>(&mut self, input: &'a [u8]) -> Result<Moved<'a>, &'static str>;

    /// Judges what the server says; with `stop`, nothing more is let through once a response has ended.
    ///
    /// # Errors
    /// As for the client.
    fn server<'a>(&mut self, input: &'a [u8], stop: bool) -> Result<Moved<'a>, &'static str>;

    /// usher's own answers to the client that are due now.
    fn take_answers(&mut self) -> Vec<u8>;

    /// Whether the client's input must wait until the server has said something.
    fn client_waits(&self) -> bool;

    /// Whether the server's side is between two responses, the only place where something may be inserted.
    fn at_boundary(&self) -> bool;

    /// Whether the server has said goodbye, so that nobody else needs to.
    fn said_bye(&self) -> bool;

    /// Whether the client has said goodbye, so that it ended the session itself.
    fn logged_out(&self) -> bool;

    /// Whether the session may be ended without cutting anything off.
    fn rest(&self) -> Rest;

    /// What the client is told between two responses where its session ends.
    fn goodbye(&self) -> &'static [u8];
}
