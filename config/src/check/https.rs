//! `[https]` and `[client_setup]`.

use super::{Faults, is_host_and_port, is_host_name, networks};
use crate::fault::Fault;
use crate::https::{
    ClientCa, ClientSetup, HostTemplate, Https, Identity, Naming, PathPolicy, PathTemplate, Smtp,
};
use crate::raw::{Located, Octets, Rate, Section};
use crate::snapshot::{Array, Listener, Protocol};
use std::time::Duration;
use usher_policy::identity::ArchiveKey;
use usher_policy::identity::Domains;

pub(super) fn check(
    file: &mut Section<'_>,
    listeners: &[Listener],
    arrays: &[Array],
    domains: &Domains,
    faults: &mut Faults,
) -> Https {
    let mut https = Https::default();
    let Some(mut section) = file.single("https", faults) else { return https };
    if !listeners.iter().any(|listener| listener.protocol() == Protocol::Https) {
        let instead = "add `[[listener]]` with `protocol = \"https\"`, or remove the section";
        faults.push(Fault::new(section.span.clone(), "[https] has no effect without a listener", instead));
    }
    let array: Option<Located<String>> = section.optional("array", faults);
    if let Some(array) = array {
        is_for_http(&array, arrays, faults);
        https.array = Some(array.value);
    }
    let sections = section.tables("identity", "[[https.identity]]", faults);
    if !sections.is_empty() {
        https.identities =
            sections.into_iter().filter_map(|section| identity(section, domains, faults)).collect();
    }
    // A form names the user only once; later requests are identified by the cookie that is set in response.
    let has_form = https.identities.iter().any(|identity| matches!(identity, Identity::Form { .. }));
    if has_form && !https.identities.contains(&Identity::Cookie) {
        https.identities.push(Identity::Cookie);
    }
    let sections = section.tables("path", "[[https.path]]", faults);
    https.paths = sections.into_iter().filter_map(|section| path_policy(section, faults)).collect();
    https.trusted = networks(&section.list("trusted", faults), faults);
    for (key, time) in
        [("response_timeout", &mut https.response_timeout), ("cookie_age", &mut https.cookie_age)]
    {
        if let Some(written) = section.optional::<Duration>(key, faults) {
            *time = written.value;
        }
    }
    https.via = section.optional("via", faults).is_none_or(|via| via.value);
    https.body_limit = section.optional::<Octets>("body_limit", faults).map(|limit| limit.value.0);
    let client_ca: Option<Located<String>> = section.optional("client_ca", faults);
    https.client_ca = client_ca.map(|file| ClientCa { file: file.value.into(), span: file.span });
    let asks = https.client_ca.is_some();
    if !asks && https.identities.contains(&Identity::ClientCertificate) {
        let what = "identities from client certificates need `client_ca`";
        let instead = "add `client_ca = \"/etc/usher/clients.pem\"` to [https]";
        faults.push(Fault::new(section.span.clone(), what, instead));
    }
    section.finish(faults);
    https
}

/// Reports an array that does not exist, or that has members without `http`.
fn is_for_http(array: &Located<String>, arrays: &[Array], faults: &mut Faults) {
    let Some(found) = arrays.iter().find(|found| found.name == array.value) else {
        let known: Vec<_> = arrays.iter().map(|array| array.name.as_str()).collect();
        let what = format!("there is no [[array]] \"{}\"", array.value.escape_debug());
        faults.push(array.fault(what, format!("name one of: {}", known.join(", "))));
        return;
    };
    if let Some(member) = found.members.iter().find(|member| member.http.is_none()) {
        let what = format!("the member \"{}\" of this array has no `http`", member.name.escape_debug());
        let instead = "add `http = { address = \"10.0.0.21:443\", tls = \"implicit\" }` to it";
        faults.push(array.fault(what, instead));
    }
}

#[derive(Clone, Copy)]
enum From {
    Basic,
    Bearer,
    Path,
    Query,
    Host,
    Cookie,
    Form,
    Header,
    ClientCertificate,
}

fn identity(mut section: Section<'_>, domains: &Domains, faults: &mut Faults) -> Option<Identity> {
    let words = [
        ("basic", From::Basic),
        ("bearer", From::Bearer),
        ("path", From::Path),
        ("query", From::Query),
        ("host", From::Host),
        ("cookie", From::Cookie),
        ("form", From::Form),
        ("header", From::Header),
        ("client-certificate", From::ClientCertificate),
    ];
    let there: Option<Located<String>> = section.required("from", "\"basic\"", faults);
    let from = there.and_then(|_| section.word("from", &words, faults));
    let found = match from {
        None => return None,
        Some(From::Basic) => Some(Identity::Basic),
        Some(From::Cookie) => Some(Identity::Cookie),
        Some(From::ClientCertificate) => Some(Identity::ClientCertificate),
        Some(From::Bearer) => {
            let claim = section.optional::<String>("claim", faults).map(|claim| claim.value);
            let claim = claim.unwrap_or_else(|| "preferred_username".to_owned());
            Some(Identity::Bearer { claim, names: names(&mut section, faults) })
        }
        Some(From::Path) => path(&mut section, faults),
        Some(From::Query) => query(&mut section, faults),
        Some(From::Host) => host(&mut section, domains, faults),
        Some(From::Form) => form(&mut section, faults),
        Some(From::Header) => header(&mut section, faults),
    };
    section.finish(faults);
    found
}

/// What kind of key the names stand for.
fn names(section: &mut Section<'_>, faults: &mut Faults) -> Naming {
    let words = [("user", Naming::User), ("tenant", Naming::Tenant), ("domain", Naming::Domain)];
    section.word("names", &words, faults).unwrap_or(Naming::User)
}

fn path(section: &mut Section<'_>, faults: &mut Faults) -> Option<Identity> {
    let template: Located<String> = section.required("template", "\"/{tenant}/\"", faults)?;
    let parsed = PathTemplate::parse(&template.value);
    if parsed.is_none() {
        let instead = "write whole segments, one of them {user}, {tenant} or {domain}: \"/dav/{user}/\"";
        faults.push(template.fault("not a valid path template", instead));
    }
    Some(Identity::Path { template: parsed? })
}

fn query(section: &mut Section<'_>, faults: &mut Faults) -> Option<Identity> {
    let template: Located<String> = section.required("template", "\"?User={user}\"", faults)?;
    let parsed = template.value.strip_prefix('?').and_then(|rest| {
        let (parameter, placeholder) = rest.split_once('=')?;
        let names = match placeholder {
            "{user}" => Naming::User,
            "{tenant}" => Naming::Tenant,
            "{domain}" => Naming::Domain,
            _ => return None,
        };
        (!parameter.is_empty()).then(|| Identity::Query { parameter: parameter.to_owned(), names })
    });
    if parsed.is_none() {
        let instead = "write one parameter with {user}, {tenant} or {domain}: \"?User={user}\"";
        faults.push(template.fault("not a valid query template", instead));
    }
    parsed
}

fn host(section: &mut Section<'_>, domains: &Domains, faults: &mut Faults) -> Option<Identity> {
    let host: Located<String> = section.required("host", "\"{tenant}.example.com\"", faults)?;
    let tenant: Option<Located<String>> = section.optional("tenant", faults);
    let domain: Option<Located<String>> = section.optional("domain", faults);
    let key = match (&tenant, &domain) {
        (Some(tenant), None) => Domains::tenant(tenant.value.as_bytes()),
        (None, Some(domain)) => domains.domain(domain.value.as_bytes()),
        (None, None) => None,
        (Some(_), Some(domain)) => {
            faults.push(domain.fault("a host names a tenant or a domain, not both", "remove one of the two"));
            return None;
        }
    };
    let found = match key {
        Some(key) if is_host_name(&host.value) => Some(one_host(&host.value, key)),
        None if tenant.is_none() && domain.is_none() => HostTemplate::parse(&host.value),
        Some(_) | None => None,
    };
    if found.is_none() {
        let instead = "write \"{tenant}.example.com\", or a name with `tenant = \"acme\"` or \
                       `domain = \"example.com\"` beside it";
        faults.push(host.fault("this host names nobody", instead));
    }
    found.map(|host| Identity::Host { host })
}

fn one_host(host: &str, key: ArchiveKey) -> HostTemplate {
    HostTemplate::One { host: host.to_ascii_lowercase(), key }
}

fn form(section: &mut Section<'_>, faults: &mut Faults) -> Option<Identity> {
    let path = absolute_path(section, "path", "\"/login\"", faults);
    let field: Option<Located<String>> = section.required("field", "\"username\"", faults);
    let names = names(section, faults);
    let refused_with = match section.given_list("refused_with", faults) {
        None => vec![401, 403],
        Some(written) => {
            let statuses: Vec<Located<u32>> = written.iter().filter_map(|item| item.number(faults)).collect();
            for status in statuses.iter().filter(|status| !(200..600).contains(&status.value)) {
                faults.push(status.fault("not the status of a response", "write numbers such as [200, 401]"));
            }
            statuses.into_iter().filter_map(|status| u16::try_from(status.value).ok()).collect()
        }
    };
    Some(Identity::Form { path: path?, field: field?.value, names, refused_with })
}

fn header(section: &mut Section<'_>, faults: &mut Faults) -> Option<Identity> {
    let name: Option<Located<String>> = section.required("name", "\"X-Remote-User\"", faults);
    let span = section.span.clone();
    let senders = networks(&section.list("senders", faults), faults);
    if senders.is_empty() {
        let instead = "add `senders = [\"10.0.0.0/8\"]` with the proxy that sets it";
        faults.push(Fault::new(span, "an identity from a header needs at least one trusted sender", instead));
    }
    let names = names(section, faults);
    let name = name?;
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if name.value.is_empty() || !name.value.bytes().all(is_token) {
        faults.push(name.fault("not the name of a header field", "write letters, digits and hyphens"));
    }
    Some(Identity::Header { name: name.value.to_ascii_lowercase(), senders, names })
}

/// Reads a path in lower case. It must have only one spelling: no escapes, no query, no empty segments.
fn absolute_path(
    section: &mut Section<'_>,
    key: &'static str,
    example: &str,
    faults: &mut Faults,
) -> Option<String> {
    let path: Located<String> = section.required(key, example, faults)?;
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'%' | b'?' | b'#' | b'\\');
    if !path.value.starts_with('/') || !path.value.bytes().all(plain) || path.value.contains("//") {
        faults.push(
            path.fault(format!("`{key}` is not a plain path"), format!("write a path such as {example}")),
        );
    }
    Some(path.value.to_lowercase())
}

fn path_policy(mut section: Section<'_>, faults: &mut Faults) -> Option<PathPolicy> {
    let prefix = absolute_path(&mut section, "prefix", "\"/Microsoft-Server-ActiveSync\"", faults);
    let response_timeout = section.optional("response_timeout", faults).map(|time| time.value);
    let body_limit = section.optional::<Octets>("body_limit", faults).map(|limit| limit.value.0);
    let upgrades = upgrades(&mut section, faults);
    let stalled = section.optional("http_stalled", faults).map(|time| time.value);
    let min_rate = section.optional::<Rate>("http_min_rate", faults).map(|rate| rate.value.0);
    let lenient_paths = section.optional("lenient_paths", faults).is_some_and(|lenient| lenient.value);
    let request_trailers = section.optional("request_trailers", faults).is_some_and(|sent| sent.value);
    section.finish(faults);
    Some(PathPolicy {
        prefix: prefix?,
        response_timeout,
        body_limit,
        upgrades,
        stalled,
        min_rate,
        lenient_paths,
        request_trailers,
    })
}

/// The protocols that a path lets requests switch to.
fn upgrades(section: &mut Section<'_>, faults: &mut Faults) -> Vec<String> {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let mut upgrades = Vec::new();
    for item in section.list("upgrades", faults) {
        let Some(text) = item.text(faults) else { continue };
        let name = text.value.to_ascii_lowercase();
        let mut parts = name.split('/');
        let plain =
            parts.clone().count() <= 2 && parts.all(|part| !part.is_empty() && part.bytes().all(is_token));
        // After switching to one of these, the connection would carry further requests, which nobody would route.
        let carries_requests = name.starts_with("h2") || name.starts_with("http") || name.starts_with("tls");
        if !plain || carries_requests {
            let instead =
                "write the name of another protocol such as \"rdgtunnel\"; `websocket` is always allowed";
            faults.push(text.fault("requests may not switch to this protocol", instead));
        }
        upgrades.push(name);
    }
    upgrades
}

pub(super) fn client_setup(
    file: &mut Section<'_>,
    listeners: &[Listener],
    faults: &mut Faults,
) -> Option<ClientSetup> {
    // Off by default: otherwise mail clients would be drawn away from the server that has the domain's mail.
    let mut section = file.single("client_setup", faults)?;
    let mut setup = ClientSetup { display_name: "Mail archive".to_owned(), smtp: None, signing: None };
    if !listeners.iter().any(|listener| listener.protocol() == Protocol::Https) {
        let instead = "add `[[listener]]` with `protocol = \"https\"`, or remove the section";
        faults.push(Fault::new(section.span.clone(), "[client_setup] is served by HTTPS only", instead));
    }
    let serve = section.optional::<bool>("serve", faults).is_none_or(|serve| serve.value);
    if let Some(name) = section.optional::<String>("display_name", faults) {
        setup.display_name = name.value;
    }
    setup.smtp = section
        .table("smtp", "{ address = \"smtp.example.com:587\", tls = \"starttls\" }", faults)
        .and_then(|section| smtp(section, faults));
    setup.signing = section
        .table("signing", "{ chain = \"/etc/usher/profile.pem\", key = \"/etc/usher/profile.key\" }", faults)
        .and_then(|section| super::certificate::one(section, faults));
    section.finish(faults);
    serve.then_some(setup)
}

fn smtp(mut section: Section<'_>, faults: &mut Faults) -> Option<Smtp> {
    let address: Option<Located<String>> = section.required("address", "\"smtp.example.com:587\"", faults);
    let there: Option<Located<String>> = section.required("tls", "\"starttls\"", faults);
    let words = [("starttls", false), ("implicit", true)];
    let implicit_tls = there.and_then(|_| section.word("tls", &words, faults));
    section.finish(faults);
    let address = address?;
    if !is_host_and_port(&address.value) {
        faults.push(address.fault("`address` is not a host with a port", "write \"smtp.example.com:587\""));
    }
    let (host, port) = address.value.rsplit_once(':')?;
    Some(Smtp { host: host.to_owned(), port: port.parse().ok()?, implicit_tls: implicit_tls? })
}
