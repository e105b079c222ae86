//! Certificates for tests, made as they are needed.

use rcgen::{CertificateParams, KeyPair};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
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

    /// One whose subject is this common name, whatever is in it.
    pub fn of_subject(common_name: &str) -> Arc<Self> {
        Self::with(&["subject.test"], |params| {
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(rcgen::DnType::CommonName, common_name);
        })
    }

    /// One that expired long ago.
    pub fn expired(names: &[&str]) -> Arc<Self> {
        Self::with(names, |params| {
            params.not_before = rcgen::date_time_ymd(2001, 1, 1);
            params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        })
    }

    /// One that ends after `left`.
    pub fn ending_in(names: &[&str], left: std::time::Duration) -> Arc<Self> {
        Self::with(names, |params| {
            params.not_after = (std::time::SystemTime::now() + left).into();
        })
    }

    /// One that has been valid for `age` and ends after `left`.
    pub fn aged(names: &[&str], age: std::time::Duration, left: std::time::Duration) -> Arc<Self> {
        Self::with(names, |params| {
            params.not_before = (std::time::SystemTime::now() - age).into();
            params.not_after = (std::time::SystemTime::now() + left).into();
        })
    }

    /// The key, PEM.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// The SHA-1 thumbprint, in hexadecimal.
    pub fn thumbprint(&self) -> String {
        use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
        let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, &self.chain);
        digest.as_ref().iter().map(|octet| format!("{octet:02x}")).collect()
    }

    /// A server that asks each client for a certificate, and tells the pins of those that are shown.
    pub fn serve_asking_for_certificates(&self, address: SocketAddr) -> Receiver<String> {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(Arc::new(AnyClient))
            .with_single_cert(vec![self.chain.clone()], key)
            .expect("a certificate and its key");
        let (config, listener) = (Arc::new(config), TcpListener::bind(address).expect("it listens"));
        let (shown, seen) = channel();
        std::thread::spawn(move || {
            for mut tcp in listener.incoming().map_while(Result::ok) {
                let mut connection = rustls::ServerConnection::new(config.clone()).expect("a connection");
                while connection.is_handshaking() && connection.complete_io(&mut tcp).is_ok() {}
                if let Some(chain) = connection.peer_certificates() {
                    let _ = shown.send(format!("sha256:{}", hex(&chain[0])));
                }
            }
        });
        seen
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

    /// A TLS server with it that speaks these protocols.
    pub fn acceptor_for(&self, protocols: &[&str]) -> TlsAcceptor {
        let mut config = ServerConfig::clone(&self.server_config());
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
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

    /// The same for a server that asks for certificates of `authority`, and would do without.
    pub fn server_config_with_authority(&self, authority: &Self) -> Arc<ServerConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority.chain.clone()).expect("a root");
        let provider = Arc::new(default_provider());
        let verifier =
            rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                .allow_unauthenticated()
                .build()
                .expect("a verifier");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![self.chain.clone()], key)
            .expect("a certificate and its key");
        Arc::new(config)
    }

    /// The chain, PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Writes chain and key into `dir`, as `name.pem` and `name.key`.
    pub fn write(&self, dir: &Path, name: &str) -> (PathBuf, PathBuf) {
        let (chain, key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
        std::fs::write(&chain, &self.pem).expect("the chain is written");
        std::fs::write(&key, self.key.serialize_pem()).expect("the key is written");
        (chain, key)
    }
}

/// Asks for a certificate and takes any.
#[derive(Debug)]
struct AnyClient;

impl ClientCertVerifier for AnyClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}

fn hex(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().map(|octet| format!("{octet:02x}")).collect()
}

/// A client's certificate, and who has signed it.
pub struct ForClient {
    pub ca_pem: String,
    chain: CertificateDer<'static>,
    key: KeyPair,
}

/// Makes a certificate for the client with this mail address, by a maker of its own.
pub fn for_client(mail: &str) -> ForClient {
    let ca_key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "clients");
    let ca = params.self_signed(&ca_key).expect("a certificate");
    let issuer = rcgen::Issuer::new(params, ca_key);
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.subject_alt_names = vec![rcgen::SanType::Rfc822Name(mail.try_into().expect("a mail address"))];
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = params.signed_by(&key, &issuer).expect("a certificate");
    ForClient { ca_pem: ca.pem(), chain: certificate.der().clone(), key }
}

impl ForClient {
    /// A TLS client that shows it, and takes any server.
    pub fn config(&self) -> Arc<rustls::ClientConfig> {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        crate::client::config_with_certificate(vec![self.chain.clone()], key)
    }
}
