//! A certificate with its key, read and checked.

use pkcs8::{EncryptedPrivateKeyInfo, LineEnding, SecretDocument};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use usher_backends::connect::identity::SelfMadeError;
use usher_config::snapshot::Certificate;
use usher_policy::renewal::Validity;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The self-signed one cannot be made.
    #[error(transparent)]
    SelfMade(#[from] SelfMadeError),
    /// A file is not what it should be.
    #[error("{path}: {what}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

/// A certificate with its key and the names it is good for.
pub(crate) struct Loaded {
    pub(crate) key: Arc<CertifiedKey>,
    pub(super) names: Vec<String>,
    /// The file that it was read from.
    pub(crate) chain: PathBuf,
    /// When it expires, in seconds since 1970.
    pub(crate) not_after: i64,
    /// When it becomes valid.
    pub(crate) not_before: i64,
}

impl Loaded {
    /// Of a key and its chain in one text, PEM; `path` is what it is called in messages.
    ///
    /// # Errors
    /// When it contains no PEM, or the two do not belong together.
    pub(crate) fn of_pem(pem: &[u8], path: &Path) -> Result<Self, CertificateError> {
        of_pems((pem, path), (pem, path))
    }

    /// Whether it is good for `name`, which is in lower case.
    pub(crate) fn is_for(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// From when to when it is valid.
    pub(crate) fn validity(&self) -> Validity {
        Validity { not_before: self.not_before, not_after: self.not_after }
    }
}

/// Reads a chain and its key.
///
/// # Errors
/// When a file cannot be read, holds no PEM, or the two do not belong together.
pub(crate) fn load(files: &Certificate) -> Result<Loaded, CertificateError> {
    let Certificate { chain, key, key_password_file, .. } = files;
    let read = |path: &Path| {
        std::fs::read(path).map_err(|source| CertificateError::Io { path: path.to_owned(), source })
    };
    let (chain_text, mut key_text) = (read(chain)?, Zeroizing::new(read(key)?));
    if let Some(file) = key_password_file {
        let password = Zeroizing::new(read(file)?);
        key_text = decrypted(&key_text, password.trim_ascii_end())
            .map_err(|what| CertificateError::Content { path: key.clone(), what })?;
    }
    of_pems((&chain_text, chain), (&key_text, key))
}

/// The key in an encrypted one (RFC 5958 section 3), PEM.
fn decrypted(text: &[u8], password: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
    let instead = "convert it with `openssl pkcs8 -topk8`";
    let text = std::str::from_utf8(text).map_err(|_| "not PEM".to_owned())?;
    let (label, encrypted) = SecretDocument::from_pem(text).map_err(|error| format!("not PEM: {error}"))?;
    if label != "ENCRYPTED PRIVATE KEY" {
        return Err(format!(
            "{label:?} is no encrypted key of PKCS #8; {instead}, or remove `key_password_file`"
        ));
    }
    let encrypted = EncryptedPrivateKeyInfo::try_from(encrypted.as_bytes());
    let encrypted =
        encrypted.map_err(|_| format!("it is not encrypted in a way that is known; {instead}"))?;
    let key = encrypted.decrypt(password).map_err(|_| "the password does not fit".to_owned())?;
    let pem = key.to_pem("PRIVATE KEY", LineEnding::LF).map_err(|error| error.to_string())?;
    Ok(Zeroizing::new(pem.as_bytes().to_vec()))
}

fn of_pems(
    (chain_text, chain): (&[u8], &Path),
    (key_text, key): (&[u8], &Path),
) -> Result<Loaded, CertificateError> {
    let content = |path: &Path, what: String| CertificateError::Content { path: path.to_owned(), what };
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(chain_text)
        .collect::<Result<_, _>>()
        .map_err(|error| content(chain, format!("not PEM: {error}")))?;
    let Some(leaf) = certificates.first() else {
        return Err(content(
            chain,
            "contains no certificate; expected PEM, the server's own certificate first".to_owned(),
        ));
    };
    let (names, not_before, not_after) =
        read_leaf(leaf).ok_or_else(|| content(chain, "the first certificate cannot be read".to_owned()))?;
    let private = PrivateKeyDer::from_pem_slice(key_text).map_err(|error| {
        let is_encrypted = key_text.windows(9).any(|word| word == b"ENCRYPTED");
        match is_encrypted {
            true => content(key, "is encrypted, and no `key_password_file` is named".to_owned()),
            false => content(key, format!("contains no private key in PEM: {error}")),
        }
    })?;
    let certified = CertifiedKey::from_der(certificates, private, &default_provider())
        .map_err(|error| content(key, format!("does not belong to {}: {error}", chain.display())))?;
    Ok(Loaded { key: Arc::new(certified), names, chain: chain.to_owned(), not_after, not_before })
}

fn read_leaf(leaf: &CertificateDer<'_>) -> Option<(Vec<String>, i64, i64)> {
    let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
    let alternative = certificate.subject_alternative_name().ok()??;
    let names = alternative.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    let validity = certificate.validity();
    Some((names.collect(), validity.not_before.timestamp(), validity.not_after.timestamp()))
}
