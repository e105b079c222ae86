//! Complete URLs in fields, for backends without TLS, which think of themselves as `http` while their clients use
//! `https`.

use http::HeaderMap;
use http::header::{CONTENT_LOCATION, HeaderName, HeaderValue, LOCATION};

/// Fields in which a client names a resource on the same server (RFC 4918 sections 10.3 and 10.4).
const OF_REQUESTS: [HeaderName; 2] = [HeaderName::from_static("destination"), HeaderName::from_static("if")];
/// Fields in which a backend does.
const OF_RESPONSES: [HeaderName; 2] = [LOCATION, CONTENT_LOCATION];

/// The fields in which a request names a resource on the same server; `None`: it names none.
pub(crate) fn places(headers: &HeaderMap) -> Option<HeaderMap> {
    let mut places = HeaderMap::new();
    for name in OF_REQUESTS {
        for value in headers.get_all(&name) {
            places.append(name.clone(), value.clone());
        }
    }
    (!places.is_empty()).then_some(places)
}

/// Replaces `https://host` with the URL that the backend uses for itself.
pub(crate) fn to_backend(headers: &mut HeaderMap, host: &HeaderValue) {
    let Ok(host) = host.to_str() else { return };
    for name in OF_REQUESTS {
        replace(headers, &name, &[&format!("https://{host}")], &format!("http://{host}"));
    }
}

/// Replaces the URL that a backend uses for itself, with the requested name or its own address, with `https://host`.
pub(crate) fn from_backend(headers: &mut HeaderMap, host: &HeaderValue, address: &str) {
    if !OF_RESPONSES.iter().any(|name| headers.contains_key(name)) {
        return;
    }
    let Ok(host) = host.to_str() else { return };
    let by_name = format!("http://{host}");
    let by_address = format!("http://{address}");
    let bare = host.rsplit_once(':').map_or(host, |(name, _)| name);
    // Some omit a port that is not the default, some add the one that is.
    let own_port = address.rsplit_once(':').map_or("", |(_, port)| port);
    let by_port = format!("http://{bare}:{own_port}");
    let by_bare = format!("http://{bare}");
    let known = [by_name.as_str(), &by_address, &by_port, &by_bare];
    for name in OF_RESPONSES {
        replace(headers, &name, &known, &format!("https://{host}"));
    }
}

/// Restores the values that the request had at first.
pub(crate) fn restore(headers: &mut HeaderMap, original: &HeaderMap) {
    for name in OF_REQUESTS.iter().filter(|name| original.contains_key(*name)) {
        headers.remove(name);
        for value in original.get_all(name) {
            headers.append(name, value.clone());
        }
    }
}

/// Replaces in each value the first of `known` that it contains, if the authority ends there.
fn replace(headers: &mut HeaderMap, name: &HeaderName, known: &[&str], by: &str) {
    if !headers.contains_key(name) {
        return;
    }
    let values: Vec<HeaderValue> = headers.get_all(name).iter().cloned().collect();
    headers.remove(name);
    for value in values {
        let text = value.to_str().ok();
        let replaced = text.and_then(|text| known.iter().find_map(|known| replaced(text, known, by)));
        headers.append(name, replaced.and_then(|text| HeaderValue::try_from(text).ok()).unwrap_or(value));
    }
}

/// `text` with `by` in place of every `known`; `None` where there is none.
fn replaced(text: &str, known: &str, by: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let known = known.to_ascii_lowercase();
    let mut out = String::with_capacity(text.len() + by.len());
    let mut from = 0;
    for (at, _) in lower.match_indices(&known) {
        let end = at + known.len();
        let is_whole = lower.get(end..)?.chars().next().is_none_or(|c| matches!(c, '/' | '?' | '#' | '>'));
        let begins = lower.get(..at)?.chars().next_back().is_none_or(|c| matches!(c, '<' | ' ' | '\t'));
        if is_whole && begins {
            out.push_str(text.get(from..at)?);
            out.push_str(by);
            from = end;
        }
    }
    (from > 0).then(|| out + text.get(from..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        let host = HeaderValue::from_static("mail.test:8443");
        let one = |name: &'static str, value: &'static str| {
            HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))])
        };
        for (name, value, expected) in [
            ("destination", "https://mail.test:8443/dav/b", "http://mail.test:8443/dav/b"),
            ("destination", "HTTPS://Mail.Test:8443/dav/b", "http://mail.test:8443/dav/b"),
            ("destination", "https://other.test/dav/b", "https://other.test/dav/b"),
            ("destination", "https://mail.test:84430/x", "https://mail.test:84430/x"),
            ("destination", "/dav/b", "/dav/b"),
            ("if", "<https://mail.test:8443/a> ([\"x\"])", "<http://mail.test:8443/a> ([\"x\"])"),
        ] {
            let mut headers = one(name, value);
            to_backend(&mut headers, &host);
            assert_eq!(headers[name], expected);
        }
        for (value, expected) in [
            ("http://mail.test:8443/x", "https://mail.test:8443/x"),
            ("http://mail.test/x", "https://mail.test:8443/x"),
            ("http://mail.test:8081/x", "https://mail.test:8443/x"),
            (
                "http://10.0.0.11:8081/x?y=http://10.0.0.11:8081/",
                "https://mail.test:8443/x?y=http://10.0.0.11:8081/",
            ),
            ("http://mail.test", "https://mail.test:8443"),
            ("http://mail.test.evil.test/x", "http://mail.test.evil.test/x"),
            ("https://mail.test/x", "https://mail.test/x"),
            ("http://other.test/x", "http://other.test/x"),
            ("/x", "/x"),
        ] {
            let mut headers = one("location", value);
            from_backend(&mut headers, &host, "10.0.0.11:8081");
            assert_eq!(headers["location"], expected);
        }
    }
}
