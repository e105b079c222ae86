//! Whom a request names. Each place is tried in the operator's order. A name is only a claim here, used for routing;
//! the backend decides whether it is true.

use super::validate::Validated;
use crate::access::Visit;
use crate::active::ListenerContext;
use crate::https::client::Client;
use crate::https::message::body::RequestBody;
use crate::https::message::credential::{CredentialDigest, Given};
use crate::https::message::fields::is_in;
use crate::https::message::named_by::{Named, NamedBy};
use crate::https::message::refusal::{NO_TOKEN, Refusal};
use crate::https::message::scheme;
use crate::https::request::credentials::as_utf8;
use crate::https::request::form;
use crate::https::request::pairs::{AMBIGUOUS, is_ambiguous, one_of};
use crate::json;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{Method, StatusCode};
use tokio::time::Instant;
use usher_backends::sources::Visitor;
use usher_config::https::Identity;
use usher_config::snapshot::Protocol;
use usher_policy::ArchiveKey;
use usher_policy::access::Name;
use usher_policy::identity::Arrival;
use usher_policy::identity::{Domains, Naming, Says};
use usher_policy::route::Decision;
use usher_wire::http::path;

/// Whose request it is, according to itself.
#[derive(Debug)]
pub(crate) enum Claimant {
    /// Somebody with this key, whom the directory knows.
    Known {
        key: ArchiveKey,
        /// Where they may go.
        decision: Decision,
        /// Where the name was found.
        by: NamedBy,
        /// Everybody whom the request names.
        names: Vec<Name>,
        /// The client is to get a cookie with this key, or a new one.
        renews: bool,
    },
    /// It names nobody.
    Nobodys,
    /// It names somebody whom the directory does not know, with a password or as somebody proven.
    Unknown { key: Option<ArchiveKey>, by: NamedBy },
}

/// Finds out whose request it is. `credential` stands for what it is a login with; `cookie` is the value of usher's own cookie.
///
/// # Errors
/// If there are two different names in one place, or the body breaks off while a form is being read.
pub(crate) async fn identify(
    client: &Client,
    arrived: Instant,
    at: &ListenerContext,
    valid: &Validated,
    body: &mut RequestBody,
    credential: Option<CredentialDigest>,
    cookie: Option<&str>,
) -> Result<Claimant, Refusal> {
    let snapshot = &at.active.snapshot;
    let mut unknown = None;
    for identity in &snapshot.https.identities {
        let named = match identity {
            // Comes last, whatever its position: what the request itself says takes precedence.
            Identity::Cookie => None,
            Identity::Form { path, field, names, .. } => {
                let is_login = valid.parts.method == Method::POST && valid.path.eq_ignore_ascii_case(path);
                let typed = if is_login { form::read(&valid.parts, body, field).await? } else { None };
                typed.map(|typed| named(client, at, valid, *names, typed.as_bytes(), NamedBy::Form, false))
            }
            other => explicit(client, at, valid, credential, other)?,
        };
        let Some(named) = named else { continue };
        // A form was waited for: what was changed meanwhile is heard of.
        let asked = if named.by == NamedBy::Form { Instant::now() } else { arrived };
        match place(client, named, asked).await {
            Some(nobody @ Claimant::Unknown { .. }) => unknown = unknown.or(Some(nobody)),
            Some(whose) => return Ok(whose),
            None => {}
        }
    }
    if let Some(nobody) = unknown {
        return Ok(nobody);
    }
    let age = snapshot.https.cookie_age;
    if let Some(sealed) = cookie.filter(|_| snapshot.https.identities.contains(&Identity::Cookie))
        && let Some((said, passed)) = client.server.web.cookies.open_sealed("user", sealed, age)
        && let Some(named) = Named::of_cookie(&said, &snapshot.domains)
        && let Some(whose) = place(client, named, Instant::now()).await
    {
        return Ok(match whose {
            // Renewing it means that regular users never have to log in again.
            Claimant::Known { key, decision, by, names, .. } => {
                Claimant::Known { key, decision, by, names, renews: passed > age / 2 }
            }
            other => other,
        });
    }
    Ok(Claimant::Nobodys)
}

/// A name of this kind.
fn named(
    client: &Client,
    at: &ListenerContext,
    valid: &Validated,
    names: Naming,
    typed: &[u8],
    by: NamedBy,
    is_certain: bool,
) -> Named {
    let arrival = Arrival { local: Some(client.ends.local.ip()), server_name: Some(&valid.asked.name) };
    let snapshot = &at.active.snapshot;
    let domains = &snapshot.domains;
    let (key, is_own) = match names {
        Naming::User => match domains.named(typed, arrival) {
            Some(named) => (Some(named.key), named.says == Says::Own),
            None => (None, true),
        },
        Naming::Tenant | Naming::Domain => (names.key(typed, domains, arrival), true),
    };
    let names = if is_own { Vec::new() } else { domains.shown(typed, arrival) };
    Named { key, names, by, is_certain }
}

impl Named {
    /// What usher's own cookie says, which [`in_cookie`] has written.
    fn of_cookie(said: &str, domains: &Domains) -> Option<Self> {
        let (key, names) = said.split_once('\n').unwrap_or((said, ""));
        let names = if names.is_empty() { Vec::new() } else { serde_json::from_str(names).ok()? };
        Some(Self { key: Some(domains.written(key)?), names, by: NamedBy::Cookie, is_certain: false })
    }
}

/// What a cookie says of a user, and of everybody whom the name has shown if that is not just the user.
pub(super) fn in_cookie(key: &ArchiveKey, names: &[Name]) -> String {
    match names.is_empty() {
        true => key.to_string(),
        false => format!("{key}\n{}", serde_json::to_string(names).unwrap_or_default()),
    }
}

/// The name in one place of the request.
fn explicit(
    client: &Client,
    at: &ListenerContext,
    valid: &Validated,
    credential: Option<CredentialDigest>,
    identity: &Identity,
) -> Result<Option<Named>, Refusal> {
    let parts = &valid.parts;
    let called = |names, typed: &[u8], by, is_certain| named(client, at, valid, names, typed, by, is_certain);
    let named = |names, typed: &[u8], by, is_certain| Some(called(names, typed, by, is_certain));
    let mut doubled = false;
    let mut found = || match identity {
        Identity::Basic => {
            let given = credentials(parts, "basic")?;
            let read = || {
                // Even if it cannot be decoded, it could be somebody's password: it is refused, and passed on to nobody.
                let Ok(decoded) = STANDARD.decode(given).map(zeroize::Zeroizing::new) else {
                    return Named { key: None, names: Vec::new(), by: NamedBy::Basic, is_certain: true };
                };
                let user = decoded.split(|b| *b == b':').next().unwrap_or_default();
                called(Naming::User, &as_utf8(user), NamedBy::Basic, true)
            };
            Some(match credential {
                Some(digest) => {
                    client.credential.named(Given { digest, by: &at.active, asked: &valid.asked }, read)
                }
                None => read(),
            })
        }
        Identity::Bearer { claim, names } => {
            let token = std::str::from_utf8(credentials(parts, "bearer")?).ok()?;
            let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?.trim_end_matches('=')).ok()?;
            let Ok(claimed) = json::text_of(&payload, claim) else {
                doubled = true;
                return None;
            };
            named(*names, claimed?.as_bytes(), NamedBy::Bearer, true)
        }
        Identity::Path { template } => {
            let (names, segment) = template.find(&valid.path)?;
            named(names, &path::name(segment), NamedBy::Path, false)
        }
        Identity::Query { parameter, names } => {
            named(*names, one_of(parts.uri.query()?.as_bytes(), parameter)?.as_bytes(), NamedBy::Query, false)
        }
        Identity::Host { host } => {
            let arrival =
                Arrival { local: Some(client.ends.local.ip()), server_name: Some(&valid.asked.name) };
            let key = host.find(&valid.asked.name, &at.active.snapshot.domains, arrival)?;
            Some(Named { key: Some(key), names: Vec::new(), by: NamedBy::Host, is_certain: false })
        }
        Identity::Header { name, senders, names } => {
            let value = parts.headers.get(name).filter(|_| is_in(client.ends.client.ip(), senders))?;
            named(*names, value.as_bytes(), NamedBy::Header, true)
        }
        Identity::ClientCertificate => {
            named(Naming::User, client.certificate.as_ref()?.as_bytes(), NamedBy::ClientCertificate, true)
        }
        Identity::Cookie | Identity::Form { .. } => None,
    };
    let ambiguous = match identity {
        Identity::Header { name, .. } => parts.headers.get_all(name).iter().nth(1).is_some(),
        Identity::Query { parameter, .. } => {
            parts.uri.query().is_some_and(|query| is_ambiguous(query.as_bytes(), parameter))
        }
        _ => false,
    };
    let found = if ambiguous { None } else { found() };
    if ambiguous || doubled { Err(AMBIGUOUS) } else { Ok(found) }
}

/// The credentials of this scheme (RFC 9110 section 11.4).
fn credentials<'p>(parts: &'p Parts, scheme: &str) -> Option<&'p [u8]> {
    let (given, rest) = scheme::split(parts.headers.get(AUTHORIZATION)?.as_bytes());
    given.eq_ignore_ascii_case(scheme.as_bytes()).then_some(rest)
}

/// Where somebody of this name may go. `None`: it was not a name after all.
async fn place(client: &Client, named: Named, asked: Instant) -> Option<Claimant> {
    let Some(key) = named.key else {
        return named.is_certain.then_some(Claimant::Unknown { key: None, by: named.by });
    };
    let Named { names, by, is_certain, .. } = named;
    let visit = || Visit {
        protocol: Protocol::Https,
        client: client.ends.client,
        mechanism: Some(by.name()),
        names: if names.is_empty() { vec![Name::written(&key.to_string())] } else { names.clone() },
        has_certificate: client.certificate.is_some(),
    };
    let visitor = || Visitor {
        login: key.to_string().into_bytes(),
        password: None,
        mechanism: "plain".to_owned(),
        protocol: "http",
        client: client.ends.client,
        attempt: 1,
        tls: None,
    };
    match client.server.router.decide(&key, asked, visit, visitor).await {
        // As if nobody had this name; whoever has the cookie of it knows better.
        Decision::Concealed(_) if by != NamedBy::Cookie => {
            is_certain.then_some(Claimant::Unknown { key: Some(key), by })
        }
        Decision::Nobody => is_certain.then_some(Claimant::Unknown { key: Some(key), by }),
        decision @ (Decision::Permitted(_)
        | Decision::Outage(_)
        | Decision::Denied
        | Decision::Concealed(_)) => {
            // A form is posted only once; later requests need the cookie.
            let renews = by == NamedBy::Form;
            Some(Claimant::Known { key, decision, by, names, renews })
        }
    }
}

/// What to answer an unknown user, or a request that names nobody if there is no array: a request for credentials if
/// that would help, or else `otherwise`.
pub(crate) fn challenge(at: &ListenerContext, otherwise: StatusCode, cause: &'static str) -> Refusal {
    let identities = &at.active.snapshot.https.identities;
    if identities.contains(&Identity::Basic) {
        Refusal::new(StatusCode::UNAUTHORIZED, cause)
    } else if identities.iter().any(|identity| matches!(identity, Identity::Bearer { .. })) {
        Refusal::new(StatusCode::UNAUTHORIZED, NO_TOKEN)
    } else {
        Refusal::new(otherwise, cause)
    }
}
