//! `[acme]`.

use super::{Protocol, Snapshot};
use crate::shown;
use serde::Serialize;
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

/// From whom certificates are ordered, and for which names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Acme {
    /// The address of the authority's directory (RFC 8555 section 7.1.1).
    pub directory: String,
    /// Where the authority may write to, as `mailto:` addresses.
    pub contact: Vec<String>,
    /// The names to order certificates for; `None`: all of the listeners and domains.
    pub names: Option<Vec<String>>,
    /// Whom the certificate of the directory itself is verified against; `None`: the system's roots.
    pub ca: Option<AcmeFile>,
    /// The account at the authority that the one for orders is bound to (RFC 8555 section 7.3.4).
    pub external_account: Option<ExternalAccount>,
    /// What keys of certificates are like.
    pub key: AcmeKey,
    /// Where the section stands.
    #[serde(skip)]
    pub span: Range<usize>,
    /// Time until a failed order is tried again, four times as long after each further failure, up to six hours.
    #[serde(with = "shown::duration")]
    pub retry: Duration,
}

/// What the keys of ordered certificates are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AcmeKey {
    /// ECDSA with P-256.
    Ecdsa,
    /// RSA with 2048 bits, for clients that know nothing else.
    Rsa,
}

/// A file that `[acme]` names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AcmeFile {
    /// Its path.
    pub path: PathBuf,
    /// Where it is named.
    #[serde(skip)]
    pub span: Range<usize>,
}

/// An account that the authority knows otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExternalAccount {
    /// Its id there.
    pub id: String,
    /// The file with its key, in base64url as authorities give it.
    pub key_file: AcmeFile,
}

impl Snapshot {
    /// The names for which certificates are ordered, each with one of its own, so that none waits for another: those that
    /// `[acme]` lists, or the server's, those by which clients choose a domain, the domains' own, and those by which mail
    /// clients find their settings. Empty without `[acme]`.
    pub fn acme_names(&self) -> BTreeSet<String> {
        let Some(acme) = &self.acme else { return BTreeSet::new() };
        if let Some(names) = &acme.names {
            return names.iter().cloned().collect();
        }
        let has_https = self.listeners.iter().any(|listener| listener.protocol() == Protocol::Https);
        let domains = self.domains.names();
        let of_domains = domains.iter().map(|domain| (*domain).to_owned());
        let of_setup = domains.iter().filter(|_| has_https && self.client_setup.is_some());
        let of_setup =
            of_setup.flat_map(|domain| ["autoconfig", "autodiscover"].map(|host| format!("{host}.{domain}")));
        std::iter::once(self.server.name.to_ascii_lowercase())
            .chain(self.domains.server_names().map(str::to_owned))
            .chain(of_domains)
            .chain(of_setup)
            .filter(|name| is_orderable(name))
            .collect()
    }
}

/// Whether a public authority may give a certificate for a name: neither an address nor a name of one label.
pub(crate) fn is_orderable(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last_is_name =
        name.rsplit('.').next().is_some_and(|last| last.bytes().any(|b| b.is_ascii_lowercase()));
    name.len() <= 253 && name.contains('.') && name.split('.').all(label) && last_is_name
}
