//! What `usher check` examines beyond the text: the files that it names, and what this machine can provide.

use crate::countries::Countries;
use crate::load::secrets_are_readable;
use crate::tls::{self, CertificateSource};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use usher_backends::roster::now;
use usher_config::named::names;
use usher_config::snapshot::Certificate;
use usher_config::{Fault, Snapshot};

/// What was found.
#[derive(Default)]
pub(crate) struct Findings {
    /// Faults with which usher does not start.
    pub(crate) faults: Vec<Fault>,
    /// Problems with which it starts, but somebody will have a bad time.
    pub(crate) warnings: Vec<Fault>,
}

/// Examines what `text` names, and also its listeners if it could be turned into a snapshot.
pub(crate) fn inspect(text: &str, snapshot: Option<&Snapshot>) -> Findings {
    let names = names(text);
    let mut found = Findings::default();
    for certificate in &names.certificates {
        look_at_certificate(certificate, &mut found);
    }
    if let Some(signing) = &names.signing
        && let Err(error) = CertificateSource::Files(signing).load()
    {
        found.faults.push(super::unusable(&signing.span, &error));
    }
    for file in &names.client_cas {
        if let Err(error) = tls::client_verifier(&file.path) {
            found.faults.push(super::unusable(&file.span, &error));
        }
    }
    if let Some(file) = &names.countries
        && let Err(error) = Countries::read(&file.path)
    {
        found.faults.push(super::no_countries(file, &error));
    }
    found
        .faults
        .extend(snapshot.into_iter().flat_map(|snapshot| super::unusable_of_sources(&snapshot.directory)));
    let ordered = snapshot.map(Snapshot::acme_names).unwrap_or_default();
    let is_ordered = |name: &String| ordered.contains(&name.to_ascii_lowercase());
    let server = names.server.as_ref().filter(|name| !is_ordered(name));
    look_at_names(&names.certificates, server.map(String::as_str), &mut found);
    if let Some(dir) = names.state_dir.filter(|dir| dir.path.exists() && !dir.path.is_dir()) {
        let what = format!("{} is not a directory", dir.path.display());
        found.faults.push(Fault::new(
            dir.span,
            what,
            "name a directory, or a path where usher may create one",
        ));
    }
    for file in names.token_files {
        if let Err(error) = std::fs::read(&file.path) {
            let what = format!("{}: {error}", file.path.display());
            let instead = "name a file that usher may read, with the token in it";
            found.faults.push(Fault::new(file.span, what, instead));
        }
    }
    for (service, span) in names.idle_probes {
        let what = format!("this host has no `{service}`, so nothing is probed");
        found.warnings.push(Fault::new(
            span,
            what,
            format!("add `{service} = {{ … }}` to the host, or remove the probe"),
        ));
    }
    if let Some(snapshot) = snapshot {
        look_at_ranges(snapshot, &mut found);
        found.faults.extend(super::unusable_of_acme(snapshot.acme.as_ref()));
        if let Err(unreadable) = secrets_are_readable(snapshot) {
            found.faults.push(Fault::new(
                0..0,
                unreadable.to_string(),
                "see the `password_file` of the hosts' probes",
            ));
        }
    }
    found
}

fn look_at_certificate(certificate: &Certificate, found: &mut Findings) {
    let Certificate { chain, key, span, .. } = certificate;
    let loaded = match CertificateSource::Files(certificate).load() {
        Ok(loaded) => loaded,
        Err(error) => return found.faults.push(super::unusable(span, &error)),
    };
    let mut warn = |what: String, instead: &str| found.warnings.push(Fault::new(span.clone(), what, instead));
    if loaded.not_after < now() {
        warn(
            format!("{}: the certificate has expired", chain.display()),
            "name one that clients will accept",
        );
    }
    if loaded.not_before > now() {
        let what = format!("{}: the certificate is not valid yet", chain.display());
        warn(what, "name one that clients will accept, or set this machine's clock");
    }
    if std::fs::metadata(key).is_ok_and(|about| about.permissions().mode() & 0o007 != 0) {
        let what = format!("{} can be read by every user of this machine", key.display());
        warn(what, "chmod 0600, or 0640 for usher's group");
    }
}

/// Clients ask for the server's name.
fn look_at_names(certificates: &[Certificate], name: Option<&str>, found: &mut Findings) {
    let (Some(first), Some(name)) = (certificates.first(), name) else { return };
    let loaded: Vec<_> =
        certificates.iter().filter_map(|it| CertificateSource::Files(it).load().ok()).collect();
    if !loaded.is_empty() && !tls::Certificates::new(loaded, Arc::default()).has(&name.to_ascii_lowercase()) {
        let what = format!("no certificate is valid for {name:?}, the [server] name");
        found.warnings.push(Fault::new(
            first.span.clone(),
            what,
            "name one that has it among its subject alternative names",
        ));
    }
}

/// Each port of a range has a socket of its own.
fn look_at_ranges(snapshot: &Snapshot, found: &mut Findings) {
    let Some(most) = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum else { return };
    for listener in &snapshot.listeners {
        let sockets = listener.open_ports().len() as u64;
        if sockets >= most {
            let what = format!("this needs {sockets} sockets, but usher may have only {most} files open");
            let instead = "add `redirected = true` and let the firewall redirect the range to one port, or name fewer ports";
            found.faults.push(Fault::new(listener.span.clone(), what, instead));
        }
    }
}
