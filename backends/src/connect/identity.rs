//! Certificates that usher creates for itself: to show to clients while none is configured, and to backends that want
//! to know who is connecting.

use super::fingerprint::sha256;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use x509_parser::parse_x509_certificate;

/// Why there is no such certificate.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {what}")]
pub struct SelfMadeError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub what: String,
}

/// usher's own certificate towards backends, with its key.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({})", self.fingerprint())
    }
}

impl Identity {
    /// Reads `client.pem` and `client.key` in `state_dir`, or creates them for `name` if they do not exist.
    ///
    /// # Errors
    /// When they cannot be made or read.
    pub fn load_or_make(state_dir: &Path, name: &str) -> Result<Self, SelfMadeError> {
        let (chain, key) = ensure(state_dir, "client", name)?;
        let failed = |path: &Path, what: &dyn std::fmt::Display| SelfMadeError {
            path: path.to_owned(),
            what: what.to_string(),
        };
        let certificates: Vec<_> = CertificateDer::pem_file_iter(&chain)
            .and_then(Iterator::collect)
            .map_err(|error| failed(&chain, &error))?;
        if certificates.is_empty() {
            return Err(failed(&chain, &"contains no certificate"));
        }
        let key = PrivateKeyDer::from_pem_file(&key).map_err(|error| failed(&key, &error))?;
        Ok(Self { chain: certificates, key })
    }

    /// `sha256:` and the fingerprint of the certificate, for backends to pin.
    pub fn fingerprint(&self) -> String {
        let leaf = self.chain.first().map(|leaf| sha256(leaf)).unwrap_or_default();
        usher_config::snapshot::Pin::Certificate(leaf).to_string()
    }

    /// Chain and key, ready for use.
    pub(super) fn certified_key(
        &self,
        provider: &CryptoProvider,
    ) -> Result<Arc<CertifiedKey>, rustls::Error> {
        let key = CertifiedKey::from_der(self.chain.clone(), self.key.clone_key(), provider)?;
        Ok(Arc::new(key))
    }

    /// The issuer of the last certificate of the chain, in DER.
    pub(super) fn issuer(&self) -> Vec<u8> {
        let parsed = self.chain.last().and_then(|last| parse_x509_certificate(last).ok());
        parsed.map(|(_, certificate)| certificate.issuer().as_raw().to_vec()).unwrap_or_default()
    }
}

/// The files `STEM.pem` and `STEM.key` in `dir`: a self-signed certificate for `name`, created if it does not exist.
///
/// # Errors
/// When they cannot be made or written.
pub fn ensure(dir: &Path, stem: &str, name: &str) -> Result<(PathBuf, PathBuf), SelfMadeError> {
    let (chain, key) = (dir.join(format!("{stem}.pem")), dir.join(format!("{stem}.key")));
    if !chain.exists() {
        let failed = |error: rcgen::Error| SelfMadeError { path: chain.clone(), what: error.to_string() };
        let pair = KeyPair::generate().map_err(failed)?;
        let mut params = CertificateParams::new(vec![name.to_owned()]).map_err(failed)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_after = rcgen::date_time_ymd(2099, 1, 1);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.self_signed(&pair).map_err(failed)?;
        // The key first: a chain without its key would be taken for complete at the next start.
        write(&key, &pair.serialize_pem())?;
        write(&chain, &certificate.pem())?;
    }
    Ok((chain, key))
}

fn write(path: &Path, text: &str) -> Result<(), SelfMadeError> {
    let io = |error: std::io::Error| SelfMadeError { path: path.to_owned(), what: error.to_string() };
    // The file is written completely or not at all, even if the machine stops.
    let next = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next).map_err(io)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
    std::fs::rename(&next, path).map_err(io)
}
