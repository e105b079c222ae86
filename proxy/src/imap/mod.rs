//! An IMAP client from its connection to its end: drives the pure protocol of `wire` over the streams.

mod connection;
mod joined;
mod preauth;
#[cfg(test)]
mod tests;

pub(crate) use connection::serve;
