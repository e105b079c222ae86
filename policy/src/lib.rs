//! Decisions, as pure functions: from the name that somebody types to the key of an archive, from what is known of that
//! key to where it may be used, and which member of an array takes it.
//!
//! No socket, no clock, no file and no runtime: what is known goes in, and the time with it. So they can be tested in
//! microseconds, and asked by the command line while nothing runs.

pub mod identity;
pub mod pick;
pub mod route;
pub mod service;
pub mod verdict;

pub use identity::ArchiveKey;
pub use service::{Service, Services};
