//! Whom a request names: tried in the operator's order, one name after the other. A name here is a claim, for
//! routing only; the backend says whether it is true.

use super::body::{BodyFault, RequestBody};
use super::client::Client;
use super::fields::is_in;
use super::form;
use super::validate::Valid;
use crate::shared::Listening;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{Method, StatusCode};
use usher_backends::directory::{Found, Placement};
use usher_config::ArchiveKey;
use usher_config::domains::Arrival;
use usher_config::https::{Identity, Naming};
use usher_wire::http::path;

/// Whose request it is.
#[derive(Debug)]
pub(super) enum Whose {
    /// Of whoever has this key, whose archive is there.
    Placed {
        key: ArchiveKey,
        placement: Placement,
        /// Where the name was.
        by: &'static str,
    },
    /// It names nobody.
    Nobodys,
    /// It names somebody whom the directory does not know, with a password or as somebody proven.
    Unknown { key: Option<ArchiveKey> },
    /// The directory cannot say.
    Undecided { key: ArchiveKey },
}

/// A name that was found.
struct Named {
    key: Option<ArchiveKey>,
    by: &'static str,
    /// It cannot be anything else than a name.
    is_certain: bool,
}

/// Finds out whose request it is. `cookie` is the value of usher's own.
///
/// # Errors
/// When the body breaks off while a form is read.
pub(super) async fn identify(
    client: &Client,
    at: &Listening,
    valid: &Valid,
    parts: &Parts,
    body: &mut RequestBody,
    cookie: Option<&str>,
) -> Result<Whose, BodyFault> {
    let snapshot = &at.setting.snapshot;
    for identity in &snapshot.https.identities {
        let named = match identity {
            // Last, whatever its place: what the request says by itself goes before.
            Identity::Cookie => None,
            Identity::Form { path, field, names } => {
                let is_login = parts.method == Method::POST && valid.path.eq_ignore_ascii_case(path);
                let typed = if is_login { form::read(parts, body, field).await? } else { None };
                typed.map(|typed| named(client, at, valid, *names, typed.as_bytes(), "form", false))
            }
            other => explicit(client, at, valid, parts, other),
        };
        if let Some(whose) = named.and_then(|named| place(client, named)) {
            return Ok(whose);
        }
    }
    if snapshot.https.identities.contains(&Identity::Cookie)
        && let Some(sealed) = cookie
        && let Some(key) = client.shared.cookies.open_sealed("user", sealed, snapshot.https.cookie_age)
        && let Some(key) = snapshot.domains.written(&key)
        && let Some(whose) = place(client, Named { key: Some(key), by: "cookie", is_certain: false })
    {
        return Ok(whose);
    }
    Ok(Whose::Nobodys)
}

/// A name of this kind.
fn named(
    client: &Client,
    at: &Listening,
    valid: &Valid,
    names: Naming,
    typed: &[u8],
    by: &'static str,
    is_certain: bool,
) -> Named {
    let arrival = Arrival { local: Some(client.ends.1.ip()), server_name: Some(&valid.host) };
    Named { key: names.key(typed, &at.setting.snapshot.domains, arrival), by, is_certain }
}

/// The name that one place of the request has.
fn explicit(
    client: &Client,
    at: &Listening,
    valid: &Valid,
    parts: &Parts,
    identity: &Identity,
) -> Option<Named> {
    let named =
        |names, typed: &[u8], by, is_certain| Some(named(client, at, valid, names, typed, by, is_certain));
    match identity {
        Identity::Basic => {
            let decoded = STANDARD.decode(credentials(parts, "basic")?).ok().map(zeroize::Zeroizing::new)?;
            let user = decoded.split(|b| *b == b':').next().unwrap_or_default();
            named(Naming::User, user, "basic", true)
        }
        Identity::Bearer { claim, names } => {
            let token = credentials(parts, "bearer")?;
            let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?.trim_end_matches('=')).ok()?;
            let claims: serde_json::Value = serde_json::from_slice(&payload).ok()?;
            named(*names, claims.get(claim)?.as_str()?.as_bytes(), "bearer", true)
        }
        Identity::Path { template } => {
            let (names, segment) = template.find(&valid.path)?;
            named(names, &path::name(segment), "path", false)
        }
        Identity::Query { parameter, names } => {
            let query = parts.uri.query()?;
            let (_, value) = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == parameter)?;
            named(*names, value.as_bytes(), "query", false)
        }
        Identity::Host { host } => {
            let arrival = Arrival { local: Some(client.ends.1.ip()), server_name: Some(&valid.host) };
            let key = host.find(&valid.host, &at.setting.snapshot.domains, arrival)?;
            Some(Named { key: Some(key), by: "host", is_certain: false })
        }
        Identity::Header { name, senders, names } => {
            let value = parts.headers.get(name).filter(|_| is_in(client.peer.0.ip(), senders))?;
            named(*names, value.as_bytes(), "header", true)
        }
        Identity::ClientCertificate => {
            named(Naming::User, client.certificate.as_ref()?.as_bytes(), "client-certificate", true)
        }
        Identity::Cookie | Identity::Form { .. } => None,
    }
}

/// The credentials of this scheme (RFC 9110 section 11.4).
fn credentials<'p>(parts: &'p Parts, scheme: &str) -> Option<&'p str> {
    let value = parts.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (given, rest) = value.split_once(' ')?;
    given.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}

/// Where the archive of a name is. `None`: it was no name after all.
fn place(client: &Client, named: Named) -> Option<Whose> {
    let Some(key) = named.key else {
        return named.is_certain.then_some(Whose::Unknown { key: None });
    };
    let begun = tokio::time::Instant::now();
    let found = client.shared.directory.find(&key);
    client.shared.meter.lookup(&found, begun.elapsed());
    match found {
        Ok(Found::Now(Some(placement)) | Found::Remembered(placement)) => {
            Some(Whose::Placed { key, placement, by: named.by })
        }
        Ok(Found::Now(None)) => named.is_certain.then_some(Whose::Unknown { key: Some(key) }),
        Err(error) => {
            tracing::error!(%error, "the directory cannot be read");
            Some(Whose::Undecided { key })
        }
    }
}

/// What somebody unknown, or nobody where there is no array, is told.
pub(super) fn unknown_status(at: &Listening) -> StatusCode {
    let asks = at.setting.snapshot.https.identities.contains(&Identity::Basic);
    if asks { StatusCode::UNAUTHORIZED } else { StatusCode::NOT_FOUND }
}
