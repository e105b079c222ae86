//! Proof by TLS that a name is usher's (TLS-ALPN-01, RFC 8737).

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::ClientHello;
use rustls::sign::CertifiedKey;
use std::sync::Arc;

/// The protocol in which nothing is said but the proof (RFC 8737 section 6.2).
pub(super) const PROTOCOL: &[u8] = b"acme-tls/1";

/// Whether whoever says hello wants a proof and nothing else.
pub(super) fn asks_for_proof(hello: &ClientHello<'_>) -> bool {
    hello.alpn().is_some_and(|mut offered| offered.next() == Some(PROTOCOL) && offered.next().is_none())
}

/// A certificate that proves that `name` is usher's, by the digest that the authority expects (RFC 8737 section 3).
///
/// # Errors
/// When no certificate can be made for such a name.
pub(crate) fn proof_of(name: &str, digest: &[u8]) -> Result<Arc<CertifiedKey>, String> {
    let made = || {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new([name.to_owned()])?;
        params.distinguished_name = DistinguishedName::new();
        params.custom_extensions.push(CustomExtension::new_acme_identifier(digest));
        let certificate = params.self_signed(&key)?;
        Ok::<_, rcgen::Error>((certificate, key))
    };
    let (certificate, key) = made().map_err(|error| error.to_string())?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = default_provider().key_provider.load_private_key(key).map_err(|error| error.to_string())?;
    // Not looked at: its extension is critical, and rustls knows none of this kind.
    Ok(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key)))
}
