//! HTTP/2 with a client (RFC 9113): frames, streams, windows and fields. Bytes go in, requests come out; what is said on
//! a stream goes in, bytes come out.
//!
//! A client pays for frames that cost it nothing, and one that breaks the rules is told so: on the stream, if that is
//! enough, or with the end of the connection.

mod connection;
mod frame;
mod hpack;
mod meter;
mod receive;
mod request;
mod send;
mod settings;
mod stream;
#[cfg(test)]
mod tests;

pub use connection::{Connection, ConnectionFault, Event};
pub use frame::ErrorCode;
pub use hpack::Fields;
pub use request::RequestHead;
pub use settings::Limits;
pub use stream::Received;
