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
    /// The client's address and port.
    pub(crate) client: String,
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
        let value = |text: String| HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("unknown"));
        // Each is written once: that is a good part of what it costs to have a client.
        let client = source.to_string();
        let address = match client.rsplit_once(':') {
            Some((address, _)) if source.is_ipv4() => address.to_owned(),
            _ => source.ip().to_string(),
        };
        Self {
            ends: ["for=\"", &client, "\";by=\"", &local.to_string(), "\""].concat(),
            client,
            address: value(address),
            port: HeaderValue::from(local.port()),
            proto: if is_secure { "https" } else { "http" },
            via: [value(["1.1 ", name].concat()), value(["2 ", name].concat())],
        }
    }

    /// The fields of a request for `host`, whose element of `Forwarded` (RFC 7239) is `forwarded`.
    pub(crate) fn fields(
        &self,
        forwarded: &HeaderValue,
        host: &HeaderValue,
    ) -> [(HeaderName, HeaderValue); 6] {
        [
            (FORWARDED, forwarded.clone()),
            (X_FORWARDED_FOR, self.address.clone()),
            (X_FORWARDED_PROTO, HeaderValue::from_static(self.proto)),
            (X_FORWARDED_PORT, self.port.clone()),
            (X_REAL_IP, self.address.clone()),
            (X_FORWARDED_HOST, host.clone()),
        ]
    }

    /// Adds these fields to `headers`, in which a trusted client may have said who asks whom before it.
    pub(crate) fn tell(&self, headers: &mut HeaderMap, forwarded: &HeaderValue, host: &HeaderValue) {
        for (name, value) in self.fields(forwarded, host) {
            if name == FORWARDED || name == X_FORWARDED_FOR {
                add(headers, name, value);
            } else {
                headers.entry(name).or_insert(value);
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What a client at `source` is said to be, in both ways in which it is said.
    fn said(source: &str) -> Vec<(String, String)> {
        let told = ForwardingFields::new(
            (source.parse().unwrap(), "[::ffff:192.0.2.1]:443".parse().unwrap()),
            true,
            "mail.test",
        );
        assert_eq!(told.via, ["1.1 mail.test", "2 mail.test"]);
        let forwarded = HeaderValue::try_from(told.ends.as_str()).unwrap();
        let host = HeaderValue::from_static("mail.test");
        let mut headers = HeaderMap::new();
        told.tell(&mut headers, &forwarded, &host);
        let text = |name: &HeaderName, value: &HeaderValue| {
            (name.as_str().to_owned(), value.to_str().unwrap().to_owned())
        };
        let fields: Vec<_> =
            told.fields(&forwarded, &host).iter().map(|(name, value)| text(name, value)).collect();
        let inserted: Vec<_> = headers.iter().map(|(name, value)| text(name, value)).collect();
        assert_eq!(fields, inserted);
        fields
    }

    #[test]
    fn addresses_are_said_in_the_format_of_each_field() {
        let all = |ends: &str, address: &str| {
            [
                ("forwarded", ends),
                ("x-forwarded-for", address),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-port", "443"),
                ("x-real-ip", address),
                ("x-forwarded-host", "mail.test"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
        };
        let four = all(r#"for="198.51.100.7:50000";by="192.0.2.1:443""#, "198.51.100.7");
        assert_eq!(said("198.51.100.7:50000"), four);
        assert_eq!(said("[::ffff:198.51.100.7]:50000"), four);
        let six = all(r#"for="[2001:db8::7]:50000";by="192.0.2.1:443""#, "2001:db8::7");
        assert_eq!(said("[2001:db8::7]:50000"), six);
    }
}
