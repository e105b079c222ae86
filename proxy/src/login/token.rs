//! Whom a token names that comes without a name: its host decides whether that is true. And what clients are told of where
//! to get a better one.

use crate::json;
use crate::tls;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::CertificateDer;
use serde_json::{Map, Value};
use usher_config::Snapshot;
use usher_config::snapshot::OAuth;
use usher_policy::ArchiveKey;
use usher_policy::identity::{Arrival, Says};
use usher_wire::imap::sasl::{Credential, Proof};

/// The field of a refusal that says where the issuer of tokens describes itself (RFC 7628 section 3.2.2).
const CONFIGURATION: &str = "openid-configuration";

/// Gives a token that comes without a name the one in the claim that its issuer's domain names, and the login of a client that
/// shows a `certificate` the name in that. The host gets the name too, and checks it against the token.
pub(crate) fn complete(
    credential: &mut Credential,
    snapshot: &Snapshot,
    certificate: Option<&CertificateDer<'_>>,
) {
    let named = match credential.proof {
        Proof::Certificate => {
            let named = certificate.and_then(tls::named_in).and_then(|name| whole(&name, snapshot));
            if named.is_none() {
                credential.authorize_as.clear();
            }
            named
        }
        Proof::XOAuth2 | Proof::OAuthBearer if credential.user.is_empty() => {
            named_in(credential.password.reveal(), snapshot)
        }
        _ => return,
    };
    credential.user = named.unwrap_or_default().into_bytes();
}

/// The user whom a certificate names, as the key of an archive: with its domain, and neither a master user nor anything else
/// that depends on where somebody connects.
fn whole(name: &str, snapshot: &Snapshot) -> Option<String> {
    let named = snapshot.domains.named(name.as_bytes(), Arrival::default())?;
    let is_whole = named.says == Says::Own && name.contains('@') && matches!(named.key, ArchiveKey::User(_));
    is_whole.then(|| named.key.name().to_owned())
}

/// The user whom a token (RFC 7519) names, if it is of one of the issuers, and the user of that issuer's domain.
fn named_in(token: &[u8], snapshot: &Snapshot) -> Option<String> {
    let payload = std::str::from_utf8(token).ok()?.split('.').nth(1)?.trim_end_matches('=');
    let payload = zeroize::Zeroizing::new(URL_SAFE_NO_PAD.decode(payload).ok()?);
    // Of two equal names, another reader could take the other one.
    let text = |name: &str| json::text_of(&payload, name).ok().flatten();
    let made_by = text("iss")?;
    let is_made_by = |known: &&OAuth| known.issuer.trim_end_matches('/') == made_by.trim_end_matches('/');
    let mut named = snapshot.oauth.iter().filter(is_made_by).filter_map(|known| {
        let claimed = text(&known.claim)?;
        let whole = if claimed.contains('@') { claimed } else { format!("{claimed}@{}", known.domain) };
        let named = snapshot.domains.named(whole.as_bytes(), Arrival::default())?;
        let is_theirs =
            named.says == Says::Own && named.key.domain() == snapshot.domains.domain(known.domain.as_bytes());
        is_theirs.then(|| named.key.name().to_owned())
    });
    let first = named.next()?;
    // Two domains of one issuer may name the same user, but not two.
    named.all(|other| other == first).then_some(first)
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
