//! An IMAP client from its connection to its end: drives the pure protocol of `wire` over the streams.

mod connection;
mod farewell;
mod handover;
mod preauth;
mod proxy_header;

pub(crate) use connection::{Door, Ended, Place, serve};
pub(crate) use farewell::farewell;
