//! Certificates: read, checked, and chosen by the name that a client asks for (SNI).

use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use std::cell::Cell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use usher_backends::connect::identity::SelfMadeError;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

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
    names: Vec<String>,
    /// The file that it was read from.
    pub(crate) chain: PathBuf,
    /// When it expires, in seconds since 1970.
    pub(crate) not_after: i64,
    /// When it becomes valid.
    pub(crate) not_before: i64,
}

/// All certificates.
#[derive(Debug)]
pub(crate) struct Certificates {
    default: Option<Arc<CertifiedKey>>,
    by_name: HashMap<String, Arc<CertifiedKey>>,
}

impl Certificates {
    /// The first certificate is the default; a name that two of them have belongs to the first.
    pub(crate) fn new(loaded: Vec<Loaded>) -> Self {
        let default = loaded.first().map(|first| first.key.clone());
        let mut by_name = HashMap::new();
        for loaded in loaded {
            for name in loaded.names {
                by_name.entry(name).or_insert_with(|| loaded.key.clone());
            }
        }
        Self { default, by_name }
    }

    /// Chooses among them; if `strict`, none for a name that no certificate has.
    pub(crate) fn resolver(self: &Arc<Self>, strict: bool) -> Arc<dyn ResolvesServerCert> {
        Arc::new(Resolver { certificates: self.clone(), strict })
    }

    /// Whether one of them is good for `name`, which is in lower case.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let exact = self.by_name.get(name);
        // A wildcard matches only the leftmost label (RFC 9525 section 6.3).
        exact
            .or_else(|| name.split_once('.').and_then(|(_, parent)| self.by_name.get(&format!("*.{parent}"))))
    }
}

#[derive(Debug)]
struct Resolver {
    certificates: Arc<Certificates>,
    strict: bool,
}

thread_local! {
    /// The SNI name in the ClientHello that was read last: only the resolver of certificates is told, and an unbuffered
    /// connection cannot be asked later.
    static ASKED_NAME: Cell<Option<Box<str>>> = const { Cell::new(None) };
}

/// The name that a ClientHello has asked for, if one was read since the last call.
pub(super) fn take_asked_name() -> Option<Box<str>> {
    ASKED_NAME.take()
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        ASKED_NAME.set(hello.server_name().map(Into::into));
        let found = match hello.server_name() {
            Some(name) => self.certificates.find(&name.to_ascii_lowercase()),
            None => self.certificates.default.as_ref(),
        };
        match found {
            Some(key) => Some(key.clone()),
            None if self.strict => None,
            None => self.certificates.default.clone(),
        }
    }
}

/// Verifies clients' certificates against those in `file`; a client may also have none.
///
/// # Errors
/// When the file cannot be read or holds no certificates that can verify others.
pub(crate) fn client_verifier(file: &Path) -> Result<Arc<dyn ClientCertVerifier>, CertificateError> {
    let content = |what: String| CertificateError::Content { path: file.to_owned(), what };
    let text =
        std::fs::read(file).map_err(|source| CertificateError::Io { path: file.to_owned(), source })?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| content(format!("not PEM: {error}")))?;
        roots.add(certificate).map_err(|error| content(error.to_string()))?;
    }
    let built = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()))
        .allow_unauthenticated()
        .build();
    built.map_err(|error| content(error.to_string()))
}

/// Whom a client's certificate names: its first mail address, or else its common name.
pub(crate) fn named_in(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let mail = alternative.and_then(|alternative| {
        alternative.value.general_names.iter().find_map(|name| match name {
            GeneralName::RFC822Name(mail) => Some((*mail).to_owned()),
            _ => None,
        })
    });
    let common = || certificate.subject().iter_common_name().next()?.as_str().ok().map(str::to_owned);
    mail.or_else(common)
}

/// Reads a chain and its key.
///
/// # Errors
/// When a file cannot be read, holds no PEM, or the two do not belong together.
pub(crate) fn load(chain: &Path, key: &Path) -> Result<Loaded, CertificateError> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|source| CertificateError::Io { path: path.to_owned(), source })
    };
    let content = |path: &Path, what: String| CertificateError::Content { path: path.to_owned(), what };
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&read(chain)?)
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
    let private = PrivateKeyDer::from_pem_slice(&read(key)?)
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
