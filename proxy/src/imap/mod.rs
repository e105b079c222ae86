//! An IMAP client from its connection to its end: drives the pure protocol of `wire` over the streams.

mod connection;
mod handover;
mod preauth;
mod prelogin;
mod server;

pub(crate) use connection::serve;
pub(crate) use server::Server;
