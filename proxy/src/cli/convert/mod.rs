//! `usher import config`: a first configuration, from that of another proxy.

mod blocks;
mod dovecot;
mod draft;
mod haproxy;
mod nginx;

use super::{Exit, complain, print};
use draft::Draft;
use std::path::Path;
use usher_wire::printable::printable;

/// Prints a configuration made from that in `file`, and on standard error what could not be read of it.
pub(super) fn convert(file: &Path) -> Exit {
    let read_whole = || match file.as_os_str() == "-" {
        true => std::io::read_to_string(std::io::stdin()),
        false => std::fs::read_to_string(file),
    };
    let text = match read_whole() {
        Ok(text) => text,
        Err(error) => {
            complain(&format!("{}: {error}", file.display()));
            return Exit::Failed;
        }
    };
    let Some(draft) = read(&text) else {
        complain(&format!("{}: neither nginx with `mail`, HAProxy nor Dovecot", file.display()));
        return Exit::Failed;
    };
    let exit = print(&draft.text(&printable(&file.display().to_string())));
    for (line, note) in &draft.notes {
        eprintln!("line {line}: {}", printable(note));
    }
    exit
}

/// Reads a file of whichever program it is.
fn read(text: &str) -> Option<Draft> {
    let begins = |words: &[&str]| {
        text.lines().any(|line| {
            words.iter().any(|word| line.split_whitespace().next() == Some(*word) && !line.starts_with(' '))
        })
    };
    match () {
        () if begins(&["frontend", "backend", "listen"]) => Some(haproxy::read(text)),
        () if begins(&["mail", "mail{"]) => Some(nginx::read(text)),
        () if begins(&["passdb", "service", "protocols", "protocol", "auth_mechanisms", "ssl_cert"]) => {
            Some(dovecot::read(text))
        }
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use usher_config::Snapshot;

    /// What becomes of a file: usher takes it.
    fn taken(text: &str) -> (Snapshot, Vec<usize>) {
        let draft = read(text).unwrap();
        let written = draft.text("a file");
        let snapshot = usher_config::load(&written).unwrap_or_else(|faults| panic!("{faults:?}\n{written}"));
        (snapshot, draft.notes.iter().map(|(line, _)| *line).collect())
    }

    #[test]
    fn haproxy_has_homes_at_the_ports_of_mail_and_arrays_elsewhere() {
        let (snapshot, notes) = taken(
            "global\n  maxconn 5000\ndefaults\n  mode tcp\n  timeout client 31m\n\
             frontend imaps\n  bind :993 accept-proxy\n  default_backend hosts\n\
             backend hosts\n  balance leastconn\n  server ih1 10.0.0.11:993 check send-proxy-v2 maxconn 500\n  \
             server IH2 10.0.0.12:993 check backup\n  acl x src 10.0.0.1\n\
             listen sieve\n  bind 192.0.2.1:4190\n  balance source\n  server a 10.0.0.21:4190 weight 2\n  \
             server b 10.0.0.22:4190\n\
             frontend web\n  mode http\n  bind *:443 ssl crt /etc/mail.pem\n  default_backend pages\n\
             backend pages\n  server w 10.0.0.31:8443 ssl\n",
        );
        let shown: Vec<_> = snapshot
            .listeners
            .iter()
            .map(|listener| (listener.protocol().name(), listener.address.to_string()))
            .collect();
        let wanted = [("imaps", "[::]:993"), ("tcp", "192.0.2.1:4190"), ("https", "[::]:443")];
        assert_eq!(shown, wanted.map(|(protocol, address)| (protocol, address.to_owned())));
        let hosts: Vec<_> =
            snapshot.hosts.iter().map(|host| (host.name.as_str(), host.max_sessions)).collect();
        assert_eq!(hosts, [("ih1", Some(500)), ("ih2", None)]);
        assert_eq!(snapshot.arrays.len(), 2);
        assert_eq!(notes, [13, 12]);
    }

    #[test]
    fn nginx_has_listeners_and_asks_a_service_for_hosts() {
        let text = "events {}\nmail {\n  server_name mail.example.org;\n  auth_http 127.0.0.1:9000/auth;\n  \
                    ssl_certificate /etc/c.pem;\n  ssl_certificate_key /etc/k.pem;\n  server {\n    listen 143;\n    \
                    protocol imap;\n    starttls on;\n  }\n  server {\n    listen 10.0.0.1:993 ssl;\n    protocol imap;\n  }\n  \
                    server { listen 110; protocol pop3; }\n}\n";
        let draft = read(text).unwrap();
        assert_eq!(draft.name.as_deref(), Some("mail.example.org"));
        let shown: Vec<_> = draft.listeners.iter().map(|one| (one.protocol, one.address.as_str())).collect();
        assert_eq!(shown, [("imap", "[::]:143"), ("imaps", "10.0.0.1:993")]);
        assert_eq!(draft.certificates, [("/etc/c.pem".to_owned(), "/etc/k.pem".to_owned())]);
        assert_eq!(draft.notes.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [4, 16]);
        // Its hosts are known to the service alone.
        assert!(taken(text).0.hosts.is_empty());
    }

    #[test]
    fn dovecot_names_its_host_in_a_static_passdb() {
        let (snapshot, notes) = taken(
            "auth_default_realm = example.com\nauth_master_user_separator = *\npassdb {\n  args = proxy=y host=10.0.0.11 \
             starttls=yes nopassword=y\n  driver = static\n}\npassdb {\n  driver = sql\n}\nservice imap-login {\n  \
             inet_listener imap {\n    port = 143\n  }\n  inet_listener imaps {\n    port = 10993\n    haproxy = yes\n  }\n}\n\
             ssl_cert = </etc/c.pem\nssl_key = </etc/k.pem\n",
        );
        let shown: Vec<_> = snapshot
            .listeners
            .iter()
            .map(|one| (one.protocol().name(), one.address.port(), one.proxy_from.is_some()))
            .collect();
        assert_eq!(shown, [("imap", 143, false), ("imaps", 10993, true)]);
        assert_eq!(snapshot.hosts[0].name, "10.0.0.11");
        assert_eq!(notes, [8]);
    }

    #[test]
    fn what_is_none_of_these_is_nothing() {
        assert!(read("hello\nworld { }\n").is_none());
    }
}
