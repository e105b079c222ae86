//! A certificate with its key, read and checked.

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use usher_backends::connect::identity::SelfMadeError;
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
pub(crate) fn load(chain: &Path, key: &Path) -> Result<Loaded, CertificateError> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|source| CertificateError::Io { path: path.to_owned(), source })
    };
    let (chain_text, key_text) = (read(chain)?, Zeroizing::new(read(key)?));
    of_pems((&chain_text, chain), (&key_text, key))
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
    let private = PrivateKeyDer::from_pem_slice(key_text)
        .map_err(|error| content(key, format!("contains no private key in PEM: {error}")))?;
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
