//! `[[certificate]]`. The files themselves are checked when they are read.

use super::Faults;
use crate::raw::{Located, Section};
use crate::snapshot::Certificate;

pub(super) fn check(file: &mut Section<'_>, faults: &mut Faults) -> Vec<Certificate> {
    let sections = file.many("certificate", faults);
    sections.into_iter().filter_map(|section| one(section, faults)).collect()
}

/// Reads a section that names a chain and its key.
pub(super) fn one(mut section: Section<'_>, faults: &mut Faults) -> Option<Certificate> {
    let span = section.span.clone();
    let chain: Option<Located<String>> =
        section.required("chain", "\"/etc/usher/mail.example.com.pem\"", faults);
    let key: Option<Located<String>> = section.required("key", "\"/etc/usher/mail.example.com.key\"", faults);
    let password: Option<Located<String>> = section.optional("key_password_file", faults);
    section.finish(faults);
    let key_password_file = password.map(|file| file.value.into());
    Some(Certificate { chain: chain?.value.into(), key: key?.value.into(), key_password_file, span })
}
