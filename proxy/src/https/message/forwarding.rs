//! What backends are told about a client.

use http::HeaderValue;
use std::net::SocketAddr;

/// What is the same in all requests of a client.
pub(crate) struct ForwardingFields {
    /// Both addresses, in the format of `Forwarded`.
    pub(crate) ends: String,
    pub(crate) address: HeaderValue,
    pub(crate) port: HeaderValue,
    pub(crate) proto: &'static str,
    /// This server in `Via`, for messages received over HTTP/1.1 and over HTTP/2.
    pub(crate) via: [HeaderValue; 2],
}

impl ForwardingFields {
    pub(crate) fn new((source, local): (SocketAddr, SocketAddr), is_secure: bool, name: &str) -> Self {
        let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        let (source, local) = (canonical(source), canonical(local));
        // Addresses and host names are good values.
        let value =
            |text: String| HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("unknown"));
        Self {
            ends: format!("for=\"{source}\";by=\"{local}\""),
            address: value(source.ip().to_string()),
            port: HeaderValue::from(local.port()),
            proto: if is_secure { "https" } else { "http" },
            via: [value(format!("1.1 {name}")), value(format!("2 {name}"))],
        }
    }
}
