//! An IMAP client from its connection to its end: drives the pure protocol of `wire` over the streams.

mod connection;
mod door;
mod farewell;
mod handover;
mod preauth;
mod proxy_header;

pub(crate) use connection::serve;
pub(crate) use door::{Door, Ended, Place};
pub(crate) use farewell::farewell;
