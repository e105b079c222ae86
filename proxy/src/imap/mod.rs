//! An IMAP client from its connection to its end: drives the pure protocol of `wire` over the streams.

mod connection;
mod door;
mod handover;
mod preauth;

pub(crate) use connection::serve;
