//! Certificates for tests, made as they are needed.

use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// A self-signed certificate and its key.
pub struct Certificate {
    chain: CertificateDer<'static>,
    pem: String,
    key: KeyPair,
}

impl Certificate {
    /// One for `names`, the first of which is the subject's common name.
    pub fn for_names(names: &[&str]) -> Arc<Self> {
        Self::with(names, |_| {})
    }

    /// One that expired long ago.
    pub fn expired(names: &[&str]) -> Arc<Self> {
        Self::with(names, |params| {
            params.not_before = rcgen::date_time_ymd(2001, 1, 1);
            params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        })
    }

    fn with(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Arc<Self> {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names.clone()).expect("names");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, names.first().map_or("test", String::as_str));
        change(&mut params);
        let certificate = params.self_signed(&key).expect("a certificate");
        Arc::new(Self { chain: certificate.der().clone(), pem: certificate.pem(), key })
    }

    /// `sha256:` and the certificate's fingerprint.
    pub fn pin(&self) -> String {
        format!("sha256:{}", hex(&self.chain))
    }

    /// `spki-sha256:` and the public key's fingerprint.
    pub fn key_pin(&self) -> String {
        use rcgen::PublicKeyData;
        format!("spki-sha256:{}", hex(&self.key.subject_public_key_info()))
    }

    /// The certificate in DER.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.chain
    }

    /// A TLS server with it.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.server_config())
    }

    /// A TLS server's configuration with it.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![self.chain.clone()], key)
            .expect("a certificate and its key");
        Arc::new(config)
    }

    /// Writes chain and key into `dir`, as `name.pem` and `name.key`.
    pub fn write(&self, dir: &Path, name: &str) -> (PathBuf, PathBuf) {
        let (chain, key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
        std::fs::write(&chain, &self.pem).expect("the chain is written");
        std::fs::write(&key, self.key.serialize_pem()).expect("the key is written");
        (chain, key)
    }
}

fn hex(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().map(|octet| format!("{octet:02x}")).collect()
}
