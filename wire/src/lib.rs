//! The protocols as bytes and values.
//!
//! Everything here is sans-io: bytes go in, values and bytes come out. Nothing in this crate may know a
//! socket, a clock or a runtime. Every buffer has a cap that holds whatever the peer sends.

pub mod follow;
pub mod http;
pub mod http1;
pub mod http2;
pub mod imap;
pub mod printable;
pub mod proxy_header;
pub mod secret;
pub mod websocket;
