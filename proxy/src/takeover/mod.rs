//! A new process takes over from the one that serves, and nobody is refused: the listening sockets, what must not be lost,
//! and the admin socket go from the predecessor to its successor. Those who are connected stay with the predecessor, which
//! can still be asked about them.

mod channel;
mod error;
mod formers;
mod predecessor;
mod program;
mod successor;
mod words;

pub(crate) use formers::{Answer, Formers, private_socket};
pub(crate) use predecessor::{Predecessor, Request, Upgraded, follow_signal};
pub(crate) use program::Program;
pub(crate) use successor::{Inheritance, Successor, Unfinished};
pub(crate) use words::{BulkUnderWay, MoveUnderWay};

/// The variable that tells a process that its standard input leads to a predecessor.
const SUCCEEDS: &str = "USHER_SUCCEEDS";
