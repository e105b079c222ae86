//! Certificates: read, checked, and chosen by the name that a client asks for (SNI).

use super::acquired::Acquired;
use super::loaded::{CertificateError, Loaded};
use super::proof::asks_for_proof;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, SignatureScheme};
use std::cell::Cell;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// All certificates.
#[derive(Debug)]
pub(crate) struct Certificates {
    /// The first of the operator's, and those with keys of another kind for the same name.
    default: Vec<Arc<CertifiedKey>>,
    /// The operator's.
    by_name: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// Those that usher has ordered.
    acquired: Arc<Acquired>,
    /// Where there is no other: one that usher has made itself, and its name.
    self_made: Option<(String, Arc<CertifiedKey>)>,
}

impl Certificates {
    /// Of the `loaded` ones, the first is the default. Of those that have the same name, the first goes to each client that
    /// knows its kind of key.
    pub(crate) fn new(loaded: Vec<Loaded>, acquired: Arc<Acquired>) -> Self {
        let first = loaded.first().and_then(|first| first.names.first().cloned());
        let alone = loaded.first().map(|first| vec![first.key.clone()]).unwrap_or_default();
        let mut by_name: HashMap<String, Vec<Arc<CertifiedKey>>> = HashMap::new();
        for loaded in loaded {
            for name in loaded.names {
                by_name.entry(name).or_default().push(loaded.key.clone());
            }
        }
        let default = first.and_then(|name| by_name.get(&name).cloned()).unwrap_or(alone);
        Self { default, by_name, acquired, self_made: None }
    }

    /// One that usher has `made` itself for `name`, and those that it has ordered.
    pub(crate) fn self_made(name: &str, made: &Loaded, acquired: Arc<Acquired>) -> Self {
        let self_made = Some((name.to_ascii_lowercase(), made.key.clone()));
        Self { self_made, ..Self::new(Vec::new(), acquired) }
    }

    /// Chooses among them; if `strict`, none for a name that no certificate has.
    pub(crate) fn resolver(self: &Arc<Self>, strict: bool) -> Arc<dyn ResolvesServerCert> {
        Arc::new(Resolver { certificates: self.clone(), strict })
    }

    /// Whether one of them is good for `name`, which is in lower case.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.find(name, &[]).is_some()
    }

    /// Those that usher has ordered.
    pub(super) fn acquired(&self) -> &Arc<Acquired> {
        &self.acquired
    }

    /// Whether one of the operator's is.
    pub(crate) fn has_in_files(&self, name: &str) -> bool {
        self.in_files(name).is_some()
    }

    fn in_files(&self, name: &str) -> Option<&Vec<Arc<CertifiedKey>>> {
        let exact = self.by_name.get(name);
        // A wildcard matches only the leftmost label (RFC 9525 section 6.3).
        exact
            .or_else(|| name.split_once('.').and_then(|(_, parent)| self.by_name.get(&format!("*.{parent}"))))
    }

    /// The key for `name`, of those whose signatures the client knows.
    fn find(&self, name: &str, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        if let Some(keys) = self.in_files(name) {
            return fitting(keys, schemes);
        }
        let self_made = || self.self_made.as_ref().filter(|(own, _)| own == name).map(|(_, key)| key.clone());
        self.acquired.key(name).or_else(self_made)
    }

    /// That of clients that ask for no name, or for an unknown one.
    fn default(&self, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let (own, made) = match &self.self_made {
            Some((own, made)) => (self.acquired.key(own), Some(made.clone())),
            None => (None, None),
        };
        // One that somebody has signed, for whatever name, before one of usher's own.
        fitting(&self.default, schemes).or(own).or_else(|| self.acquired.first_key()).or(made)
    }
}

/// The first of `keys` that can sign in one of the `schemes` that a client knows; if there is none, the client is told by the
/// handshake.
fn fitting(keys: &[Arc<CertifiedKey>], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
    let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
    keys.iter().find(fits).or(keys.first()).cloned()
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
        let name = hello.server_name().map(str::to_ascii_lowercase);
        if asks_for_proof(&hello) {
            return name.and_then(|name| self.certificates.acquired.proof(&name));
        }
        let schemes = hello.signature_schemes();
        match name {
            None => self.certificates.default(schemes),
            Some(name) => match self.certificates.find(&name, schemes) {
                Some(key) => Some(key),
                None if self.strict => None,
                None => self.certificates.default(schemes),
            },
        }
    }
}

/// Verifies clients' certificates against those in `file`; a client may also have none.
///
/// # Errors
/// When the file cannot be read or holds no certificates that can verify others.
pub(crate) fn client_verifier(file: &Path) -> Result<Arc<dyn ClientCertVerifier>, CertificateError> {
    let roots = read_roots(file)?;
    let built = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()))
        .allow_unauthenticated()
        .build();
    built.map_err(|error| CertificateError::Content { path: file.to_owned(), what: error.to_string() })
}

/// Those whose signatures are trusted, by the file that the operator names.
///
/// # Errors
/// When it cannot be read or has no certificates.
pub(crate) fn read_roots(file: &Path) -> Result<RootCertStore, CertificateError> {
    let content = |what: String| CertificateError::Content { path: file.to_owned(), what };
    let text =
        std::fs::read(file).map_err(|source| CertificateError::Io { path: file.to_owned(), source })?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| content(format!("not PEM: {error}")))?;
        roots.add(certificate).map_err(|error| content(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(content("contains no certificate".to_owned()));
    }
    Ok(roots)
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
