//! `[acme]`.

use super::Faults;
use crate::fault::Fault;
use crate::raw::{Located, Section};
use crate::snapshot::acme::is_orderable;
use crate::snapshot::{Acme, AcmeFile, AcmeKey, ExternalAccount, Listener, Protocol, Serves, Snapshot};
use std::time::Duration;

/// After a first failure: five attempts are within an hour, as many as authorities allow for a name.
const RETRY: Duration = Duration::from_secs(30);

pub(super) fn check(file: &mut Section<'_>, listeners: &[Listener], faults: &mut Faults) -> Option<Acme> {
    let mut section = file.single("acme", faults)?;
    let directory: Option<Located<String>> =
        section.required("directory", "\"https://acme-v02.api.letsencrypt.org/directory\"", faults);
    if let Some(directory) = &directory
        && (!directory.value.starts_with("https://") || directory.value.contains(char::is_whitespace))
    {
        let instead = "write it as the authority gives it, beginning with \"https://\"";
        faults.push(directory.fault("not the address of an ACME directory", instead));
    }
    let accepts = section.optional::<bool>("accept_terms", faults);
    if !accepts.as_ref().is_some_and(|accepts| accepts.value) {
        let span = accepts.map_or_else(|| section.span.clone(), |accepts| accepts.span);
        let instead = "read the terms of the authority's service, and then write `accept_terms = true`";
        faults.push(Fault::new(
            span,
            "no certificate is given unless the authority's terms are accepted",
            instead,
        ));
    }
    let contact = contact(&mut section, faults);
    let names = names(&mut section, faults);
    let ca = file_at(section.optional("ca", faults));
    let example = "{ id = \"kid-1\", key_file = \"/etc/usher/acme.key\" }";
    let account = section.table("external_account", example, faults);
    let external_account = account.and_then(|mut account| {
        let id: Option<Located<String>> = account.required("id", "\"kid-1\"", faults);
        let key_file = file_at(account.required("key_file", "\"/etc/usher/acme.key\"", faults));
        account.finish(faults);
        Some(ExternalAccount { id: id?.value, key_file: key_file? })
    });
    let key = section.word("key", &[("ecdsa", AcmeKey::Ecdsa), ("rsa", AcmeKey::Rsa)], faults);
    let retry: Option<Located<Duration>> = section.optional("retry", faults);
    let can_be_asked = listeners.iter().any(|listener| {
        listener.protocol() == Protocol::Https || matches!(listener.serves, Serves::HttpRedirect(_))
    });
    if !can_be_asked {
        let instead = "add a `[[listener]]` with `protocol = \"https\"`, on port 443 or with `redirect_from` on port 80";
        let what = "the authority asks for a proof by HTTP or HTTPS, and no listener speaks either";
        faults.push(Fault::new(section.span.clone(), what, instead));
    }
    let span = section.span.clone();
    section.finish(faults);
    Some(Acme {
        directory: directory?.value,
        contact,
        names,
        ca,
        external_account,
        key: key.unwrap_or(AcmeKey::Ecdsa),
        span,
        retry: retry.map_or(RETRY, |retry| retry.value),
    })
}

/// The snapshot, if there is a name that a certificate can be ordered for.
pub(super) fn has_names(snapshot: Snapshot) -> Result<Snapshot, Vec<Fault>> {
    let span = snapshot.acme.as_ref().map(|acme| acme.span.clone());
    match span.filter(|_| snapshot.acme_names().is_empty()) {
        None => Ok(snapshot),
        Some(span) => {
            let what = "there is no name that a certificate can be ordered for";
            let instead = "give [server] a `name` such as \"mail.example.com\", or list `names`; others than ASCII as \"xn--…\"";
            Err(vec![Fault::new(span, what, instead)])
        }
    }
}

fn file_at(written: Option<Located<String>>) -> Option<AcmeFile> {
    written.map(|file| AcmeFile { path: file.value.into(), span: file.span })
}

fn contact(section: &mut Section<'_>, faults: &mut Faults) -> Vec<String> {
    let mut contact = Vec::new();
    for item in section.list("contact", faults) {
        let Some(text) = item.text(faults) else { continue };
        let is_address = text.value.strip_prefix("mailto:").is_some_and(|address| {
            address.split_once('@').is_some_and(|(user, domain)| !user.is_empty() && domain.contains('.'))
                && address.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b',' | b'?'))
        });
        if is_address {
            contact.push(text.value);
        } else {
            let instead = "write one such as \"mailto:postmaster@example.com\"";
            faults.push(text.fault("not the address of somebody to write to", instead));
        }
    }
    contact
}

fn names(section: &mut Section<'_>, faults: &mut Faults) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for item in section.given_list("names", faults)? {
        let Some(text) = item.text(faults) else { continue };
        let name = text.value.to_ascii_lowercase();
        if !is_orderable(&name) {
            let what = format!("no certificate can be had for \"{}\"", text.value.escape_debug());
            let instead = "write a whole name such as \"mail.example.com\", without wildcards: those need a proof by DNS";
            faults.push(text.fault(what, instead));
        } else if names.contains(&name) {
            faults.push(text.fault(format!("the name \"{name}\" is listed twice"), "remove one of the two"));
        } else {
            names.push(name);
        }
    }
    Some(names)
}
