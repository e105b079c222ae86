//! From the checked snapshot to what sessions use: reads certificates and keys, and binds sockets. Any fault here
//! prevents the start, and the operator is told of all of them.

mod error;
pub(crate) mod inspect;

pub(crate) use error::ConfigError;

use crate::active::ActiveConfig;
use crate::countries::{Countries, CountriesError};
use crate::listen::{self, Bound, SocketSource};
use crate::rule_book::RuleBook;
use crate::tls::{
    self, Acquired, CertificateError, CertificateSource, Certificates, Lasting, Loaded, Making, Verifiers,
};
use error::Faulty;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use usher_backends::health::secret;
use usher_backends::roster::HostOrigin;
use usher_backends::sources;
use usher_config::health::ImapProbe;
use usher_config::named::Named;
use usher_config::snapshot::{Acme, AcmeFile, Certificate, Directory};
use usher_config::{Fault, Snapshot};

/// What was read from the files that a configuration names.
pub(crate) struct Read {
    /// The text of the configuration itself.
    text: Arc<str>,
    certificates: Vec<Loaded>,
    clients: Verifiers,
    /// By which configuration profiles are signed.
    profiles: Option<Loaded>,
    countries: Option<Countries>,
}

/// A configuration and the text that it came from.
pub(crate) struct Config {
    path: PathBuf,
    text: String,
    pub(crate) snapshot: Snapshot,
}

impl Config {
    /// Reads and checks `path`.
    ///
    /// # Errors
    /// [`ConfigError`] with every fault of the file.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        Self::of_text(path, text)
    }

    /// Checks `text`, which is called `path` in messages.
    ///
    /// # Errors
    /// [`ConfigError`] with every fault of the text.
    pub(crate) fn of_text(path: &Path, text: String) -> Result<Self, ConfigError> {
        match usher_config::load(&text) {
            Ok(snapshot) => Ok(Self { path: path.to_owned(), text, snapshot }),
            Err(faults) => Err(ConfigError::Faulty(Faulty { path: path.to_owned(), text, faults })),
        }
    }

    /// Reads the certificates that the file names; none if it names none. Expired certificates are a fault unless they
    /// are `served` already, with the same file and end of validity: at the start there is nothing better, but they
    /// must never replace a certificate that is in use.
    ///
    /// # Errors
    /// [`ConfigError`] with every certificate that cannot be used.
    pub(crate) fn certificates(&self, served: Option<&[(String, i64)]>) -> Result<Read, ConfigError> {
        let mut faults = Vec::new();
        let mut loaded = Vec::new();
        for files @ Certificate { chain, span, .. } in &self.snapshot.certificates {
            match CertificateSource::Files(files).load() {
                Ok(certificate) => {
                    let this = (chain.display().to_string(), certificate.not_after);
                    match served.filter(|served| has_expired(&certificate) && !served.contains(&this)) {
                        None => {
                            warn_of_expiry(&certificate, chain);
                            loaded.push(certificate);
                        }
                        Some(_) => faults.push(Fault::new(
                            span.clone(),
                            format!("{}: the certificate has expired", chain.display()),
                            "name one that clients will accept",
                        )),
                    }
                }
                Err(error) => faults.push(unusable(span, &error)),
            }
        }
        let mut clients = Verifiers::default();
        for ca in self.snapshot.client_cas() {
            match tls::client_verifier(&ca.file) {
                Ok(verifier) => drop(clients.insert(ca.file.clone(), verifier)),
                Err(error) => faults.push(unusable(&ca.span, &error)),
            }
        }
        let signing = self.snapshot.client_setup.as_ref().and_then(|setup| setup.signing.as_ref());
        let profiles = signing.and_then(|files| {
            let loaded = CertificateSource::Files(files).load();
            loaded.map_err(|error| faults.push(unusable(&files.span, &error))).ok()
        });
        let countries = self.snapshot.access.countries.as_ref().and_then(|file| {
            Countries::read(&file.path).map_err(|error| faults.push(no_countries(file, &error))).ok()
        });
        faults.extend(unusable_of_acme(self.snapshot.acme.as_ref()));
        faults.extend(unusable_of_sources(&self.snapshot.directory));
        let text = self.text.as_str().into();
        let read = Read { text, certificates: loaded, clients, profiles, countries };
        if faults.is_empty() { Ok(read) } else { Err(self.faulty(faults)) }
    }

    /// Opens the sockets of every address of the listeners that is not in `open` already, for this many workers.
    ///
    /// # Errors
    /// [`ConfigError`] with every listener that cannot be bound.
    pub(crate) fn sockets(
        &self,
        open: &[SocketAddr],
        workers: usize,
        source: &SocketSource,
    ) -> Result<Vec<Bound>, ConfigError> {
        let limits = &self.snapshot.limits;
        let mut faults = Vec::new();
        let mut bound = Vec::new();
        for listener in &self.snapshot.listeners {
            if let Err((address, error)) =
                listen::open_missing(source, listener, open, workers, limits, &mut bound)
            {
                let what = format!("cannot listen on {address}: {error}");
                let instead = "stop whatever is listening there, choose another address, or allow usher to use the port";
                faults.push(Fault::new(listener.span.clone(), what, instead));
            }
        }
        if faults.is_empty() { Ok(bound) } else { Err(self.faulty(faults)) }
    }

    /// Reads where addresses are, if the file says where that is written.
    ///
    /// # Errors
    /// [`ConfigError`], if that cannot be used.
    pub(crate) fn rule_book(&self) -> Result<RuleBook, ConfigError> {
        let access = &self.snapshot.access;
        let countries = access.countries.as_ref().map(|file| {
            Countries::read(&file.path).map_err(|error| self.faulty(vec![no_countries(file, &error)]))
        });
        Ok(RuleBook::new(access.rules.clone(), countries.transpose()?))
    }

    /// The text of the file.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The path of the file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn faulty(&self, faults: Vec<Fault>) -> ConfigError {
        ConfigError::Faulty(Faulty { path: self.path.clone(), text: self.text.clone(), faults })
    }
}

fn unusable(span: &Range<usize>, error: &CertificateError) -> Fault {
    let instead = match error {
        CertificateError::Io { .. } => "name files that usher may read",
        CertificateError::Content { .. } | CertificateError::SelfMade(_) => {
            "name a chain and its own key, both PEM, the server's certificate first"
        }
    };
    Fault::new(span.clone(), error.to_string(), instead)
}

/// What is wrong with the files that `[acme]` names.
fn unusable_of_acme(acme: Option<&Acme>) -> Vec<Fault> {
    let Some(acme) = acme else { return Vec::new() };
    let ca = acme.ca.as_ref().and_then(|ca| Some((ca, tls::read_roots(&ca.path).err()?.to_string())));
    let account = acme.external_account.as_ref().map(|account| &account.key_file);
    let unreadable = |file: &Path| Some(format!("{}: {}", file.display(), std::fs::read(file).err()?));
    let key = account.and_then(|file| Some((file, unreadable(&file.path)?)));
    let fault = |(file, what): (&AcmeFile, String)| {
        Fault::new(file.span.clone(), what, "name a file that usher may read")
    };
    ca.into_iter().chain(key).map(fault).collect()
}

/// What is wrong with the sources of the directory, as far as that can be said without asking them.
fn unusable_of_sources(directory: &Directory) -> Vec<Fault> {
    let mut faults = Vec::new();
    for source in &directory.sources {
        let Some(access) = source.access() else { continue };
        let secret = access.password_file.as_ref();
        let secret = secret.and_then(|file| secret::read(file, &HostOrigin::File, None).err());
        let fault = sources::check(source, directory.deadline).err();
        for what in
            secret.map(|error| error.to_string()).into_iter().chain(fault.map(|fault| fault.to_string()))
        {
            let what = format!("[directory.{}]: {what}", source.name());
            faults.push(Fault::new(access.at.0.clone(), what, "name what usher can use"));
        }
    }
    faults
}

fn no_countries(file: &Named, error: &CountriesError) -> Fault {
    Fault::new(file.span.clone(), error.to_string(), "name a file in MaxMind's format that usher may read")
}

fn has_expired(certificate: &Loaded) -> bool {
    certificate.not_after < usher_backends::roster::now()
}

fn warn_of_expiry(certificate: &Loaded, chain: &Path) {
    if has_expired(certificate) {
        tracing::warn!(chain = %chain.display(), "the certificate has expired; clients will refuse it");
    }
}

/// Why TLS with clients cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsSetupError {
    /// The self-signed certificate could not be made or kept.
    #[error(transparent)]
    SelfSigned(#[from] CertificateError),
    /// An error of rustls.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

/// Sets up TLS with clients from what was read or, without certificates, with a self-signed one. Also returns what
/// configuration profiles are signed with.
///
/// # Errors
/// When the self-signed certificate cannot be made or kept, or TLS cannot be set up.
pub(crate) fn activate(
    snapshot: Snapshot,
    read: Read,
    lasting: &Lasting,
) -> Result<ActiveConfig, TlsSetupError> {
    let Read { text, certificates, clients, profiles, countries } = read;
    let acquired = lasting.acquired.clone();
    let end = |one: &Loaded| (one.chain.display().to_string(), one.not_after);
    let (ends, certificates) = if certificates.is_empty() {
        let (state_dir, name) = (&snapshot.server.state_dir, &snapshot.server.name);
        let made = CertificateSource::SelfSigned { state_dir, name }.load()?;
        tell_of_self_made(&snapshot, &made, &acquired);
        (vec![end(&made)], Certificates::self_made(name, &made, acquired))
    } else {
        (certificates.iter().map(end).collect(), Certificates::new(certificates, acquired))
    };
    let certificates = Arc::new(certificates);
    let of_https = snapshot.https.client_ca.as_ref().and_then(|ca| clients.get(&ca.file));
    let making = Making {
        tls: &snapshot.tls,
        certificates: &certificates,
        ends,
        tickets: &lasting.tickets,
        clients: of_https,
        verifiers: &clients,
    };
    let tls = tls::server_configs(making)?;
    let access = Arc::new(RuleBook::new(snapshot.access.rules.clone(), countries));
    Ok(ActiveConfig { snapshot, text, tls, profiles: profiles.map(|profiles| profiles.key), access })
}

fn tell_of_self_made(snapshot: &Snapshot, made: &Loaded, acquired: &Acquired) {
    let chain = made.chain.display();
    if snapshot.acme.is_none() {
        tracing::warn!(
            %chain,
            "no [[certificate]] is configured: serving a self-signed one, which mail clients will warn about"
        );
    } else if acquired.get(&snapshot.server.name.to_ascii_lowercase()).is_none() {
        tracing::info!(%chain, "clients see a self-signed certificate until the ordered ones are there");
    }
}

/// Checks in advance that the password files of probes and master users can be read; they are read again each time.
pub(crate) fn secrets_are_readable(snapshot: &Snapshot) -> Result<(), ConfigError> {
    let of_probes = snapshot.hosts.iter().filter_map(|host| match &host.health.imap {
        ImapProbe::Login { password_file, .. } => Some(password_file),
        ImapProbe::None | ImapProbe::Tcp | ImapProbe::Tls | ImapProbe::Greeting => None,
    });
    let of_masters = snapshot.hosts.iter().filter_map(|host| Some(&host.external.as_ref()?.password_file));
    let unreadable: Vec<_> = of_probes
        .chain(of_masters)
        .filter_map(|path| secret::read(path, &HostOrigin::File, None).err())
        .collect();
    if unreadable.is_empty() { Ok(()) } else { Err(ConfigError::Secrets(unreadable)) }
}
