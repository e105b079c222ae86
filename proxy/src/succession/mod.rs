//! Processes that succeed each other: how one is wanted, which program it runs, what it goes on with, and how those are asked
//! that have been succeeded.

mod formers;
mod program;
mod request;
mod unfinished;

pub(crate) use formers::{Answer, Formers, private_socket};
pub(crate) use program::{Program, SUCCEEDS};
pub(crate) use request::{Request, Upgraded, follow_signal};
pub(crate) use unfinished::{BulkUnderWay, MoveUnderWay};
