//! Header fields on their way through: fields of one connection stay there, and what only usher may say is said by
//! usher (RFC 9110 section 7.6).

use crate::https::message::cookies;
use crate::https::message::forwarding::{ForwardingFields, add};
use crate::https::message::requested_host::RequestedHost;
use crate::id::Id;
use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderName, HeaderValue, SET_COOKIE, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::{HeaderMap, Version};
use ipnet::IpNet;
use std::net::IpAddr;
use usher_config::https::{Https, Identity};
use usher_wire::http::field::ends_in_blanks;

const ALT_SVC: HeaderName = HeaderName::from_static("alt-svc");
/// The id of a request, in logs and for backends.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Fields of one connection, in addition to those that `Connection` names.
const HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-authenticate"),
    HeaderName::from_static("proxy-authorization"),
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Fields that `Connection` cannot remove from a message.
const KEPT: [HeaderName; 3] = [HOST, CONTENT_LENGTH, COOKIE];

/// What may not stand in trailers.
const NOT_IN_TRAILERS: [&str; 10] = [
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "host",
    "set-cookie",
    "transfer-encoding",
];

/// Whether `address` is in one of `networks`.
pub(crate) fn is_in(address: IpAddr, networks: &[IpNet]) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// Whether one of the values begins or ends with a blank.
pub(crate) fn has_blank_ends(headers: &HeaderMap) -> bool {
    headers.values().any(|value| ends_in_blanks(value.as_bytes()))
}

/// Removes what belongs to the connection that the message came on.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(',').map(str::trim))
            // The most common option is not the name of a field.
            .filter(|name| !name.eq_ignore_ascii_case("close"))
            .filter_map(|name| name.parse().ok())
            .filter(|name| !KEPT.contains(name))
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    remove_all(headers, |name| HOP_BY_HOP.contains(name));
}

/// Removes from the head of any backend response what is not meant for the client: what belongs to the connection,
/// other ways to reach the backend, and cookies that only usher may set.
pub(crate) fn from_backend(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
    headers.remove(ALT_SVC);
    if headers.get_all(SET_COOKIE).iter().any(|cookie| cookies::is_own(cookie.as_bytes())) {
        let theirs = headers.get_all(SET_COOKIE).iter().filter(|cookie| !cookies::is_own(cookie.as_bytes()));
        let theirs: Vec<HeaderValue> = theirs.cloned().collect();
        headers.remove(SET_COOKIE);
        for cookie in theirs {
            headers.append(SET_COOKIE, cookie);
        }
    }
}

/// Removes the fields whose name is `unwanted`. Examines each name once, as there are mostly none.
fn remove_all(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) {
    let unwanted: Vec<HeaderName> = headers.keys().filter(|name| unwanted(name)).cloned().collect();
    for name in unwanted {
        headers.remove(name);
    }
}

/// Turns a request's fields into those of the request to a backend. `may_not_set` tells which fields this client is not
/// trusted to set.
/// Returns whether they say who the client is: what a trusted client says of others is added to. Of all others they say
/// nothing yet, and [`ForwardingFields::tell`] does.
pub(crate) fn to_backend(
    headers: &mut HeaderMap,
    (told, peer): (&ForwardingFields, IpAddr),
    https: &Https,
    version: Version,
    asked: &RequestedHost,
    id: Id,
    may_not_set: impl Fn(&str) -> bool,
) -> bool {
    let wants_trailers = headers.get(TE).is_some_and(|te| te.as_bytes().eq_ignore_ascii_case(b"trailers"));
    remove_hop_by_hop(headers);
    headers.remove(EXPECT);
    headers.remove(TE);
    if wants_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    let is_trusted = is_in(peer, &https.trusted);
    remove_forged(headers, is_trusted, may_not_set);
    join_cookies(headers);
    if is_trusted {
        told.tell(headers, &asked.forwarded, &asked.host);
    }
    if let Ok(id) = HeaderValue::from_bytes(&id.digits()) {
        headers.entry(X_REQUEST_ID).or_insert(id);
    }
    if https.via {
        add_via(headers, version, told);
    }
    is_trusted
}

/// Removes from trailers what only usher or a trusted sender may say: some servers treat trailers as header fields.
pub(crate) fn remove_claims(trailers: &mut HeaderMap, https: Option<&Https>) {
    let names = |name: &str| {
        let identities = https.iter().flat_map(|https| &https.identities);
        identities
            .into_iter()
            .any(|identity| matches!(identity, Identity::Header { name: known, .. } if known == name))
    };
    remove_forged(trailers, false, names);
}

/// Whether only usher may set a field of this name.
fn told(name: &str) -> bool {
    name.starts_with("x-forwarded-") || matches!(name, "forwarded" | "x-real-ip" | "x-request-id" | "via")
}

/// Removes what only a trusted sender may say, however it is spelt: some servers read `_` as `-`.
fn remove_forged(headers: &mut HeaderMap, trusted: bool, may_not_set: impl Fn(&str) -> bool) {
    let forged = |name: &HeaderName| {
        let name = name.as_str();
        if name.contains('_') {
            let alike = name.replace('_', "-");
            let framing = NOT_IN_TRAILERS.contains(&alike.as_str())
                || HOP_BY_HOP.iter().any(|hop| hop.as_str() == alike);
            return framing || told(&alike) || may_not_set(&alike);
        }
        (!trusted && told(name) && name != "via") || may_not_set(name)
    };
    remove_all(headers, forged);
}

/// HTTP/2 may split cookies over several fields; HTTP/1 has only one (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_some() {
        let all: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
        if let Ok(joined) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
            headers.insert(COOKIE, joined);
        }
    }
}

/// Adds this server to `Via` (RFC 9110 section 7.6.3), for a message received over `version`.
pub(crate) fn add_via(headers: &mut HeaderMap, version: Version, told: &ForwardingFields) {
    let [one, two] = &told.via;
    let element = match version {
        Version::HTTP_2 => two.clone(),
        Version::HTTP_10 => {
            let old = one.to_str().map(|one| one.replacen("1.1", "1.0", 1)).unwrap_or_default();
            HeaderValue::try_from(old).unwrap_or_else(|_| one.clone())
        }
        _ => one.clone(),
    };
    add(headers, VIA, element);
}

/// Keeps only the trailers that may be sent as such.
pub(crate) fn keep_trailers(trailers: &mut HeaderMap) {
    remove_all(trailers, |name| {
        NOT_IN_TRAILERS.contains(&name.as_str()) || HOP_BY_HOP.contains(name) || *name == TRAILER
    });
}
