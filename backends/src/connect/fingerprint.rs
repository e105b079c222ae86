//! Fingerprints: what certificates are pinned by, and what people look them up by.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use usher_config::snapshot::Pin;

/// SHA-256, for pins.
pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut octets = [0; 32];
    octets.copy_from_slice(digest(&SHA256, bytes).as_ref());
    octets
}

/// The pin of a certificate.
pub fn pin(certificate: &[u8]) -> Pin {
    Pin::Certificate(sha256(certificate))
}

/// The SHA-1 thumbprint in hexadecimal: to find a certificate by, never to trust it.
pub(super) fn thumbprint(bytes: &[u8]) -> String {
    digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref().iter().map(|octet| format!("{octet:02x}")).collect()
}
