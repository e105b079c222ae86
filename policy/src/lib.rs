//! Decisions as pure functions: from a typed name to the key of an archive, from what is known about that key to where
//! the archive may be used, and which member of an array serves a session.
//!
//! No sockets, clocks, files or runtimes: the facts are passed in, including the time. So decisions can be tested in
//! microseconds, and the command line can make them while no server is running.

pub mod access;
mod fold;
pub mod guessing;
pub mod identity;
pub mod pick;
pub mod renewal;
pub mod route;
pub mod service;
pub mod verdict;

pub use identity::ArchiveKey;
pub use service::{Service, Services};
