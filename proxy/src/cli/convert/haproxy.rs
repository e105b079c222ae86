//! haproxy.cfg: sections of lines; what is at the ports of mail has homes, everything else is equal servers.

use super::draft::{Array, Draft, Host, Listener, Member, listening, protocol_at};
use std::collections::BTreeMap;

#[derive(Debug, Default)]
struct Section {
    kind: String,
    name: String,
    binds: Vec<(usize, Vec<String>)>,
    servers: Vec<(usize, Vec<String>)>,
    default: Option<String>,
    balance: Option<&'static str>,
    is_http: bool,
}

pub(super) fn read(text: &str) -> Draft {
    let mut draft = Draft::default();
    let mut sections: Vec<Section> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let Some(first) = words.first() else { continue };
        if !line.starts_with([' ', '\t']) {
            let name = words.get(1).cloned().unwrap_or_default();
            sections.push(Section { kind: first.clone(), name, ..Section::default() });
            continue;
        }
        let Some(section) = sections.last_mut() else { continue };
        let second = words.get(1).map(String::as_str).unwrap_or_default();
        match first.as_str() {
            "bind" => section.binds.push((at + 1, words)),
            "server" => section.servers.push((at + 1, words)),
            "default_backend" => section.default = Some(second.to_owned()),
            "mode" => section.is_http = second == "http",
            "balance" => match balance(second) {
                Some(balance) => section.balance = Some(balance),
                None => draft.note(at + 1, format!("there is no balance {second}")),
            },
            // Health is checked, and times are what usher's are, without being told.
            "option" | "timeout" | "log" | "maxconn" | "stats" | "user" | "group" | "daemon" | "chroot" => {}
            _ => draft.note(at + 1, format!("not carried over: {first}")),
        }
    }
    let http_by_default = sections.iter().any(|section| section.kind == "defaults" && section.is_http);
    let backends: BTreeMap<String, usize> = sections
        .iter()
        .enumerate()
        .filter(|(_, section)| matches!(section.kind.as_str(), "backend" | "listen"))
        .map(|(at, section)| (section.name.clone(), at))
        .collect();
    for front in sections.iter().filter(|section| matches!(section.kind.as_str(), "frontend" | "listen")) {
        let named = front.default.clone().unwrap_or_else(|| front.name.clone());
        let Some(back) = backends.get(&named).and_then(|at| sections.get(*at)) else { continue };
        for (line, bind) in &front.binds {
            bound(&mut draft, *line, bind, back, http_by_default || front.is_http);
        }
    }
    draft
}

fn balance(word: &str) -> Option<&'static str> {
    match word.split('(').next().unwrap_or_default() {
        "leastconn" => Some("least-sessions"),
        "roundrobin" | "static-rr" => Some("round-robin"),
        "source" => Some("source-hash"),
        "random" => Some("random-two"),
        "first" => Some("first"),
        _ => None,
    }
}

/// One address of a frontend, and where it leads.
fn bound(draft: &mut Draft, line: usize, bind: &[String], back: &Section, is_http: bool) {
    let Some((host, port)) = bind.get(1).and_then(|address| address.rsplit_once(':')) else {
        return draft.note(line, "not an address with a port");
    };
    let has = |word: &str| bind.iter().any(|known| known == word);
    let usual = protocol_at(port.get(port.len().saturating_sub(3)..).unwrap_or(port));
    let protocol = if is_http { "https" } else { usual.filter(|usual| *usual != "https").unwrap_or("tcp") };
    if let Some(file) = bind.iter().position(|word| word == "crt").and_then(|at| bind.get(at + 1)) {
        let both = (file.clone(), file.clone());
        if !draft.certificates.contains(&both) {
            draft.certificates.push(both);
        }
    }
    let is_mail = matches!(protocol, "imap" | "imaps");
    let array = (protocol == "tcp").then(|| back.name.clone());
    let has_proxy_header = has("accept-proxy");
    draft.listeners.push(Listener { protocol, address: listening(host, port), has_proxy_header, array });
    match is_mail {
        true => back.servers.iter().for_each(|(line, server)| home(draft, *line, server)),
        false => draft.arrays.extend(array_of(back, is_http, port)),
    }
}

/// What the PROXY header of a server is.
fn told(server: &[String]) -> Option<&'static str> {
    let has = |word: &str| server.iter().any(|known| known == word);
    match () {
        () if has("send-proxy-v2") => Some("proxy-v2"),
        () if has("send-proxy") => Some("proxy-v1"),
        () => None,
    }
}

fn number(server: &[String], name: &str) -> Option<u32> {
    let at = server.iter().position(|word| word == name)?;
    server.get(at + 1)?.parse().ok()
}

fn home(draft: &mut Draft, line: usize, server: &[String]) {
    let (Some(name), Some(address)) = (server.get(1), server.get(2)) else { return };
    let port = address.rsplit_once(':').map_or("", |(_, port)| port);
    let tls = if port.ends_with("993") || server.iter().any(|word| word == "ssl") {
        "implicit"
    } else {
        "starttls"
    };
    let host = Host {
        name: name.to_ascii_lowercase(),
        address: address.clone(),
        tls,
        client_address: told(server),
        max_sessions: number(server, "maxconn"),
    };
    if server.iter().any(|word| word == "backup") {
        draft.note(
            line,
            format!(
                "{name} is a spare: usher sends users to the host that has their archive, and to no other"
            ),
        );
    }
    // The same server behind two ports is one host.
    if !draft.hosts.iter().any(|known| known.name == host.name) {
        draft.hosts.push(host);
    }
}

fn array_of(back: &Section, is_http: bool, port: &str) -> Option<Array> {
    let members = back.servers.iter().filter_map(|(_, server)| {
        let address = server.get(2)?;
        // The port of the listener, unless it is another one.
        let address = match address.rsplit_once(':') {
            Some((host, same)) if same == port && !is_http => host.to_owned(),
            _ => address.clone(),
        };
        Some(Member {
            name: server.get(1)?.to_ascii_lowercase(),
            address,
            has_tls: server.iter().any(|word| word == "ssl"),
            weight: number(server, "weight"),
            client_address: told(server),
        })
    });
    let members: Vec<_> = members.collect();
    (!members.is_empty()).then(|| Array { name: back.name.clone(), balance: back.balance, members, is_http })
}
