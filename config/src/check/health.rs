//! `[instance_host.health]` and `[array.health]`.

use super::{Faults, is_host_and_port};
use crate::fault::Fault;
use crate::health::{HealthPolicy, HttpProbe, ImapProbe, TcpProbe};
use crate::raw::{Located, Section};

/// What a section belongs to, which decides the protocols it may configure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Host,
    Array,
}

const EXAMPLE: &str = "{ interval = \"5s\" }";

pub(super) fn check(owner: &mut Section<'_>, of: Of, faults: &mut Faults) -> HealthPolicy {
    let mut policy = HealthPolicy::default();
    let Some(mut section) = owner.table("health", EXAMPLE, faults) else { return policy };
    for (key, time) in
        [("interval", &mut policy.interval), ("timeout", &mut policy.timeout), ("ramp", &mut policy.ramp)]
    {
        if let Some(written) = section.optional(key, faults) {
            *time = written.value;
        }
    }
    for (key, count) in [("rise", &mut policy.rise), ("fall", &mut policy.fall)] {
        if let Some(written) = section.optional(key, faults) {
            *count = written.value;
        }
    }
    match of {
        Of::Host => {
            policy.agent = agent(&mut section, faults);
            if let Some(probe) = imap(&mut section, faults) {
                policy.imap = probe;
            }
        }
        Of::Array => {
            if let Some(probe) = tcp(&mut section, faults) {
                policy.tcp = probe;
            }
        }
    }
    if let Some(probe) = http(&mut section, faults) {
        policy.http = probe;
    }
    section.finish(faults);
    policy
}

/// The `agent` of a backend.
pub(super) fn agent(section: &mut Section<'_>, faults: &mut Faults) -> Option<String> {
    let agent: Located<String> = section.optional("agent", faults)?;
    if !is_host_and_port(&agent.value) {
        faults.push(agent.fault("`agent` is not a host with a port", "write it as \"10.0.0.11:9777\""));
    }
    Some(agent.value)
}

#[derive(Clone, Copy, PartialEq)]
enum Depth {
    None,
    Tcp,
    Tls,
    Greeting,
    Login,
    Get,
}

fn depth(section: &mut Section<'_>, words: &[(&str, Depth)], faults: &mut Faults) -> Option<Depth> {
    section.demand("probe", "\"tcp\"", faults);
    section.word("probe", words, faults)
}

fn imap(health: &mut Section<'_>, faults: &mut Faults) -> Option<ImapProbe> {
    let mut section = health.table("imap", "{ probe = \"greeting\" }", faults)?;
    let span = section.span.clone();
    let words = [
        ("none", Depth::None),
        ("tcp", Depth::Tcp),
        ("tls", Depth::Tls),
        ("greeting", Depth::Greeting),
        ("login", Depth::Login),
    ];
    let depth = depth(&mut section, &words, faults);
    let user: Option<Located<String>> = section.optional("user", faults);
    let password: Option<Located<String>> = section.optional("password_file", faults);
    section.finish(faults);
    match (depth?, user, password) {
        (Depth::Login, Some(user), Some(file)) => {
            Some(ImapProbe::Login { user: user.value, password_file: file.value.into() })
        }
        (Depth::Login, _, _) => {
            let instead =
                "add `user = \"probe@example.com\"` and `password_file = \"/etc/usher/probe.secret\"`";
            faults.push(Fault::new(span, "a login needs a user and a password", instead));
            None
        }
        (_, Some(value), _) | (_, None, Some(value)) => {
            let instead = "write `probe = \"login\"`, or remove the user and the password";
            faults.push(value.fault("only the probe \"login\" logs in", instead));
            None
        }
        (Depth::Tcp, None, None) => Some(ImapProbe::Tcp),
        (Depth::Tls, None, None) => Some(ImapProbe::Tls),
        (Depth::Greeting, None, None) => Some(ImapProbe::Greeting),
        (Depth::None | Depth::Get, None, None) => Some(ImapProbe::None),
    }
}

fn http(health: &mut Section<'_>, faults: &mut Faults) -> Option<HttpProbe> {
    let mut section = health.table("http", "{ probe = \"get\", path = \"/\" }", faults)?;
    let words = [("none", Depth::None), ("tcp", Depth::Tcp), ("tls", Depth::Tls), ("get", Depth::Get)];
    let depth = depth(&mut section, &words, faults);
    let path: Option<Located<String>> = section.optional("path", faults);
    let status: Option<Located<u32>> = section.optional("status", faults);
    let body: Option<Located<String>> = section.optional("body", faults);
    section.finish(faults);
    if let Some(path) = path.as_ref().filter(|path| !is_path(&path.value)) {
        faults.push(path.fault("`path` is not a valid path", "write one such as \"/healthcheck.htm\""));
    }
    let in_range = |status: &&Located<u32>| !(100..=599).contains(&status.value);
    if let Some(status) = status.as_ref().filter(in_range) {
        faults.push(status.fault("`status` is not an HTTP status", "write a number from 100 to 599"));
    }
    let asks = [path.as_ref().map(|path| &path.span), body.as_ref().map(|body| &body.span)];
    let asks = asks.into_iter().flatten().chain(status.as_ref().map(|status| &status.span)).next().cloned();
    if let (Some(Depth::None | Depth::Tcp | Depth::Tls), Some(span)) = (depth, asks) {
        let instead = "write `probe = \"get\"`, or remove `path`, `status` and `body`";
        faults.push(Fault::new(span, "only the probe \"get\" sends a request", instead));
    }
    Some(match depth? {
        Depth::Get => HttpProbe::Get {
            path: path.map_or_else(|| "/".to_owned(), |path| path.value),
            status: status.and_then(|status| u16::try_from(status.value).ok()).unwrap_or(200),
            body: body.map(|body| body.value).filter(|body| !body.is_empty()),
        },
        Depth::Tls => HttpProbe::Tls,
        Depth::Tcp => HttpProbe::Tcp,
        Depth::None | Depth::Greeting | Depth::Login => HttpProbe::None,
    })
}

fn is_path(path: &str) -> bool {
    path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic() && b != b'#')
}

fn tcp(health: &mut Section<'_>, faults: &mut Faults) -> Option<TcpProbe> {
    let mut section = health.table("tcp", "{ probe = \"tcp\" }", faults)?;
    let depth = depth(&mut section, &[("none", Depth::None), ("tcp", Depth::Tcp)], faults);
    section.finish(faults);
    Some(if depth? == Depth::Tcp { TcpProbe::Tcp } else { TcpProbe::None })
}
