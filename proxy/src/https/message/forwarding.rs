//! What backends are told about a client.

use http::HeaderMap;
use http::header::{Entry, FORWARDED, HeaderName, HeaderValue};
use std::net::SocketAddr;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

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

    /// Says who asks whom, in `Forwarded` (RFC 7239) with the element `forwarded`, and in the older fields.
    pub(crate) fn tell(&self, headers: &mut HeaderMap, forwarded: &HeaderValue, host: &HeaderValue) {
        add(headers, FORWARDED, forwarded.clone());
        add(headers, X_FORWARDED_FOR, self.address.clone());
        let mut tell = |name, value: HeaderValue| {
            headers.entry(name).or_insert(value);
        };
        tell(X_FORWARDED_PROTO, HeaderValue::from_static(self.proto));
        tell(X_FORWARDED_PORT, self.port.clone());
        tell(X_REAL_IP, self.address.clone());
        tell(X_FORWARDED_HOST, host.clone());
    }
}

/// Adds an element to a list.
pub(crate) fn add(headers: &mut HeaderMap, name: HeaderName, element: HeaderValue) {
    let name = match headers.entry(name) {
        Entry::Vacant(place) => {
            place.insert(element);
            return;
        }
        Entry::Occupied(there) => there.key().clone(),
    };
    let mut list: Vec<&[u8]> = headers.get_all(&name).iter().map(HeaderValue::as_bytes).collect();
    list.push(element.as_bytes());
    if let Ok(list) = HeaderValue::from_bytes(&list.join(&b", "[..])) {
        headers.insert(name, list);
    }
}
