//! What follows a session after login, whatever is spoken: where responses end, what the client waits for, and what may be
//! said between two responses. It keeps no octets: what cannot be judged yet stays with the caller, who offers it again with
//! what follows it.

/// What goes on to the other side.
#[derive(Debug, PartialEq, Eq)]
pub enum Out<'a> {
    /// Nothing.
    Nothing,
    /// These octets of the input, as they are.
    Forward(&'a [u8]),
    /// These octets in place of what was taken.
    Insert(Vec<u8>),
}

/// One step: `taken` octets of the input are done with. A step that takes nothing and puts out nothing
/// means that more input is needed, or that the other direction has to move first.
#[derive(Debug, PartialEq, Eq)]
pub struct Moved<'a> {
    /// Octets done with.
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
    /// A word of a closed set: what it did that ends the session.
    fn client<'a>(&mut self, input: &'a [u8]) -> Result<Moved<'a>, &'static str>;

    /// Judges what the server says; with `stop`, nothing more is let through once a response has ended.
    ///
    /// # Errors
    /// As for the client.
    fn server<'a>(&mut self, input: &'a [u8], stop: bool) -> Result<Moved<'a>, &'static str>;

    /// Own answers to the client that are due now.
    fn take_answers(&mut self) -> Vec<u8>;

    /// Whether nothing of the client's can go on before the server has said something.
    fn client_waits(&self) -> bool;

    /// Whether the server's side is between two responses: the only place to say something.
    fn at_boundary(&self) -> bool;

    /// Whether the server has said goodbye, so that nobody else needs to.
    fn said_bye(&self) -> bool;

    /// Whether the client has, so that the end is its wish.
    fn logged_out(&self) -> bool;

    /// Whether the session may be ended without cutting anything off.
    fn rest(&self) -> Rest;

    /// What the client is told between two responses where its session ends.
    fn goodbye(&self) -> &'static [u8];
}
