//! One request from its head to the head of its response: validate, identify, look up, lease, forward.

use super::answer::{Form, Refusal};
use super::body::{BodyFault, RequestBody, Source};
use super::client::Client;
use super::cookies;
use super::cross_site::is_cross_site;
use super::date;
use super::fields;
use super::forward::{self, Aim, Going, Reached, Unreached};
use super::identify::{self, Whose};
use super::interim::Inform;
use super::pace::{Pace, Patience};
use super::pages;
use super::response::{Relayed, ResponseBody};
use super::rewrite;
use super::ticket::{Held, Ticket};
use super::tunnel::{self, Tunnel};
use super::validate::{Invalid, Valid, validate};
use crate::shared::Listening;
use h2::Reason;
use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, DATE, EXPECT, HeaderValue, SET_COOKIE, STRICT_TRANSPORT_SECURITY,
};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::time::Instant;
use usher_config::https::{Https, Identity};
use usher_config::snapshot::Affinity;

/// What becomes of a request.
pub(super) enum Outcome {
    Response(Response<ResponseBody>),
    /// The backend has switched protocols.
    Tunnel(Response<ResponseBody>, Box<Tunnel>),
    /// An HTTP/2 stream that cannot be answered.
    Reset(Reason),
    /// It is cut off.
    Cut,
}

/// What goes with the response.
#[derive(Default)]
struct Extras {
    cookies: Vec<String>,
}

/// Serves a request. `refused` says why it is not, where that is known already; what is refused is answered in
/// this `form`.
pub(super) async fn exchange(
    client: &Arc<Client>,
    mut parts: Parts,
    source: Source,
    refused: Option<Refusal>,
    form: Form,
    inform: &impl Inform,
) -> Outcome {
    let at = client.listening();
    let version = parts.version;
    // What stands in place of a request that is refused is nobody's.
    let path = if refused.is_some() { "" } else { parts.uri.path() };
    let patience = Patience::of(&at.setting.snapshot.limits, None);
    let mut ticket = Ticket::new(client, version, parts.method.clone(), path, patience);
    let answered = match refused {
        Some(refusal) => Err(Unreached::Refused(refusal)),
        None => match validate(&mut parts, client, &at) {
            Ok(valid) => Box::pin(serve(&mut ticket, &at, valid, parts, source, inform)).await,
            Err(Invalid::Refused(refusal)) => Err(refusal.into()),
            Err(Invalid::Malformed(cause)) => {
                ticket.refused(Refusal::new(StatusCode::BAD_REQUEST, cause));
                return Outcome::Reset(Reason::PROTOCOL_ERROR);
            }
        },
    };
    match answered {
        Ok(Served::Own(mut response)) => {
            ticket.answered(response.status());
            ticket.complete();
            finish_head(client, &at, version, response.headers_mut(), &Extras::default());
            Outcome::Response(response.map(|body| body.holding(ticket)))
        }
        Ok(Served::Relayed(reached, asked, timeout, extras)) => {
            if reached.response.status() == StatusCode::UNAUTHORIZED
                && matches!(ticket.by, "basic" | "bearer")
            {
                // From the last octet of the request: the client's own time is no backend's.
                let begun = ticket.seen.as_ref().map_or_else(Instant::now, |seen| seen.last_octet());
                client.shared.web_refusals.real(&reached.target.name, begun).await;
            }
            relay(ticket, &at, version, reached, &asked, timeout, &extras)
        }
        Ok(Served::Switched(reached, upgrade, extras)) => {
            tunnel::switch(ticket, &at, reached, &upgrade, |headers| {
                finish_head(client, &at, version, headers, &extras);
            })
        }
        Ok(Served::Reset(reason)) => Outcome::Reset(reason),
        Err(Unreached::Refused(refusal)) => {
            ticket.refused(refusal);
            // Only HTTP/2 has such trailers, and a stream that breaks the protocol has no answer.
            if ticket.seen.as_ref().and_then(|seen| seen.fault()) == Some(BodyFault::Trailers) {
                return Outcome::Reset(Reason::PROTOCOL_ERROR);
            }
            let mut response = refusal.response(form, &ticket.id.to_string(), client.name());
            finish_head(client, &at, version, response.headers_mut(), &Extras::default());
            if version != Version::HTTP_2 && ends_connection(refusal, &ticket) {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Outcome::Response(response.map(|body| body.holding(ticket)))
        }
        Err(Unreached::Ended(ended)) => {
            ticket.end(ended);
            Outcome::Cut
        }
    }
}

/// What a request came to.
enum Served {
    Own(Response<ResponseBody>),
    /// With whom the client has asked for.
    Relayed(Reached, HeaderValue, std::time::Duration, Extras),
    Switched(Reached, HeaderValue, Extras),
    Reset(Reason),
}

async fn serve(
    ticket: &mut Ticket,
    at: &Listening,
    valid: Valid,
    mut parts: Parts,
    source: Source,
    inform: &impl Inform,
) -> Result<Served, Unreached> {
    let client = ticket.client.clone();
    let snapshot = &at.setting.snapshot;
    let https = &snapshot.https;
    let policy = https.policy(&valid.path);
    let limit = policy.and_then(|policy| policy.body_limit).or(https.body_limit);
    let timeout = policy.and_then(|policy| policy.response_timeout).unwrap_or(https.response_timeout);
    let too_long = declared_length(&parts.headers).zip(limit).is_some_and(|(length, limit)| length > limit);
    if too_long {
        return Err(body_refusal(BodyFault::TooLong).into());
    }
    let connects = parts.extensions.get::<h2::ext::Protocol>();
    if connects.is_some_and(|protocol| !tunnel::may_switch_to(protocol.as_str().as_bytes(), policy)) {
        // Before anybody is looked up for it.
        return Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, "protocol").into());
    }
    let connects = connects.is_some();
    let patience = Patience::of(&snapshot.limits, policy);
    ticket.patience = patience;
    let sends_trailers = policy.is_some_and(|policy| policy.request_trailers);
    let is_empty_post = parts.version == Version::HTTP_2
        && matches!(parts.method, Method::POST | Method::PUT | Method::PATCH)
        && source.has_ended();
    if is_empty_post && !parts.headers.contains_key(CONTENT_LENGTH) {
        // HTTP/1.1 says so by a length, where the method expects a body (RFC 9110 section 8.6).
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    let mut body = RequestBody::new(source, limit, Pace::new(patience), &at.setting);
    ticket.seen = Some(body.seen().clone());
    // What asks for a tunnel would take a page for one.
    if !connects
        && let Some(page) = pages::page(&client, at, &valid, &parts, &mut body).await.map_err(body_refusal)?
    {
        return Ok(Served::Own(page));
    }
    if forward::is_connection_login(&parts.headers) {
        if parts.version == Version::HTTP_2 {
            // A login of a connection has no place where many share one.
            return Ok(Served::Reset(Reason::HTTP_1_1_REQUIRED));
        }
        client.logs_in_on_connections.store(true, Ordering::Relaxed);
    }
    let is_cross_site = is_cross_site(&parts.method, &parts.headers, &valid.asked);
    let own = take_own_cookies(&mut parts.headers);
    let whose = identify::identify(&client, at, &valid, &parts, &mut body, own.user.as_deref());
    let whose = whose.await?;
    let mut extras = Extras::default();
    let aim = aim(ticket, at, whose, &own, &mut extras).await?;
    let upgrade = tunnel::upgrade(&mut parts, body.is_empty(), policy);
    let expects = parts.headers.contains_key(EXPECT) && !body.is_empty();
    let may_not_set = |name: &str| sets_identity(https, &client, name);
    let (version, id) = (parts.version, ticket.id);
    fields::to_backend(&mut parts.headers, &client, https, version, &valid.asked, id, may_not_set);
    if expects {
        parts.headers.insert(EXPECT, HeaderValue::from_static("100-continue"));
    }
    if let Some(protocol) = &upgrade {
        tunnel::ask(&mut parts.headers, protocol);
    }
    parts.extensions.clear();
    let request = Some(Request::from_parts(parts, body));
    let host = valid.asked.host.clone();
    let upgrades = upgrade.is_some();
    let mut going = Going { request, host: host.clone(), upgrades, expects, sends_trailers, timeout };
    let reached = forward::forward(ticket, at, &aim, &mut going, inform).await?;
    if let (Aim::Array { name, member }, Some(Held::Member(lease))) = (&aim, &ticket.held)
        && lease_is_bound(&client, name)
        && member.as_deref() != Some(&lease.backend().id.name)
        && let Some(sealed) = client.shared.cookies.seal(&format!("member:{name}"), &lease.backend().id.name)
    {
        extras.cookies.push(cookies::set(cookies::MEMBER, &sealed, https.cookie_age));
    }
    if is_cross_site {
        // Nobody's browser is bound by a page of somebody else's.
        extras.cookies.clear();
    }
    match (reached.response.status(), upgrade) {
        (StatusCode::SWITCHING_PROTOCOLS, Some(protocol))
            if tunnel::has_switched_to(&protocol, reached.response.headers()) =>
        {
            Ok(Served::Switched(reached, protocol, extras))
        }
        (StatusCode::SWITCHING_PROTOCOLS, _) => {
            Err(Refusal::new(StatusCode::BAD_GATEWAY, "unasked-switch").into())
        }
        // The client would take any success for an open tunnel (RFC 8441 section 5).
        (status, _) if connects && status.is_success() => {
            Err(Refusal::new(StatusCode::BAD_GATEWAY, "no-switch").into())
        }
        (status, _) => {
            // A login that failed binds nobody.
            if !(status.is_success() || status.is_redirection()) {
                extras.cookies.retain(|cookie| !cookie.starts_with(cookies::USER));
            }
            Ok(Served::Relayed(reached, host, timeout, extras))
        }
    }
}

/// usher's own cookies of a request.
struct OwnCookies {
    user: Option<String>,
    member: Option<String>,
}

/// Takes usher's own cookies out of the request: they are nobody else's.
fn take_own_cookies(headers: &mut HeaderMap) -> OwnCookies {
    let mut own = OwnCookies { user: None, member: None };
    let fields: Vec<HeaderValue> = headers.get_all(COOKIE).iter().cloned().collect();
    let mut pairs = fields.iter().flat_map(|field| field.as_bytes().split(|b| *b == b';'));
    if !pairs.any(cookies::is_own) {
        return own;
    }
    headers.remove(COOKIE);
    for field in fields {
        let (user, member, rest) = cookies::split(field.as_bytes());
        own.user = own.user.or(user);
        own.member = own.member.or(member);
        if !rest.is_empty()
            && let Ok(rest) = HeaderValue::from_bytes(&rest)
        {
            headers.append(COOKIE, rest);
        }
    }
    own
}

/// Where the request goes, and under whose name it stands among the sessions.
async fn aim(
    ticket: &mut Ticket,
    at: &Listening,
    whose: Whose,
    own: &OwnCookies,
    extras: &mut Extras,
) -> Result<Aim, Refusal> {
    let client = ticket.client.clone();
    let https = &at.setting.snapshot.https;
    match whose {
        Whose::Placed { key, placement, by, renews } => {
            ticket.by = by;
            ticket.enter(at, key.to_string());
            if renews {
                let sealed = client.shared.cookies.seal("user", &key.to_string());
                extras
                    .cookies
                    .extend(sealed.map(|sealed| cookies::set(cookies::USER, &sealed, https.cookie_age)));
            }
            Ok(Aim::Home { host: placement.host, key })
        }
        Whose::Undecided { key } => {
            ticket.enter(at, key.to_string());
            Err(Refusal::unavailable("directory"))
        }
        Whose::Unknown { key, by } => {
            ticket.by = by;
            ticket.is_unknown = true;
            ticket.enter(at, key.map(|key| key.to_string()).unwrap_or_default());
            let name = ticket.session.as_ref().map(|session| &*session.about.user).unwrap_or_default();
            client.shared.web_refusals.made_up(name.as_bytes(), Instant::now()).await;
            Err(identify::challenge(at, StatusCode::FORBIDDEN, "unknown-user"))
        }
        Whose::Nobodys => {
            ticket.enter(at, String::new());
            let Some(name) = https.array.clone() else {
                return Err(identify::challenge(at, StatusCode::NOT_FOUND, "names-nobody"));
            };
            let sealed = own.member.as_deref().filter(|_| lease_is_bound(&client, &name));
            let opened = sealed.and_then(|sealed| {
                client.shared.cookies.open_sealed(&format!("member:{name}"), sealed, https.cookie_age)
            });
            Ok(Aim::Array { name, member: opened.map(|(member, _)| member) })
        }
    }
}

/// Whether clients of this array are kept at their member by a cookie.
fn lease_is_bound(client: &Client, array: &str) -> bool {
    let roster = client.shared.fleet.roster();
    roster.array(array).is_some_and(|array| array.config.affinity == Affinity::Cookie)
}

/// Whether a field of this name says who somebody is, and this client may not set it.
fn sets_identity(https: &Https, client: &Client, name: &str) -> bool {
    https.identities.iter().any(|identity| match identity {
        Identity::Header { name: known, senders, .. } => {
            known == name && !fields::is_in(client.ends.0.ip(), senders)
        }
        _ => false,
    })
}

/// Passes a response on.
fn relay(
    mut ticket: Ticket,
    at: &Listening,
    version: Version,
    reached: Reached,
    asked: &HeaderValue,
    timeout: std::time::Duration,
    extras: &Extras,
) -> Outcome {
    let client = ticket.client.clone();
    let Reached { response, link, target, reusable } = reached;
    let link = Some(link).filter(|_| reusable);
    let (mut head, incoming) = response.into_parts();
    ticket.answered(head.status);
    let backend_version = head.version;
    fields::from_backend(&mut head.headers);
    if !target.endpoint.tls && target.endpoint.rewrite {
        rewrite::from_backend(&mut head.headers, asked, &target.endpoint.address);
    }
    fields::add_via(&mut head.headers, backend_version, &client.told);
    finish_head(&client, at, version, &mut head.headers, extras);
    let unread = ticket.seen.as_ref().is_some_and(|seen| !seen.has_ended());
    if version != Version::HTTP_2 && unread {
        // What the client still sends of its body is nobody's.
        head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    head.version = Version::HTTP_11;
    head.extensions.clear();
    Outcome::Response(Response::from_parts(head, Relayed::body(incoming, link, target, ticket, timeout)))
}

/// What every response gets.
fn finish_head(client: &Client, at: &Listening, version: Version, headers: &mut HeaderMap, extras: &Extras) {
    if let Some(hsts) = at.listener().hsts
        && let Ok(value) = HeaderValue::from_str(&format!("max-age={}", hsts.as_secs()))
    {
        headers.insert(STRICT_TRANSPORT_SECURITY, value);
    }
    for cookie in &extras.cookies {
        if let Ok(cookie) = HeaderValue::from_str(cookie) {
            headers.append(SET_COOKIE, cookie);
        }
    }
    if version == Version::HTTP_2 && !headers.contains_key(DATE) {
        // The codec of HTTP/1 says it by itself (RFC 9110 section 6.6.1).
        headers.insert(DATE, date::now());
    }
    // With little memory left nobody keeps a connection for later.
    if version != Version::HTTP_2 && client.shared.pressure.level() > 0 {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

/// Whether nothing more can be read behind a request that was refused.
fn ends_connection(refusal: Refusal, ticket: &Ticket) -> bool {
    let unread = ticket.seen.as_ref().is_none_or(|seen| !seen.has_ended());
    unread || matches!(refusal.status.as_u16(), 400 | 408 | 413)
}

/// What a client is told of its body.
pub(super) fn body_refusal(fault: BodyFault) -> Refusal {
    let status = match fault {
        BodyFault::Broken | BodyFault::Trailers => StatusCode::BAD_REQUEST,
        BodyFault::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
        BodyFault::TooSlow => StatusCode::REQUEST_TIMEOUT,
    };
    Refusal::new(status, fault.name())
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
