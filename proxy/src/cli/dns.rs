//! `usher dns`: the records that direct mail clients here, as lines of a zone file.

use super::{ConfigArgument, Exit, print};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::{IpAddr, UdpSocket};
use usher_config::Snapshot;
use usher_config::snapshot::Protocol;

/// Seconds for which resolvers keep a record.
const TTL: u32 = 3600;

pub(super) fn dns(argument: &ConfigArgument) -> Exit {
    match argument.load() {
        Ok(config) => print(&records(&config.snapshot)),
        Err(exit) => exit,
    }
}

/// What an operator should publish.
fn records(snapshot: &Snapshot) -> String {
    let name = &snapshot.server.name;
    let mut out = String::new();
    // Writing to a string does not fail.
    let mut line = |owner: &str, kind: &str, what: &str| {
        let _ = writeln!(out, "{owner:<40} {TTL} IN {kind:<5} {what}");
    };
    let addresses: BTreeSet<IpAddr> = snapshot
        .listeners
        .iter()
        .filter(|listener| listener.protocol() != Protocol::Tcp)
        .map(|listener| listener.address.ip())
        .filter(|ip| !ip.is_unspecified())
        .collect();
    let addresses = if addresses.is_empty() { own_addresses() } else { addresses };
    if addresses.is_empty() {
        line(&format!("; {name}."), "A", "the address of this server, and AAAA for its IPv6 address");
    }
    for address in addresses {
        let kind = if address.is_ipv4() { "A" } else { "AAAA" };
        line(&format!("{name}."), kind, &address.to_string());
    }
    let port = |protocol: Protocol| {
        let listener = snapshot.listeners.iter().find(|listener| listener.protocol() == protocol)?;
        Some(listener.address.port())
    };
    // For an archive alone, they would draw mail clients away from the mail server.
    let Some(setup) = &snapshot.client_setup else { return out };
    for domain in snapshot.domains.names() {
        // "." says that there is no such service (RFC 6186 section 3.4).
        for (service, protocol) in [("_imaps", Protocol::Imaps), ("_imap", Protocol::Imap)] {
            let target = port(protocol).map_or("0 0 0 .".to_owned(), |port| format!("0 1 {port} {name}."));
            line(&format!("{service}._tcp.{domain}."), "SRV", &target);
        }
        if let Some(smtp) = &setup.smtp {
            let service = if smtp.implicit_tls { "_submissions" } else { "_submission" };
            line(&format!("{service}._tcp.{domain}."), "SRV", &format!("0 1 {} {}.", smtp.port, smtp.host));
        }
        if let Some(port) = port(Protocol::Https) {
            line(&format!("_autodiscover._tcp.{domain}."), "SRV", &format!("0 1 {port} {name}."));
            line(&format!("autodiscover.{domain}."), "CNAME", &format!("{name}."));
            line(&format!("autoconfig.{domain}."), "CNAME", &format!("{name}."));
        }
    }
    out
}

/// The addresses from which this machine reaches others; nothing is sent to find out.
fn own_addresses() -> BTreeSet<IpAddr> {
    // Documentation addresses, in networks that nobody has.
    let routes = [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")];
    let own = routes.into_iter().filter_map(|(any, there)| {
        let socket = UdpSocket::bind(any).ok()?;
        socket.connect(there).ok()?;
        Some(socket.local_addr().ok()?.ip())
    });
    own.filter(|ip| !ip.is_unspecified() && !ip.is_loopback()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobodys_clients_are_claimed_unasked() {
        let text = "[server]\nname = \"archive.example.com\"\nstate_dir = \"/x\"\n\
                    [[listener]]\nprotocol = \"imaps\"\naddress = \"192.0.2.1:993\"\n\
                    [[domain]]\nname = \"example.com\"\n";
        let shown = records(&usher_config::load(text).unwrap());
        assert_eq!(
            shown.split_whitespace().collect::<Vec<_>>(),
            ["archive.example.com.", "3600", "IN", "A", "192.0.2.1"]
        );
    }

    #[test]
    fn records_of_what_is_served() {
        let text = "[server]\nname = \"mail.example.com\"\nstate_dir = \"/x\"\n\
                    [[listener]]\nprotocol = \"imaps\"\naddress = \"192.0.2.1:993\"\n\
                    [[listener]]\nprotocol = \"https\"\naddress = \"[2001:db8::1]:443\"\n\
                    [client_setup]\nsmtp = { address = \"smtp.example.com:465\", tls = \"implicit\" }\n\
                    [[domain]]\nname = \"example.com\"\n";
        let shown = records(&usher_config::load(text).unwrap());
        let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
        let expected = [
            "mail.example.com. 3600 IN A 192.0.2.1",
            "mail.example.com. 3600 IN AAAA 2001:db8::1",
            "_imaps._tcp.example.com. 3600 IN SRV 0 1 993 mail.example.com.",
            "_imap._tcp.example.com. 3600 IN SRV 0 0 0 .",
            "_submissions._tcp.example.com. 3600 IN SRV 0 1 465 smtp.example.com.",
            "_autodiscover._tcp.example.com. 3600 IN SRV 0 1 443 mail.example.com.",
            "autodiscover.example.com. 3600 IN CNAME mail.example.com.",
            "autoconfig.example.com. 3600 IN CNAME mail.example.com.",
        ];
        let expected: Vec<Vec<&str>> =
            expected.iter().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines, expected);
    }
}
