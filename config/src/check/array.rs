//! `[[array]]`.

use super::host::{client_address, client_certificate, http, initial_state, pins};
use super::{Faults, health, is_host_and_port, is_host_name, unique};
use crate::fault::Fault;
use crate::raw::{Located, Section};
use crate::snapshot::{Affinity, Array, Balance, ClientAddress, Listener, Member, TcpEndpoint};
use std::collections::HashMap;

pub(super) fn check(file: &mut Section<'_>, listeners: &[Listener], faults: &mut Faults) -> Vec<Array> {
    let mut seen = HashMap::new();
    let sections = file.many("array", faults);
    let arrays: Vec<_> =
        sections.into_iter().filter_map(|section| one(section, listeners, &mut seen, faults)).collect();
    for listener in listeners {
        // A missing or empty name has already been reported.
        let Some(name) = listener.array().filter(|name| !name.is_empty()) else { continue };
        let Some(array) = arrays.iter().find(|array| array.name == name) else {
            if !seen.contains_key(name) {
                let known: Vec<_> = arrays.iter().map(|array| array.name.as_str()).collect();
                let instead = format!("name one of: {}", known.join(", "));
                let what = format!("there is no [[array]] \"{}\"", name.escape_debug());
                faults.push(Fault::new(listener.span.clone(), what, instead));
            }
            continue;
        };
        if array.affinity == Affinity::Cookie {
            let what = "this array has cookie affinity, which plain TCP does not support";
            faults.push(Fault::new(
                listener.span.clone(),
                what,
                "write `affinity = \"address\"` in the array",
            ));
        }
        if let Some(member) = array.members.iter().find(|member| member.tcp.is_none()) {
            let what = format!("the member \"{}\" of this array has no `tcp`", member.name.escape_debug());
            faults.push(Fault::new(
                listener.span.clone(),
                what,
                "add `tcp = { address = \"10.0.0.21\" }` to it",
            ));
        }
    }
    arrays
}

fn one(
    mut section: Section<'_>,
    listeners: &[Listener],
    seen: &mut HashMap<String, ()>,
    faults: &mut Faults,
) -> Option<Array> {
    let name: Option<Located<String>> = section.required("name", "\"cas\"", faults);
    if let Some(name) = &name {
        unique(seen, name.value.clone(), name, "the array", faults);
    }
    let words = [
        ("least-sessions", Balance::LeastSessions),
        ("round-robin", Balance::RoundRobin),
        ("random-two", Balance::RandomTwo),
        ("source-hash", Balance::SourceHash),
        ("first", Balance::First),
    ];
    let balance = section.word("balance", &words, faults);
    let words = [("none", Affinity::None), ("address", Affinity::Address), ("cookie", Affinity::Cookie)];
    let affinity = section.word("affinity", &words, faults);
    let health = health::check(&mut section, health::Of::Array, faults);
    let span = section.span.clone();
    let tables = section.tables("members", "a member of [[array]]", faults);
    if tables.is_empty() {
        let instead =
            "add `members = [ { name = \"cas1.example.com\", tcp = { address = \"10.0.0.21\" } } ]`";
        faults.push(Fault::new(span, "an array without members cannot serve anybody", instead));
    }
    let mut names = HashMap::new();
    let members = tables.into_iter().filter_map(|table| member(table, &mut names, faults)).collect();
    section.finish(faults);
    let name = name?.value;
    let probe_port = listeners
        .iter()
        .find(|listener| listener.array() == Some(name.as_str()))
        .map(|listener| listener.address.port());
    Some(Array {
        name,
        balance: balance.unwrap_or(Balance::LeastSessions),
        affinity: affinity.unwrap_or(Affinity::None),
        members,
        health,
        probe_port,
    })
}

fn member(mut section: Section<'_>, names: &mut HashMap<String, ()>, faults: &mut Faults) -> Option<Member> {
    let name: Option<Located<String>> = section.required("name", "\"cas1.example.com\"", faults);
    if let Some(name) = &name {
        if is_host_name(&name.value) {
            unique(names, name.value.to_ascii_lowercase(), name, "the member", faults);
        } else {
            faults.push(name.fault("`name` is not a host name", "write a name such as \"cas1.example.com\""));
        }
    }
    let tcp =
        section.table("tcp", "{ address = \"10.0.0.21\" }", faults).and_then(|tcp| endpoint(tcp, faults));
    let http = http(&mut section, faults);
    let weight = section.optional("weight", faults);
    let agent = health::agent(&mut section, faults);
    let has_tls = http.as_ref().is_some_and(|http| http.tls);
    if let Some(first) = section.list("fingerprints", faults).first().filter(|_| !has_tls) {
        let instead = "write `http = { …, tls = \"implicit\" }`, or remove the fingerprints";
        faults.push(Fault::new(first.span.clone(), "fingerprints without TLS are never checked", instead));
    }
    let pins = pins(&mut section, faults);
    let client_certificate = client_certificate(&mut section, faults);
    let max_sessions = section.optional("max_sessions", faults);
    let initial_state = initial_state(&mut section, faults);
    section.finish(faults);
    Some(Member {
        name: name?.value.to_ascii_lowercase(),
        tcp,
        http,
        agent,
        weight: weight.map_or(1, |weight: Located<u32>| weight.value),
        pins,
        client_certificate,
        max_sessions: max_sessions.map(|most| most.value),
        initial_state,
    })
}

fn endpoint(mut section: Section<'_>, faults: &mut Faults) -> Option<TcpEndpoint> {
    let address: Option<Located<String>> = section.required("address", "\"10.0.0.21\"", faults);
    let told = client_address(&mut section, faults);
    let span = section.span.clone();
    section.finish(faults);
    if told == ClientAddress::ImapId {
        let instead = "write \"proxy-v1\" or \"proxy-v2\"";
        faults.push(Fault::new(span, "plain TCP has no IMAP ID", instead));
    }
    let address = address?;
    let written = &address.value;
    let is_address = written.parse::<std::net::IpAddr>().is_ok();
    let (host, port) = if is_address || is_host_name(written) {
        (written.clone(), None)
    } else if is_host_and_port(written) {
        let (host, port) = written.rsplit_once(':')?;
        (host.trim_matches(['[', ']']).to_owned(), port.parse().ok())
    } else {
        let instead = "write an address or a name, with or without a port: \"10.0.0.21\", \"10.0.0.21:135\"";
        faults.push(address.fault("`address` is not a host name or an address", instead));
        return None;
    };
    Some(TcpEndpoint { host, port, client_address: told })
}
