//! Where a source is, and what it asks for before it answers.

use crate::check::Faults;
use crate::raw::{Located, Section};
use crate::snapshot::{At, SourceAccess};
use std::path::PathBuf;

/// What all sources have: where they are, and what is needed to be answered there. `schemes` are the beginnings that an
/// address may have.
pub(super) fn access(
    section: &mut Section<'_>,
    secret: &'static str,
    schemes: &[&str],
    example: &str,
    faults: &mut Faults,
) -> Option<SourceAccess> {
    let several = section.given_list("urls", faults);
    let written: Vec<Located<String>> = match several {
        Some(items) => items.into_iter().filter_map(|item| item.text(faults)).collect(),
        None => section.required("url", example, faults).into_iter().collect(),
    };
    let mut urls = Vec::new();
    for url in written {
        match what_is_wrong(&url.value, schemes) {
            None => urls.push(url.value),
            Some(what) => faults.push(url.fault(what, format!("write `url = {example}`"))),
        }
    }
    let file = |written: Option<Located<String>>| written.map(|file| PathBuf::from(file.value));
    let ca = file(section.optional("ca", faults));
    let password_file = file(section.optional(secret, faults));
    let at = At(section.span.clone());
    (!urls.is_empty()).then_some(SourceAccess { urls, ca, password_file, at })
}

/// Whether what is sent to an address does not leave this machine.
pub(super) fn is_near(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    ["127.", "localhost", "[::1]"].iter().any(|near| host.starts_with(near)) || host.is_empty()
}

fn what_is_wrong(url: &str, schemes: &[&str]) -> Option<String> {
    let Some(rest) = schemes.iter().find_map(|scheme| url.strip_prefix(scheme)) else {
        return Some(format!("the address does not begin with {}", schemes.join(" or ")));
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let has_password = authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'));
    if has_password || rest.contains("password=") {
        return Some("a password does not belong in an address, which is shown to whoever asks".to_owned());
    }
    let is_text = url.chars().all(|c| !c.is_control() && !c.is_whitespace());
    (!is_text).then(|| "not an address: there are spaces in it".to_owned())
}
