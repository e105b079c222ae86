//! What a request must be, beyond its framing, before anybody is looked up for it.

use crate::active::ListenerContext;
use crate::https::client::Client;
use crate::https::message::fields;
use crate::https::message::refusal::Refusal;
use crate::https::message::requested_host::RequestedHost;
use crate::https::pages;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, COOKIE, EXPECT, HOST};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, Version};
use std::borrow::Cow;
use std::sync::Arc;
use usher_wire::http::authority::Authority;
use usher_wire::http::field::ends_in_blanks;
use usher_wire::http::path;
use usher_wire::http1::{METHOD_CAP, content_length};

/// A request that can be served: who is asked, and for what, each in one form.
#[derive(Debug)]
pub(crate) struct Validated {
    pub(crate) parts: Parts,
    /// The host, as `Host` or `:authority` names it.
    pub(crate) asked: Arc<RequestedHost>,
    /// The normal form of the path; `*` for OPTIONS of the whole server.
    pub(crate) path: String,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Invalid {
    Refused(Refusal),
    /// An HTTP/2 stream that breaks the protocol (RFC 9113 section 8.1.1).
    Malformed(&'static str),
}

/// Judges a request. Whatever came by HTTP/2 gets a `Host`, as every backend expects one.
pub(crate) fn validate(
    mut parts: Parts,
    client: &Client,
    at: &ListenerContext,
) -> Result<Validated, Invalid> {
    let snapshot = &at.active.snapshot;
    let limits = &snapshot.limits;
    let bad = |cause| {
        let refusal = Refusal::new(StatusCode::BAD_REQUEST, cause);
        if parts.version == Version::HTTP_2 { Invalid::Malformed(cause) } else { Invalid::Refused(refusal) }
    };
    let protocol = parts.extensions.get::<h2::ext::Protocol>();
    let tunnels = protocol.is_some();
    if parts.version == Version::HTTP_2
        && (fields::has_blank_ends(&parts.headers)
            || protocol.is_some_and(|protocol| ends_in_blanks(protocol.as_str().as_bytes())))
    {
        return Err(bad("blank-ends"));
    }
    if parts.method == Method::TRACE || (parts.method == Method::CONNECT && !tunnels) {
        return Err(Invalid::Refused(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method")));
    }
    let mut hosts = parts.headers.get_all(HOST).iter();
    let (host, second) = (hosts.next().cloned(), hosts.next());
    if second.is_some() {
        return Err(bad("host-twice"));
    }
    let is_absolute = parts.uri.authority().is_some();
    let asked = match (parts.uri.authority().map(|named| named.as_str().as_bytes()), host) {
        (None, Some(host)) => client.asked(host.as_bytes()).ok_or_else(|| bad("host"))?,
        (Some(named), None) => client.asked(named).ok_or_else(|| bad("authority"))?,
        (Some(named), Some(given)) => {
            let named = Authority::parse(named).ok_or_else(|| bad("authority"))?;
            let same = Authority::parse(given.as_bytes()).is_some_and(|given| given.is_same(&named, 443));
            client.asked(given.as_bytes()).filter(|_| same).ok_or_else(|| bad("two-hosts"))?
        }
        // Whom HTTP/1.0 asks it need not say; usher's own pages are the same for everybody.
        (None, None) if parts.version == Version::HTTP_10 && pages::is_own(parts.uri.path()) => {
            client.asked(client.name().as_bytes()).ok_or_else(|| bad("no-host"))?
        }
        (None, None) => return Err(bad("no-host")),
    };
    let mut lengths = parts.headers.get_all(CONTENT_LENGTH).iter();
    let (length, another) = (lengths.next(), lengths.next());
    let is_length = |value: &HeaderValue| content_length(value.as_bytes()).is_some();
    // A tunnel has no body: what is said of one would be another request's octets for the backend.
    let is_lengthy = tunnels && length.is_some();
    if another.is_some() || is_lengthy || !length.is_none_or(is_length) {
        return Err(bad("content-length"));
    }
    if parts.version == Version::HTTP_2 {
        if is_absolute && parts.uri.scheme_str() != Some("https") {
            return Err(bad("scheme"));
        }
        // Of HTTP/1 the guard has judged these. Cookies come apart, and are one field all the same.
        let crumbs = parts.headers.get_all(COOKIE).iter().count().saturating_sub(1);
        let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
        let continues = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
        let refusal = if parts.method.as_str().len() > METHOD_CAP {
            Some((StatusCode::BAD_REQUEST, "start-line"))
        } else if target > limits.http_target {
            Some((StatusCode::URI_TOO_LONG, "target-too-long"))
        } else if parts.headers.len() - crumbs > limits.http_fields {
            Some((StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "head-too-large"))
        } else if !parts.headers.get_all(EXPECT).iter().all(continues) {
            Some((StatusCode::EXPECTATION_FAILED, "expectation"))
        } else {
            None
        };
        if let Some((status, cause)) = refusal {
            return Err(Invalid::Refused(Refusal::new(status, cause)));
        }
    }
    // A front of one's own has a name of its own (RFC 9110 section 7.4).
    let is_front = fields::is_in(client.ends.0.ip(), &snapshot.https.trusted);
    if !is_front && client.server_name.as_ref().is_some_and(|wanted| *wanted != asked.name) {
        let refusal = Refusal::new(StatusCode::MISDIRECTED_REQUEST, "misdirected");
        return Err(Invalid::Refused(refusal));
    }
    let written = parts.uri.path();
    let graphic = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
    if !parts.uri.query().is_none_or(graphic) {
        return Err(bad("query"));
    }
    let several = parts.headers.get_all(AUTHORIZATION).iter().nth(1).is_some();
    if several {
        // Whom one names, the other may not.
        let refusal = Refusal::new(StatusCode::BAD_REQUEST, "authorization-twice");
        return Err(Invalid::Refused(refusal));
    }
    let path = if written == "*" && parts.method == Method::OPTIONS {
        Cow::Borrowed("*")
    } else if graphic(written) {
        let refusal = Refusal::new(StatusCode::BAD_REQUEST, "ambiguous-path");
        if !written.starts_with('/') {
            return Err(bad("path"));
        }
        let lenient = || {
            let normal = path::normalise_lenient(written)?;
            snapshot.https.policy(&normal).is_some_and(|policy| policy.lenient_paths).then_some(normal)
        };
        path::normalise(written).or_else(|| lenient().map(Cow::Owned)).ok_or(Invalid::Refused(refusal))?
    } else {
        return Err(bad("path"));
    };
    let path = path.into_owned();
    parts.headers.insert(HOST, asked.host.clone());
    Ok(Validated { parts, asked, path })
}
