//! What a token says without being asked: for routing only, its host decides whether it is true. And what clients are told
//! of where to get a better one.

use crate::json;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use std::borrow::Cow;
use usher_config::snapshot::OAuth;
use usher_policy::ArchiveKey;
use usher_wire::imap::sasl::{Credential, Proof};

/// The field of a refusal that says where the issuer of tokens describes itself (RFC 7628 section 3.2.2).
const CONFIGURATION: &str = "openid-configuration";

/// The name that decides the route: the one that the client has given or, with a token alone, the one in the claim that
/// the domain of its issuer names.
pub(super) fn acting_user<'c>(credential: &'c Credential, issuers: &[OAuth]) -> Cow<'c, [u8]> {
    let given = credential.acting_user();
    if !given.is_empty() || credential.proof == Proof::Password {
        return Cow::Borrowed(given);
    }
    let named = named_in(credential.password.reveal(), issuers);
    named.map_or(Cow::Borrowed(given), |name| Cow::Owned(name.into_bytes()))
}

/// The user whom a token names (RFC 7519), if one of the issuers has made it.
fn named_in(token: &[u8], issuers: &[OAuth]) -> Option<String> {
    let payload = std::str::from_utf8(token).ok()?.split('.').nth(1)?.trim_end_matches('=');
    let payload = zeroize::Zeroizing::new(URL_SAFE_NO_PAD.decode(payload).ok()?);
    // Of two equal names, another reader could take the other one.
    let text = |name: &str| json::text_of(&payload, name).ok().flatten();
    let made_by = text("iss")?;
    let issuer =
        issuers.iter().find(|known| known.issuer.trim_end_matches('/') == made_by.trim_end_matches('/'))?;
    text(&issuer.claim)
}

/// `why` a token is refused, with the place where the issuer for the domain of `key` describes itself, if that is known and
/// not said already.
pub(super) fn with_issuer(why: Vec<u8>, key: Option<&ArchiveKey>, issuers: &[OAuth]) -> Vec<u8> {
    let domain = match key.and_then(ArchiveKey::domain) {
        Some(ArchiveKey::Domain(domain)) => domain,
        _ => return why,
    };
    let Some(issuer) = issuers.iter().find(|known| known.domain == domain) else { return why };
    let Ok(mut fields) = serde_json::from_slice::<Map<String, Value>>(&why) else { return why };
    if fields.contains_key(CONFIGURATION) {
        return why;
    }
    let place = format!("{}/.well-known/openid-configuration", issuer.issuer.trim_end_matches('/'));
    fields.insert(CONFIGURATION.to_owned(), place.into());
    Value::Object(fields).to_string().into_bytes()
}
