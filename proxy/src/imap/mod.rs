//! An IMAP client from its connection to its end: drives the pure protocol of `wire` over the streams.

mod connection;
mod door;
mod farewell;
mod handover;
mod preauth;
pub(crate) mod proxy_header;

pub(crate) use connection::{Places, serve};
pub(crate) use door::Ended;
pub(crate) use farewell::farewell;
