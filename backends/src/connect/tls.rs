//! TLS with backends: verified by pins, or by the system's roots and the host's name.

use super::fingerprint::sha256;
use super::identity::Identity;
use super::{Cause, ConnectFault, Stage, TlsFault};
use crate::Observer;
use rustls::client::ResolvesClientCert;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use usher_config::snapshot::{ClientCertificate, Pin};
use x509_parser::parse_x509_certificate;

/// How many seconds before a pinned certificate expires the operator is warned: two weeks.
const NEAR: i64 = 14 * 24 * 60 * 60;

/// Why TLS with a host cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The system has no roots to verify a host without pins by.
    #[error("instance host {host} has no fingerprints, and the system has no root certificates: {why}")]
    NoRoots {
        /// The host.
        host: String,
        /// What the system said.
        why: String,
    },
    /// An error of rustls.
    #[error("instance host {host}: {source}")]
    Rustls {
        /// The host.
        host: String,
        /// Why.
        source: Error,
    },
}

/// The configuration for one backend, which is verified by its pins or, without pins, by the system's roots and `name`.
/// A backend that asks for a certificate is shown `identity` if `shows` permits.
///
/// # Errors
/// [`TlsError`], for a backend without pins.
pub fn client_config(
    name: &str,
    pins: &[Pin],
    shows: ClientCertificate,
    identity: &Identity,
    observer: &Arc<dyn Observer>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = if pins.is_empty() {
        by_roots(name, &provider)?
    } else {
        Arc::new(PinVerifier {
            host: name.to_owned(),
            pins: pins.to_vec(),
            algorithms: provider.signature_verification_algorithms,
            told: AtomicU8::new(0),
            observer: observer.clone(),
        })
    };
    let rustls = |source| TlsError::Rustls { host: name.to_owned(), source };
    let shown =
        Shown { key: identity.certified_key(&provider).map_err(rustls)?, issuer: identity.issuer(), shows };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(rustls)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(Arc::new(shown));
    Ok(Arc::new(config))
}

/// usher's own certificate, for backends that ask for one.
#[derive(Debug)]
struct Shown {
    key: Arc<CertifiedKey>,
    /// Its issuer, as it appears in a list of authorities.
    issuer: Vec<u8>,
    shows: ClientCertificate,
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, authorities: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let is_wanted = match self.shows {
            ClientCertificate::Always => true,
            ClientCertificate::Never => false,
            // A backend that lists authorities, but not the issuer of this certificate, would refuse it, and might do
            // without one.
            ClientCertificate::Auto => {
                authorities.is_empty() || authorities.contains(&self.issuer.as_slice())
            }
        };
        is_wanted.then(|| self.key.clone())
    }

    fn has_certs(&self) -> bool {
        self.shows != ClientCertificate::Never
    }
}

/// A configuration that accepts any certificate, for inspection. Never for anything that is to be trusted.
pub(super) fn anyone() -> Result<Arc<ClientConfig>, ConnectFault> {
    let provider = Arc::new(default_provider());
    let verifier = AnyVerifier(provider.signature_verification_algorithms);
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ConnectFault::at(Stage::Tls, TlsFault::Rustls(error)))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn by_roots(host: &str, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
    let no_roots = |why| TlsError::NoRoots { host: host.to_owned(), why };
    let roots = system_roots().map_err(no_roots)?;
    let built = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    built.map_err(|error| no_roots(error.to_string()))
}

/// Whom the system trusts.
///
/// # Errors
/// When it trusts nobody.
pub fn system_roots() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    let why = || found.errors.first().map_or("the system has no roots".to_owned(), ToString::to_string);
    if roots.is_empty() { Err(why()) } else { Ok(roots) }
}

/// Accepts only the pinned certificates. The handshake's signature is still verified: whoever presents the certificate
/// must have its key.
struct PinVerifier {
    host: String,
    pins: Vec<Pin>,
    algorithms: WebPkiSupportedAlgorithms,
    /// What the operator has been told about its expiry: 0 nothing, 1 that it is near, 2 that it has passed.
    told: AtomicU8,
    observer: Arc<dyn Observer>,
}

impl fmt::Debug for PinVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PinVerifier({})", self.host)
    }
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = parse_x509_certificate(end_entity).ok();
        let matches = |pin: &Pin| match (pin, &parsed) {
            (Pin::Certificate(pin), _) => sha256(end_entity) == *pin,
            (Pin::Key(pin), Some((_, certificate))) => sha256(certificate.public_key().raw) == *pin,
            (Pin::Key(_), None) => false,
        };
        if !self.pins.iter().any(matches) {
            return Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure));
        }
        if let Some((_, certificate)) = parsed {
            let not_after = certificate.validity().not_after.timestamp();
            let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
            let due = u8::from(not_after < now + NEAR) + u8::from(not_after < now);
            if self.told.fetch_max(due, Ordering::Relaxed) < due {
                self.observer.pinned_certificate_ends(&self.host, not_after, due == 2);
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Accepts any certificate if the backend has its key.
#[derive(Debug)]
struct AnyVerifier(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyVerifier {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// Performs a TLS handshake over `tcp` with the host called `name`.
pub(super) async fn handshake(
    tcp: TcpStream,
    name: &str,
    config: &Arc<ClientConfig>,
    until: Instant,
) -> Result<Box<TlsStream<TcpStream>>, ConnectFault> {
    let name = ServerName::try_from(name.to_owned())
        .map_err(|error| ConnectFault::at(Stage::Tls, TlsFault::Name(error)))?;
    let connecting = TlsConnector::from(config.clone()).connect(name, tcp).into_fallible();
    match timeout_at(until, connecting).await {
        Err(_) => Err(ConnectFault::at(Stage::Tls, Cause::TimedOut)),
        Ok(Ok(stream)) => Ok(Box::new(stream)),
        Ok(Err((error, _))) => Err(ConnectFault::at(Stage::Tls, cause(error))),
    }
}

fn cause(error: std::io::Error) -> Cause {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match tls {
        Some(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)) => Cause::Pin,
        Some(tls) => TlsFault::Rustls(tls.clone()).into(),
        None => Cause::Io(error),
    }
}
