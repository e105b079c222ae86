//! dovecot.conf of a proxy, as `doveconf -n` writes it.

use super::blocks;
use super::draft::{Draft, Host, Listener, listening};

pub(super) fn read(text: &str) -> Draft {
    let mut draft = Draft::default();
    let mut certificate = (None, None);
    for setting in blocks::read(text, true) {
        let value = setting.words.get(2..).unwrap_or_default().join(" ");
        let path = value.trim_start_matches('<').trim().to_owned();
        let listener =
            setting.within.last().filter(|block| block.first().is_some_and(|word| word == "inet_listener"));
        match (setting.word(0), listener) {
            ("port", Some(block)) if setting.is_within("service") => {
                let is_secure = block.get(1).is_some_and(|name| name.starts_with("imaps")) || value == "993";
                let protocol = if is_secure { "imaps" } else { "imap" };
                // Zero turns one off.
                if value != "0"
                    && setting.within.iter().any(|block| block.iter().any(|word| word == "imap-login"))
                {
                    let address = listening("", &value);
                    draft.listeners.push(Listener {
                        protocol,
                        address,
                        has_proxy_header: false,
                        array: None,
                    });
                }
            }
            ("haproxy", Some(_)) if value == "yes" => {
                draft
                    .listeners
                    .iter_mut()
                    .next_back()
                    .iter_mut()
                    .for_each(|last| last.has_proxy_header = true);
            }
            ("ssl", Some(_)) if value == "yes" => {
                draft.listeners.iter_mut().next_back().iter_mut().for_each(|last| last.protocol = "imaps");
            }
            ("ssl_cert", _) => certificate.0 = Some(path),
            ("ssl_key", _) => certificate.1 = Some(path),
            ("auth_default_realm", _) => draft.default_domain = Some(value),
            ("auth_master_user_separator", _) => draft.master_separator = Some(value),
            ("hostname", _) => draft.name = Some(value),
            ("args", _) if setting.is_within("passdb") => passdb(&mut draft, setting.line, &value),
            ("driver", _) if setting.is_within("passdb") && value != "static" => draft.note(
                setting.line,
                format!("a passdb by {value}: import its users, such as by `usher import passwd-file`"),
            ),
            ("login_trusted_networks", _) => {
                draft.note(setting.line, "set client_address = \"imap-id\" at the hosts, and keep this there")
            }
            _ => {}
        }
    }
    if let (Some(chain), Some(key)) = certificate {
        draft.certificates.push((chain, key));
    }
    draft
}

/// The fields that a static passdb gives everybody.
fn passdb(draft: &mut Draft, line: usize, value: &str) {
    let field =
        |name: &str| value.split_whitespace().find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
    let Some(host) = field("host") else { return };
    let has = |name: &str| value.split_whitespace().any(|known| known.split('=').next() == Some(name));
    let (tls, usual) = match () {
        () if has("ssl") => ("implicit", "993"),
        () if has("starttls") => ("starttls", "143"),
        () => ("none", "143"),
    };
    let address = format!("{host}:{}", field("port").unwrap_or(usual));
    let name = host.to_ascii_lowercase();
    draft.hosts.push(Host { name, address, tls, client_address: None, max_sessions: None });
    if host.contains('%') {
        draft.note(line, "the host depends on the user: name each host, and import the users");
    }
    if tls == "none" {
        draft.note(line, "passwords go to the host without TLS: better tls = \"starttls\"");
    }
}
