//! The versions and cipher suites that the operator allows.

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::version::{TLS12, TLS13};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion};
use usher_config::snapshot::{Tls, TlsVersion};

/// Everything that rustls has, without the cipher suites that `tls` does not name.
pub(super) fn provider(tls: &Tls) -> CryptoProvider {
    let mut provider = default_provider();
    if let Some(wanted) = &tls.cipher_suites {
        provider.cipher_suites.retain(|suite| wanted.contains(&name(suite).as_str()));
        provider.cipher_suites.sort_by_key(|suite| wanted.iter().position(|wanted| *wanted == name(suite)));
    }
    provider
}

/// The name of a suite in IANA's registry.
fn name(suite: &SupportedCipherSuite) -> String {
    format!("{:?}", suite.suite()).replace("TLS13_", "TLS_")
}

/// The versions that `tls` names.
pub(super) fn versions(tls: &Tls) -> Vec<&'static SupportedProtocolVersion> {
    let version = |version: &TlsVersion| match version {
        TlsVersion::Tls12 => &TLS12,
        TlsVersion::Tls13 => &TLS13,
    };
    tls.versions.iter().map(version).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_that_may_be_named_is_there() {
        let mut there: Vec<_> = default_provider().cipher_suites.iter().map(name).collect();
        let mut named = Tls::SUITES.map(str::to_owned).to_vec();
        there.sort_unstable();
        named.sort_unstable();
        assert_eq!(there, named);
    }

    #[test]
    fn those_that_are_named_are_left_in_that_order() {
        let wanted = vec!["TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"];
        let tls = Tls { cipher_suites: Some(wanted.clone()), ..Tls::default() };
        assert_eq!(provider(&tls).cipher_suites.iter().map(name).collect::<Vec<_>>(), wanted);
    }
}
