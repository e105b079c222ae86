//! `[directory.ldap]`.

use super::access::{access, keep_secret};
use crate::check::Faults;
use crate::fault::Fault;
use crate::raw::{Located, Section};
use crate::snapshot::{Ldap, SourceAccess};

pub(super) const EXAMPLE: &str = "{ urls = [\"ldaps://ldap1.example.com\"], base = \"dc=example,dc=com\" }";

/// What is searched in directories of a kind that many have.
#[derive(Clone, Copy)]
struct Preset {
    filter: &'static str,
    domain_filter: Option<&'static str>,
    host: &'static str,
}

const MAIL_HOST: Preset = Preset {
    filter: "(&(objectClass=inetLocalMailRecipient)(mailLocalAddress={user}))",
    domain_filter: Some("(&(objectClass=inetLocalMailRecipient)(mailLocalAddress=@{domain}))"),
    host: "mailHost",
};

const ZIMBRA: Preset = Preset {
    filter: "(|(zimbraMailDeliveryAddress={user})(zimbraMailAlias={user})(zimbraId={user}))",
    domain_filter: None,
    host: "zimbraMailHost",
};

const ACTIVE_DIRECTORY: Preset = Preset {
    filter: "(&(objectClass=user)(|(userPrincipalName={user})(mail={user})(proxyAddresses=smtp:{user})))",
    domain_filter: None,
    host: "msExchHomeServerName",
};

pub(super) fn check(mut section: Section<'_>, faults: &mut Faults) -> Option<Ldap> {
    let access = access(
        &mut section,
        "password_file",
        &["ldap://", "ldaps://", "ldapi://"],
        "\"ldaps://ldap1.example.com\"",
        faults,
    );
    let starttls: Option<Located<bool>> = section.optional("starttls", faults);
    let text = |written: Option<Located<String>>| written.map(|text| text.value);
    let bind_dn = text(section.optional("bind_dn", faults));
    let base: Option<Located<String>> = section.required("base", "\"dc=example,dc=com\"", faults);
    let presets = [("mailhost", MAIL_HOST), ("zimbra", ZIMBRA), ("active-directory", ACTIVE_DIRECTORY)];
    let preset = section.word("preset", &presets, faults);
    let filter: Option<Located<String>> = section.optional("filter", faults);
    let domain_filter: Option<Located<String>> = section.optional("domain_filter", faults);
    for filter in [&filter, &domain_filter].into_iter().flatten() {
        let names = ["{user}", "{name}", "{domain}"];
        if !names.iter().any(|name| filter.value.contains(name)) {
            let instead = "write one such as \"(mail={user})\"";
            faults.push(filter.fault("the filter is the same for everybody", instead));
        }
    }
    let host = text(section.optional("host_attribute", faults));
    let login_attribute = text(section.optional("login_attribute", faults));
    let mut attributes = Vec::new();
    for item in section.list("attributes", faults) {
        attributes.extend(item.text(faults).map(|name| name.value));
    }
    let is_told = preset.is_some() || filter.is_some() && host.is_some();
    // A reader that only wants to know what may be written has no place for it.
    if !is_told && !section.span.is_empty() {
        let what = "nothing says what is searched";
        let instead = "add `preset = \"mailhost\"`, or both `filter` and `host_attribute`";
        faults.push(Fault::new(section.span.clone(), what, instead));
    }
    let begins_tls = starttls.as_ref().is_some_and(|starttls| starttls.value);
    let has_secret = bind_dn.is_some() && !begins_tls;
    keep_secret(
        &mut section,
        access.as_ref(),
        has_secret,
        "ldap://",
        "\"ldaps://…\", or `starttls = true`",
        faults,
    );
    if let Some(access) = access.as_ref().filter(|access| bind_dn.is_some() && access.password_file.is_none())
    {
        // Servers take a name without a password for nobody (RFC 4513 section 5.1.2).
        let instead = "add `password_file = \"/etc/usher/ldap.secret\"`";
        faults.push(Fault::new(access.at.0.clone(), "`bind_dn` without a password is nobody", instead));
    }
    access.iter().for_each(|access| refuse_useless(access, begins_tls, faults));
    let preset = preset.unwrap_or(MAIL_HOST);
    if let (Some(access), true) = (&access, starttls.as_ref().is_some_and(|starttls| starttls.value))
        && access.urls.iter().any(|url| !url.starts_with("ldap://"))
    {
        let instead = "write addresses that begin with \"ldap://\", or remove `starttls`";
        faults.push(Fault::new(access.at.0.clone(), "STARTTLS begins without TLS", instead));
    }
    section.finish(faults);
    let own = filter.is_some();
    Some(Ldap {
        access: access?,
        starttls: starttls.is_some_and(|starttls| starttls.value),
        bind_dn,
        base: base?.value,
        filter: text(filter).unwrap_or_else(|| preset.filter.to_owned()),
        domain_filter: text(domain_filter)
            .or_else(|| preset.domain_filter.filter(|_| !own).map(ToOwned::to_owned)),
        host_attribute: host.unwrap_or_else(|| preset.host.to_owned()),
        login_attribute,
        attributes,
    })
}

/// Refuses addresses at which no server can be reached.
fn refuse_useless(access: &SourceAccess, begins_tls: bool, faults: &mut Faults) {
    let is_useless = |url: &String| {
        let rest = url.split_once("://").map_or("", |(_, rest)| rest);
        let has_tls = url.starts_with("ldaps://") || begins_tls;
        rest.trim_matches('/').is_empty() || has_tls && rest.starts_with('[')
    };
    if access.urls.iter().any(is_useless) {
        let what = "no server can be reached so: TLS needs a name or an IPv4 address, and a socket its path";
        let instead = "write such as \"ldaps://ldap1.example.com\" or \"ldapi://%2Frun%2Fslapd%2Fldapi\"";
        faults.push(Fault::new(access.at.0.clone(), what, instead));
    }
}
