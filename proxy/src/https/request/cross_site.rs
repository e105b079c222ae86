//! Whether another site made the browser send a request.

use crate::https::message::requested_host::RequestedHost;
use http::header::{HeaderName, ORIGIN};
use http::{HeaderMap, Method};
use usher_wire::http::authority::Authority;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a request that changes something comes from a page of another origin, according to the browser (RFC 6454
/// section 7, Fetch Metadata). Clients other than browsers say nothing about it.
pub(crate) fn is_cross_site(method: &Method, headers: &HeaderMap, asked: &RequestedHost) -> bool {
    if method.is_safe() {
        return false;
    }
    let own = Authority::parse(asked.host.as_bytes());
    let is_own = |origin: &[u8]| {
        let named = origin.strip_prefix(b"https://").and_then(Authority::parse);
        named.zip(own).is_some_and(|(named, own)| named.is_same(&own, 443))
    };
    let foreign_origin = headers.get_all(ORIGIN).iter().any(|origin| !is_own(origin.as_bytes()));
    let foreign_site = headers
        .get_all(SEC_FETCH_SITE)
        .iter()
        .any(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"));
    foreign_origin || foreign_site
}
