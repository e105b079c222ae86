//! A new process takes over from the one that serves, and nobody is refused: the listening sockets, what must not be lost,
//! and the admin socket go from the predecessor to its successor. Those who are connected stay with the predecessor, which
//! can still be asked about them.

mod attend;
mod channel;
mod error;
mod predecessor;
mod successor;
mod words;

pub(crate) use attend::attend;
pub(crate) use predecessor::Predecessor;
pub(crate) use successor::{Inheritance, Successor, Unfinished};
