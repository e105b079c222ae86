//! Inspects a backend that is not known yet, so that a person can decide whether it is the one they mean.

use super::dialogue::start_tls;
use super::fingerprint::{sha256, thumbprint};
use super::stream::BackendStream;
use super::{ConnectFault, dial, tls};
use rustls::pki_types::CertificateDer;
use std::time::Duration;
use tokio::time::Instant;
use usher_config::snapshot::{BackendTls, Pin};
use x509_parser::parse_x509_certificate;

/// What a backend reveals about itself.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The pin of its certificate.
    pub pin: Pin,
    /// The SHA-1 thumbprint, in hexadecimal: to find the certificate by, never to trust it.
    pub thumbprint: String,
    /// Its subject.
    pub subject: String,
    /// Who issued it.
    pub issuer: String,
    /// When it expires, in seconds since 1970.
    pub not_after: i64,
}

/// Connects to `address` (`host:port`) and returns whatever certificate it shows. Nothing is sent after the handshake.
///
/// # Errors
/// [`ConnectFault`], within `patience`.
pub async fn inspect_certificate(
    address: &str,
    how: BackendTls,
    patience: Duration,
) -> Result<Shown, ConnectFault> {
    let until = Instant::now() + patience;
    let mut stream = BackendStream::Plain(dial::connect_briefly(address, until).await?);
    if how == BackendTls::StartTls {
        start_tls(&mut stream, until).await?;
    }
    let BackendStream::Plain(tcp) = stream else { return Err(ConnectFault::no_certificate()) };
    let name = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    let config = tls::anyone()?;
    let stream = tls::handshake(tcp, name, &config, until).await?;
    let leaf = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    leaf.and_then(shown).ok_or_else(ConnectFault::no_certificate)
}

fn shown(leaf: &CertificateDer<'_>) -> Option<Shown> {
    let (_, certificate) = parse_x509_certificate(leaf).ok()?;
    Some(Shown {
        pin: Pin::Certificate(sha256(leaf)),
        thumbprint: thumbprint(leaf),
        subject: certificate.subject().to_string(),
        issuer: certificate.issuer().to_string(),
        not_after: certificate.validity().not_after.timestamp(),
    })
}
