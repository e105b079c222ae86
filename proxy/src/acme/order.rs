//! One order: the authority is shown that the name is usher's, and gives a certificate for a new key.

use super::error::{OrderError, Stage};
use crate::tls::{Acquired, Loaded, Proof, proof_of};
use instant_acme::{
    Account, AuthorizationHandle, AuthorizationStatus, CertificateIdentifier, ChallengeType, Identifier,
    NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use usher_backends::roster::now;
use usher_config::snapshot::AcmeKey;
use zeroize::Zeroizing;

/// How long the authority may take to look, and to give the certificate.
const PATIENCE: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(90));

/// How to show that a name is usher's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// An answer at port 80 (RFC 8555 section 8.3).
    Http,
    /// A certificate at port 443 (RFC 8737).
    TlsAlpn,
}

impl Way {
    fn challenge(self) -> ChallengeType {
        match self {
            Self::Http => ChallengeType::Http01,
            Self::TlsAlpn => ChallengeType::TlsAlpn01,
        }
    }

    /// Its name in RFCs.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Http => "http-01",
            Self::TlsAlpn => "tls-alpn-01",
        }
    }
}

/// A certificate with its key.
pub(super) struct Ordered {
    /// Key and chain, PEM.
    pub(super) pem: Zeroizing<Vec<u8>>,
    pub(super) loaded: Loaded,
}

/// Orders a certificate for `name` and a key of this `kind`, perhaps in place of another one. `path` is what it is called in
/// messages.
///
/// # Errors
/// [`OrderError`]
pub(super) async fn order(
    account: &Account,
    acquired: &Arc<Acquired>,
    name: &str,
    way: Way,
    replaces: Option<CertificateIdentifier<'static>>,
    (kind, path): (AcmeKey, &Path),
) -> Result<Ordered, OrderError> {
    let identifiers = [Identifier::Dns(name.to_owned())];
    let new = NewOrder::new(&identifiers);
    let new = match replaces {
        Some(replaced) => new.replaces(replaced),
        None => new,
    };
    let placed = account.new_order(&new).await;
    let mut order = placed.map_err(|error| OrderError::of(Stage::Order, &error))?;
    // Shown until the end of the order.
    let _proofs = prove(&mut order, acquired, name, way).await?;
    let status = order.poll_ready(&PATIENCE).await.map_err(|error| OrderError::of(Stage::Proof, &error))?;
    if status != OrderStatus::Ready && status != OrderStatus::Valid {
        return Err(OrderError::new(Stage::Proof, why_invalid(&mut order, way).await));
    }
    let key = new_key(kind).map_err(|error| OrderError::new(Stage::Finalize, error.to_string()))?;
    let csr = request(name, &key).map_err(|error| OrderError::new(Stage::Finalize, error.to_string()))?;
    order.finalize_csr(&csr).await.map_err(|error| OrderError::of(Stage::Finalize, &error))?;
    let chain = order.poll_certificate(&PATIENCE).await;
    let chain = chain.map_err(|error| OrderError::of(Stage::Finalize, &error))?;
    let mut pem = Zeroizing::new(Vec::new());
    pem.extend_from_slice(Zeroizing::new(key.serialize_pem()).as_bytes());
    pem.extend_from_slice(chain.as_bytes());
    let loaded =
        Loaded::of_pem(&pem, path).map_err(|error| OrderError::new(Stage::Certificate, error.to_string()))?;
    tell_if_unfit(&loaded, name)
        .map_or(Ok(Ordered { pem, loaded }), |what| Err(OrderError::new(Stage::Certificate, what)))
}

fn new_key(kind: AcmeKey) -> Result<KeyPair, rcgen::Error> {
    match kind {
        AcmeKey::Ecdsa => KeyPair::generate(),
        AcmeKey::Rsa => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
    }
}

/// Why nobody would accept a certificate for `name`.
pub(super) fn tell_if_unfit(loaded: &Loaded, name: &str) -> Option<&'static str> {
    if !loaded.is_for(name) {
        return Some("the certificate is not for this name");
    }
    if loaded.not_after <= now() {
        return Some("the certificate has expired");
    }
    // Clocks differ by minutes, never by days.
    (loaded.not_before > now() + 24 * 60 * 60)
        .then_some("the certificate is not valid yet; is this machine's clock right?")
}

/// Shows that the name is usher's wherever the authority wants that.
async fn prove(
    order: &mut Order,
    acquired: &Arc<Acquired>,
    name: &str,
    way: Way,
) -> Result<Vec<Proof>, OrderError> {
    let mut proofs = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.map_err(|error| OrderError::of(Stage::Order, &error))?;
        match authorization.status {
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            other => return Err(OrderError::new(Stage::Order, format!("the authorization is {other:?}"))),
        }
        let offered = ways(&authorization);
        let Some(mut challenge) = authorization.challenge(way.challenge()) else {
            let what = format!("the authority takes no proof by {}, only {offered}", way.name());
            return Err(OrderError::new(Stage::Order, what));
        };
        let expected = challenge.key_authorization();
        proofs.push(match way {
            Way::Http => acquired.answer(&challenge.token, expected.as_str()),
            Way::TlsAlpn => {
                let proof = proof_of(name, expected.digest().as_ref())
                    .map_err(|what| OrderError::new(Stage::Proof, what))?;
                acquired.prove(name, proof)
            }
        });
        challenge.set_ready().await.map_err(|error| OrderError::of(Stage::Proof, &error))?;
    }
    Ok(proofs)
}

fn ways(authorization: &AuthorizationHandle<'_>) -> String {
    let ways: Vec<_> =
        authorization.challenges.iter().map(|offered| format!("{:?}", offered.r#type)).collect();
    ways.join(", ")
}

/// What the authority says about a proof that it does not accept.
async fn why_invalid(order: &mut Order, way: Way) -> String {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let Ok(mut authorization) = authorization else { break };
        let Ok(state) = authorization.refresh().await else { break };
        if let Some(problem) = state.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
            return format!("{}: {problem}", way.name());
        }
    }
    format!("{}: the authority does not accept the proof, and does not say why", way.name())
}

/// A request for a certificate for `name` and `key` (RFC 2986), DER.
fn request(name: &str, key: &KeyPair) -> Result<Vec<u8>, rcgen::Error> {
    let mut params = CertificateParams::new([name.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    Ok(params.serialize_request(key)?.der().to_vec())
}
