//! Five questions, each with an answer that pressing return gives. A terminal or a script may answer.

use super::answers::{Answers, Certificate, Host, Listens, Users};
use crate::cli::table::date;
use std::collections::BTreeSet;
use std::io::{self, BufRead, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::runtime::Builder;
use usher_backends::connect::pair::{Shown, inspect_certificate};
use usher_config::snapshot::BackendTls;
use usher_wire::printable::printable;

/// How long a server may take to show its certificate.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks all of them.
///
/// # Errors
/// In words, when nobody answers any longer.
pub(super) fn ask() -> Result<Answers, String> {
    let name = until(|| {
        let name = question("1. Which name do users connect to?", "mail.example.com")?;
        let is_name = name.contains('.') && !name.contains(' ');
        Ok(if is_name { Ok(name) } else { Err("a name such as mail.example.com") })
    })?;
    let listeners = until(|| {
        let asked = "2. What is to be served? imap (port 143), imaps (993), https (443)";
        let words = question(asked, "imap imaps")?;
        let words = words.split([' ', ',']).filter(|word| !word.is_empty());
        let named: Option<BTreeSet<_>> = words.map(listens).collect();
        let named = named.map(Vec::from_iter);
        Ok(named.filter(|named| !named.is_empty()).ok_or("some of: imap imaps https"))
    })?;
    let hosts = hosts()?;
    let certificate = certificate(&name, listeners.contains(&Listens::Https))?;
    let users = users(&hosts)?;
    Ok(Answers { name, listeners, hosts, certificate, users })
}

/// At least one server.
fn hosts() -> Result<Vec<Host>, String> {
    tell(
        "3. Which servers hold the archives? One at a time, such as ih1.example.com:993; return when these are all.",
    );
    let mut hosts = Vec::new();
    loop {
        let address = question("   address", "")?;
        if !address.is_empty() {
            let host = host(&address)?.filter(|host| is_new(&hosts, host));
            hosts.extend(host);
        } else if hosts.is_empty() {
            tell("   There must be one.");
        } else {
            return Ok(hosts);
        }
    }
}

fn listens(word: &str) -> Option<Listens> {
    Listens::ALL.into_iter().find(|known| known.name() == word)
}

/// Asks until there is an answer that will do; `Err` of the inner result says what would.
fn until<T>(mut ask: impl FnMut() -> Result<Result<T, &'static str>, String>) -> Result<T, String> {
    loop {
        match ask()? {
            Ok(answer) => return Ok(answer),
            Err(expected) => tell(&format!("   Write {expected}.")),
        }
    }
}

fn tell(text: &str) {
    eprintln!("{text}");
}

/// The answer to a question, or `usual` if it is empty.
fn question(asked: &str, usual: &str) -> Result<String, String> {
    let shown = if usual.is_empty() { String::new() } else { format!(" [{usual}]") };
    eprint!("{asked}{shown} ");
    let _ = io::stderr().flush();
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer).map_err(|error| error.to_string())?;
    if read == 0 {
        return Err("nobody answers; nothing was written".to_owned());
    }
    let answer = answer.trim();
    Ok(if answer.is_empty() { usual } else { answer }.to_owned())
}

fn is_new(hosts: &[Host], host: &Host) -> bool {
    let is_new = hosts.iter().all(|known| !known.name.eq_ignore_ascii_case(&host.name));
    if !is_new {
        tell("   There is one of that name already; it is left out.");
    }
    is_new
}

/// A server, after a look at its certificate; `None`: the operator does not want it.
fn host(address: &str) -> Result<Option<Host>, String> {
    // An IPv6 address has colons of its own.
    let address = match (address.parse::<IpAddr>(), address.rsplit_once(':')) {
        (Ok(ip), _) => SocketAddr::new(ip, 993).to_string(),
        (Err(_), Some((_, port))) if port.parse::<u16>().is_ok() => address.to_owned(),
        (Err(_), _) => format!("{address}:993"),
    };
    let chosen = match look(&address)? {
        Ok((tls, shown)) => {
            tell(&format!(
                "   It shows a certificate of {} that expires {}, with the fingerprint\n   {}",
                printable(&shown.subject),
                date(shown.not_after),
                shown.pin
            ));
            let asked =
                "   Is that what the server itself shows? (yes, no, or roots: trust whom the system trusts)";
            match question(asked, "no")?.as_str() {
                "y" | "yes" => Some((tls, Some(shown.pin.to_string()))),
                "roots" => Some((tls, None)),
                _ => None,
            }
        }
        Err(why) => {
            tell(&format!("   It cannot be looked at: {why}"));
            let asked =
                "   Take it nevertheless? (no; yes: with TLS by the system's roots; plain: without TLS)";
            match question(asked, "no")?.as_str() {
                "y" | "yes" => Some((IMPLICIT, None)),
                "plain" => Some(("none", None)),
                _ => None,
            }
        }
    };
    let Some((tls, pin)) = chosen else {
        tell("   It is left out.");
        return Ok(None);
    };
    let of_address = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
    let name = question("   What is it called?", of_address.trim_matches(['[', ']']))?;
    Ok(Some(Host { name, address, tls, pin }))
}

const IMPLICIT: &str = "implicit";

/// What a server shows, and how TLS begins there: as its port lets expect, or else in the other way.
fn look(address: &str) -> Result<Result<(&'static str, Shown), String>, String> {
    let mut ways = [(BackendTls::Implicit, IMPLICIT), (BackendTls::StartTls, "starttls")];
    if address.ends_with(":143") {
        ways.reverse();
    }
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let mut first = None;
    for (how, tls) in ways {
        match runtime.block_on(inspect_certificate(address, how, PATIENCE)) {
            Ok(shown) => return Ok(Ok((tls, shown))),
            Err(fault) => drop(first.get_or_insert(fault)),
        }
    }
    Ok(Err(first.map(|fault| fault.to_string()).unwrap_or_default()))
}

fn certificate(name: &str, can_order: bool) -> Result<Certificate, String> {
    let ways = if can_order { "files, order (from Let's Encrypt), or later" } else { "files or later" };
    until(|| {
        let asked = format!("4. Where does the certificate for {name} come from? {ways}");
        Ok(match question(&asked, "later")?.as_str() {
            "files" => {
                // Where usher may read: certbot's own directory is for root alone.
                let chain = question("   the chain, PEM", "/etc/usher/mail.pem")?;
                Ok(Certificate::Files { chain, key: question("   its key, PEM", "/etc/usher/mail.key")? })
            }
            "order" if can_order => {
                let contact = question("   whom may it write to? (a mail address; return for nobody)", "")?;
                let is_address = contact.split_once('@').is_some_and(|(user, domain)| {
                    !user.is_empty() && domain.contains('.') && contact.bytes().all(|b| b.is_ascii_graphic())
                });
                if !contact.is_empty() && !is_address {
                    return Ok(Err("a mail address, or nothing"));
                }
                match question("   Do you accept the terms of its service?", "no")?.as_str() {
                    "y" | "yes" => Ok(Certificate::Ordered { contact }),
                    _ => Err("yes, or choose another way"),
                }
            }
            "later" => Ok(Certificate::SelfMade),
            _ => Err("one of those words"),
        })
    })
}

fn users(hosts: &[Host]) -> Result<Users, String> {
    let first = hosts.first().map(|host| host.name.clone()).unwrap_or_default();
    until(|| {
        let asked = "5. Where are the users? csv (a file of user,host), domain (all of one on one host), ask (the hosts), or later";
        Ok(match question(asked, "later")?.as_str() {
            "csv" => Ok(Users::Csv(question("   the file", "users.csv")?)),
            "domain" => {
                let domain = question("   the domain", "example.com")?;
                Ok(Users::Domain { domain, host: question("   its host", &first)? })
            }
            "ask" => Ok(Users::Peers),
            "later" => Ok(Users::Later),
            _ => Err("one of those words"),
        })
    })
}
