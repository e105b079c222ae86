//! An IMAP client from its connection to its end: runs the pure protocol code of `wire` on the streams.

mod connection;
mod joined;
mod offer;
mod preauth;
#[cfg(test)]
mod tests;

pub(crate) use connection::serve;
