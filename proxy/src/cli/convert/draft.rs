//! A first configuration, as far as another program's says what is in it.

use std::fmt::Write;

/// What is known so far.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// The name in greetings.
    pub(super) name: Option<String>,
    pub(super) listeners: Vec<Listener>,
    /// Chain and key.
    pub(super) certificates: Vec<(String, String)>,
    pub(super) hosts: Vec<Host>,
    pub(super) arrays: Vec<Array>,
    pub(super) default_domain: Option<String>,
    pub(super) master_separator: Option<String>,
    /// What could not be read, or has to be looked at: the line's number and why.
    pub(super) notes: Vec<(usize, String)>,
}

/// `[[listener]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listener {
    /// `imap`, `imaps`, `https` or `tcp`.
    pub(super) protocol: &'static str,
    pub(super) address: String,
    /// It is behind something that sends the PROXY header.
    pub(super) has_proxy_header: bool,
    pub(super) array: Option<String>,
}

/// `[[instance_host]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) tls: &'static str,
    pub(super) client_address: Option<&'static str>,
    pub(super) max_sessions: Option<u32>,
}

/// `[[array]]`.
#[derive(Debug, Default)]
pub(super) struct Array {
    pub(super) name: String,
    pub(super) balance: Option<&'static str>,
    pub(super) members: Vec<Member>,
    /// Its members speak HTTP.
    pub(super) is_http: bool,
}

/// A member of an array.
#[derive(Debug, Default)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) has_tls: bool,
    pub(super) weight: Option<u32>,
    pub(super) client_address: Option<&'static str>,
}

impl Draft {
    /// Notes that a line is not carried over, or has to be looked at.
    pub(super) fn note(&mut self, line: usize, what: impl Into<String>) {
        self.notes.push((line, what.into()));
    }

    /// It as a configuration.
    pub(super) fn text(&self, source: &str) -> String {
        let mut text = format!(
            "# Written from {} by `usher import config`. Read it, then: usher check --config FILE\n\n[server]\n",
            source.replace(['\n', '\r'], " ")
        );
        let name = self.name.as_deref().unwrap_or("mail.example.com");
        let _ = writeln!(text, "name = {name:?}\nstate_dir = \"/var/lib/usher\"");
        for listener in &self.listeners {
            let Listener { protocol, address, has_proxy_header, array } = listener;
            let _ = writeln!(text, "\n[[listener]]\nprotocol = {protocol:?}\naddress = {address:?}");
            if *has_proxy_header {
                text.push_str(
                    "proxy_protocol = { from = [\"127.0.0.0/8\"] }    # who sends the PROXY header\n",
                );
            }
            if let Some(array) = array {
                let _ = writeln!(text, "array = {array:?}");
            }
        }
        for (chain, key) in &self.certificates {
            let _ = writeln!(text, "\n[[certificate]]\nchain = {chain:?}\nkey = {key:?}");
        }
        for host in &self.hosts {
            let Host { name, address, tls, client_address, max_sessions } = host;
            let told = client_address.map_or(String::new(), |told| format!(", client_address = {told:?}"));
            let _ = writeln!(text, "\n[[instance_host]]\nname = {name:?}");
            let _ = writeln!(text, "imap = {{ address = {address:?}, tls = {tls:?}{told} }}");
            max_sessions.iter().for_each(|most| {
                let _ = writeln!(text, "max_sessions = {most}");
            });
        }
        if self.hosts.is_empty() {
            text.push_str(
                "\n# One for each server with archives:\n# [[instance_host]]\n# name = \"ih1.example.com\"\n\
                 # imap = { address = \"ih1.example.com:993\", tls = \"implicit\" }\n",
            );
        }
        self.arrays.iter().for_each(|array| array.write(&mut text));
        if let Some(array) = self.arrays.iter().find(|array| array.is_http) {
            let _ = writeln!(text, "\n[https]\narray = {:?}", array.name);
        }
        if let Some(domain) = &self.default_domain {
            let _ = writeln!(text, "\n[[domain]]\nname = {domain:?}\ndefault_for = [\"any\"]");
        }
        if let Some(separator) = &self.master_separator {
            let _ = writeln!(text, "\n[login]\nmaster_separator = {separator:?}");
        }
        text
    }
}

impl Array {
    fn write(&self, text: &mut String) {
        let _ = writeln!(text, "\n[[array]]\nname = {:?}", self.name);
        self.balance.iter().for_each(|balance| {
            let _ = writeln!(text, "balance = {balance:?}");
        });
        text.push_str("members = [\n");
        for Member { name, address, has_tls, weight, client_address } in &self.members {
            let told = client_address.map_or(String::new(), |told| format!(", client_address = {told:?}"));
            let weight = weight.map_or(String::new(), |weight| format!(", weight = {weight}"));
            let tls = if *has_tls { "implicit" } else { "none" };
            let service = match self.is_http {
                true => format!("http = {{ address = {address:?}, tls = {tls:?}{told} }}"),
                false => format!("tcp = {{ address = {address:?}{told} }}"),
            };
            let _ = writeln!(text, "  {{ name = {name:?}, {service}{weight} }},");
        }
        text.push_str("]\n");
    }
}

/// The protocol that is usual at a port.
pub(super) fn protocol_at(port: &str) -> Option<&'static str> {
    match port {
        "143" => Some("imap"),
        "993" => Some("imaps"),
        "443" => Some("https"),
        _ => None,
    }
}

/// An address to listen on, as usher writes it: no host means all of them.
pub(super) fn listening(host: &str, port: &str) -> String {
    match host {
        "" | "*" | "::" | "[::]" | "0.0.0.0" => format!("[::]:{port}"),
        host => format!("{host}:{port}"),
    }
}
