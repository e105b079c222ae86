//! Where a source is, and what it asks for before it answers.

use crate::check::Faults;
use crate::fault::Fault;
use crate::raw::{Located, Section};
use crate::snapshot::{At, SourceAccess};
use std::net::IpAddr;
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
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((ip, _)) => ip,
        None => host.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Refuses a secret that could be read on its way, unless the operator answers for the network.
pub(super) fn keep_secret(
    section: &mut Section<'_>,
    access: Option<&SourceAccess>,
    has_secret: bool,
    plain: &str,
    instead: &str,
    faults: &mut Faults,
) {
    let trusts: Option<Located<bool>> = section.optional("trusted_network", faults);
    let Some(access) = access.filter(|_| has_secret && !trusts.is_some_and(|trusts| trusts.value)) else {
        return;
    };
    if access.urls.iter().any(|url| url.starts_with(plain) && !is_near(url)) {
        let what = "a password could be read on its way";
        let instead =
            format!("write {instead}, or `trusted_network = true` if nobody else can be on the way");
        faults.push(Fault::new(access.at.0.clone(), what, instead));
    }
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

#[cfg(test)]
mod tests {
    use super::is_near;

    #[test]
    fn only_this_machine_is_near() {
        for near in
            ["ldap://127.0.0.1:389", "http://localhost/a", "redis://u@[::1]:6379/0", "http://127.9.9.9?x"]
        {
            assert!(is_near(near), "{near}");
        }
        for far in [
            "ldap://127.evil.example",
            "http://localhost.evil.example/",
            "redis://10.0.0.1",
            "http://localhost@10.0.0.1/",
            "ldap://",
        ] {
            assert!(!is_near(far), "{far}");
        }
    }
}
