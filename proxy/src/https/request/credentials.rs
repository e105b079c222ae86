//! Whether a request is a login, whatever has named its user: it has a password or a token, or is a login form. What fails
//! is counted for whom it names.

use super::form;
use super::validate::Validated;
use crate::active::ListenerContext;
use crate::https::client::Client;
use crate::https::message::body::RequestBody;
use crate::https::message::credential::{CredentialLogin, Given};
use crate::https::message::http_login::HttpLogin;
use crate::https::message::refusal::Refusal;
use crate::https::message::scheme;
use crate::json;
use base64::Engine;
use base64::alphabet::STANDARD as STANDARD_ALPHABET;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use http::Method;
use http::header::{AUTHORIZATION, COOKIE, HeaderValue};
use http::uri::PathAndQuery;
use std::borrow::Cow;
use usher_config::https::Identity;
use usher_policy::identity::{Arrival, Naming};

/// As base64 is read by those who do not mind how it ends.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD_ALPHABET,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The login that a request is; `None`: it is none.
///
/// # Errors
/// If its body breaks off, or names two users.
pub(super) async fn login(
    client: &Client,
    at: &ListenerContext,
    valid: &Validated,
    body: &mut RequestBody,
) -> Result<Option<HttpLogin>, Refusal> {
    let identities = &at.active.snapshot.https.identities;
    for (place, identity) in identities.iter().enumerate() {
        let Identity::Form { path, field, names, .. } = identity else { continue };
        if valid.parts.method != Method::POST || !valid.path.eq_ignore_ascii_case(path) {
            continue;
        }
        let typed = form::read(&valid.parts, body, field).await?.filter(|_| *names == Naming::User);
        let mut users = typed.map_or_else(Vec::new, |typed| names_of(client, at, valid, typed.as_bytes()));
        let other = valid.parts.headers.get(AUTHORIZATION);
        let is_twofold = other.is_some();
        let other = other.and_then(|value| read(client, at, valid, value.as_bytes()));
        users.extend(other.iter().flat_map(|other| other.users.iter().cloned()));
        users.sort_unstable();
        users.dedup();
        let users = users.into();
        return Ok(Some(HttpLogin { users, form: Some(place), is_twofold, is_token: false, digest: None }));
    }
    let Some(value) = valid.parts.headers.get(AUTHORIZATION) else { return Ok(None) };
    // Of the whole: the same name with another password is another login.
    let digest = client.server.web.credentials.digest(value.as_bytes());
    let given = Given { digest, by: &at.active, asked: &valid.asked };
    let read = client.credential.login(given, || read(client, at, valid, value.as_bytes()));
    Ok(read.map(|CredentialLogin { users, is_token }| HttpLogin {
        users,
        form: None,
        is_twofold: false,
        is_token,
        digest: Some(digest),
    }))
}

/// The login that a value of `Authorization` is.
fn read(client: &Client, at: &ListenerContext, valid: &Validated, value: &[u8]) -> Option<CredentialLogin> {
    let (scheme, given) = scheme::split(value);
    let is_token = scheme.eq_ignore_ascii_case(b"bearer");
    let typed = if scheme.eq_ignore_ascii_case(b"basic") {
        let decoded = LENIENT.decode(given).map(zeroize::Zeroizing::new).unwrap_or_default();
        Some(as_utf8(decoded.split(|b| *b == b':').next().unwrap_or_default()).into_owned())
    } else if is_token {
        claimed(&at.active.snapshot.https.identities, given)
    } else {
        return None;
    };
    let users = typed.map_or_else(Vec::new, |typed| names_of(client, at, valid, &typed));
    // Nobody guesses tokens, and one that names nobody is nobody's.
    let is_nobodys = is_token && users.is_empty();
    (!is_nobodys).then(|| CredentialLogin { users: users.into(), is_token })
}

/// What stands for what is asked for. The same path may be open to everybody at one host, by one method or query, or to those
/// who have a cookie of its own, and not to others. ActiveSync needs a password for everything, and each of its queries
/// names the user and the device.
pub(super) fn target(client: &Client, valid: &Validated) -> u64 {
    let parts = &valid.parts;
    let is_active_sync = valid.path.eq_ignore_ascii_case("/Microsoft-Server-ActiveSync");
    let asked = parts.uri.path_and_query().filter(|_| !is_active_sync).map_or("", PathAndQuery::as_str);
    let cookies = parts.headers.get_all(COOKIE).iter().filter(|_| !is_active_sync).map(HeaderValue::as_bytes);
    let named = [parts.method.as_str(), &valid.asked.name, asked].map(str::as_bytes);
    client.server.guessing.guard(named.into_iter().chain(cookies))
}

/// Whom a token names, if tokens name users here.
fn claimed(identities: &[Identity], token: &[u8]) -> Option<Vec<u8>> {
    let claim = identities.iter().find_map(|identity| match identity {
        Identity::Bearer { claim, names: Naming::User } => Some(claim),
        _ => None,
    })?;
    let token = std::str::from_utf8(token).ok()?;
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?.trim_end_matches('=')).ok()?;
    json::text_of(&payload, claim).ok()?.map(String::into_bytes)
}

/// Everybody whom a typed name shows, as failures are counted.
fn names_of(client: &Client, at: &ListenerContext, valid: &Validated, typed: &[u8]) -> Vec<String> {
    if typed.is_empty() {
        return Vec::new();
    }
    let arrival = Arrival { local: Some(client.ends.local.ip()), server_name: Some(&valid.asked.name) };
    at.active.snapshot.domains.counted(typed, arrival)
}

/// A name in UTF-8, or converted from Latin-1 if it is not UTF-8: older clients use nothing else (RFC 7617 section
/// 2.1).
pub(super) fn as_utf8(name: &[u8]) -> Cow<'_, [u8]> {
    match std::str::from_utf8(name) {
        Ok(_) => Cow::Borrowed(name),
        Err(_) => Cow::Owned(name.iter().map(|b| char::from(*b)).collect::<String>().into_bytes()),
    }
}
