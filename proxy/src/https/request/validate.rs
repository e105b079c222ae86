//! What a request must satisfy, beyond its framing, before anybody is looked up for it.

use crate::active::ListenerContext;
use crate::https::client::Client;
use crate::https::message::connect_protocol::ConnectProtocol;
use crate::https::message::fields;
use crate::https::message::refusal::Refusal;
use crate::https::message::requested_host::RequestedHost;
use crate::https::pages;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, COOKIE, EXPECT, HOST};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, Version};
use std::borrow::Cow;
use std::sync::Arc;
use usher_config::https::Https;
use usher_config::snapshot::Limits;
use usher_wire::http::authority::Authority;
use usher_wire::http::field::{content_length, ends_in_blanks};
use usher_wire::http::path;
use usher_wire::http1::METHOD_CAP;

/// A request that can be served: the host, path and user fields have one form each.
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

impl From<Refusal> for Invalid {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// A request that breaks the protocol, refused in the way of its HTTP version.
fn malformed(parts: &Parts, cause: &'static str) -> Invalid {
    match parts.version {
        Version::HTTP_2 => Invalid::Malformed(cause),
        _ => Invalid::Refused(Refusal::new(StatusCode::BAD_REQUEST, cause)),
    }
}

/// Validates a request. One that came over HTTP/2 gets a `Host`, which every backend expects.
pub(crate) fn validate(
    mut parts: Parts,
    client: &Client,
    at: &ListenerContext,
) -> Result<Validated, Invalid> {
    let snapshot = &at.active.snapshot;
    let protocol = parts.extensions.get::<ConnectProtocol>();
    let tunnels = protocol.is_some();
    if parts.version == Version::HTTP_2
        && (fields::has_blank_ends(&parts.headers)
            || protocol.is_some_and(|protocol| ends_in_blanks(&protocol.0)))
    {
        return Err(malformed(&parts, "blank-ends"));
    }
    if parts.method == Method::TRACE || (parts.method == Method::CONNECT && !tunnels) {
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method").into());
    }
    let asked = requested_host(&parts, client)?;
    check_length(&parts, tunnels)?;
    if parts.version == Version::HTTP_2 {
        check_as_the_reader_of_http1(&parts, &snapshot.limits)?;
    }
    // The operator's own front proxy may use another name (RFC 9110 section 7.4).
    let is_front = fields::is_in(client.ends.client.ip(), &snapshot.https.trusted);
    if !is_front && client.server_name.as_ref().is_some_and(|wanted| *wanted != asked.name) {
        return Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, "misdirected").into());
    }
    if !parts.uri.query().is_none_or(is_graphic) {
        return Err(malformed(&parts, "query"));
    }
    if parts.headers.get_all(AUTHORIZATION).iter().nth(1).is_some() {
        // The two might name different users.
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "authorization-twice").into());
    }
    let path = normal_path(&parts, &snapshot.https)?.into_owned();
    parts.headers.insert(HOST, asked.host.clone());
    Ok(Validated { parts, asked, path })
}

/// The host that the request is for, which it can name in two ways.
fn requested_host(parts: &Parts, client: &Client) -> Result<Arc<RequestedHost>, Invalid> {
    let bad = |cause| malformed(parts, cause);
    let mut hosts = parts.headers.get_all(HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Err(bad("host-twice"));
    }
    match (parts.uri.authority().map(|named| named.as_str().as_bytes()), host) {
        (None, Some(host)) => client.asked(host.as_bytes()).ok_or_else(|| bad("host")),
        (Some(named), None) => client.asked(named).ok_or_else(|| bad("authority")),
        (Some(named), Some(given)) => {
            let named = Authority::parse(named).ok_or_else(|| bad("authority"))?;
            let same = Authority::parse(given.as_bytes()).is_some_and(|given| given.is_same(&named, 443));
            client.asked(given.as_bytes()).filter(|_| same).ok_or_else(|| bad("two-hosts"))
        }
        // An HTTP/1.0 request need not name a host, and usher's own pages are the same for all of them.
        (None, None) if parts.version == Version::HTTP_10 && pages::is_own(parts.uri.path()) => {
            client.asked(client.name().as_bytes()).ok_or_else(|| bad("no-host"))
        }
        (None, None) => Err(bad("no-host")),
    }
}

fn check_length(parts: &Parts, tunnels: bool) -> Result<(), Invalid> {
    let mut lengths = parts.headers.get_all(CONTENT_LENGTH).iter();
    let (length, another) = (lengths.next(), lengths.next());
    let is_length = |value: &HeaderValue| content_length(value.as_bytes()).is_some();
    // A tunnel has no body. If it claimed a length, the backend would take another request's bytes for the body.
    let is_lengthy = tunnels && length.is_some();
    if another.is_some() || is_lengthy || !length.is_none_or(is_length) {
        return Err(malformed(parts, "content-length"));
    }
    Ok(())
}

/// Checks what the reader of HTTP/1 has already checked for an HTTP/1 request.
fn check_as_the_reader_of_http1(parts: &Parts, limits: &Limits) -> Result<(), Invalid> {
    if parts.uri.authority().is_some() && parts.uri.scheme_str() != Some("https") {
        return Err(malformed(parts, "scheme"));
    }
    // Cookies may be split, but count as one field.
    let crumbs = parts.headers.get_all(COOKIE).iter().count().saturating_sub(1);
    let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let continues = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    let (status, cause) = if parts.method.as_str().len() > METHOD_CAP {
        (StatusCode::BAD_REQUEST, "start-line")
    } else if target > limits.http_target {
        (StatusCode::URI_TOO_LONG, "target-too-long")
    } else if parts.headers.len() - crumbs > limits.http_fields {
        (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "head-too-large")
    } else if !parts.headers.get_all(EXPECT).iter().all(continues) {
        (StatusCode::EXPECTATION_FAILED, "expectation")
    } else {
        return Ok(());
    };
    Err(Refusal::new(status, cause).into())
}

/// The path in the one form that routing and backends read alike.
fn normal_path<'p>(parts: &'p Parts, https: &Https) -> Result<Cow<'p, str>, Invalid> {
    let written = parts.uri.path();
    if written == "*" && parts.method == Method::OPTIONS {
        return Ok(Cow::Borrowed("*"));
    }
    if !is_graphic(written) || !written.starts_with('/') {
        return Err(malformed(parts, "path"));
    }
    let lenient = || {
        let normal = path::normalise_lenient(written)?;
        https.policy(&normal).is_some_and(|policy| policy.lenient_paths).then_some(normal)
    };
    let ambiguous = || Refusal::new(StatusCode::BAD_REQUEST, "ambiguous-path");
    Ok(path::normalise(written).or_else(|| lenient().map(Cow::Owned)).ok_or_else(ambiguous)?)
}

fn is_graphic(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic())
}
