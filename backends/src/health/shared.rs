//! What all hosts have in common, as probes have seen them: before a login nobody knows whose host it will be.

use crate::roster::Host;
use std::collections::BTreeSet;
use std::sync::Arc;
use usher_config::snapshot::LoginAs;
use usher_policy::Service;
use usher_wire::imap::capability::may_be_offered;
use usher_wire::imap::sasl::Mechanism;

/// Beginning of the capabilities that are mechanisms.
const AUTH: &str = "AUTH=";

/// What all hosts have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shared {
    /// Capabilities that may be offered before login, sorted, in upper case.
    pub capabilities: Vec<String>,
    /// The mechanisms that take no password.
    pub mechanisms: Vec<Mechanism>,
}

impl Shared {
    /// Of hosts and what they have listed, separated by spaces.
    pub(super) fn of(hosts: impl Iterator<Item = (Arc<Host>, String)>) -> Self {
        let mut shared: Option<(BTreeSet<String>, Vec<Mechanism>)> = None;
        for (host, listed) in hosts {
            let listed: BTreeSet<String> = listed.split(' ').map(str::to_ascii_uppercase).collect();
            let takes = |mechanism: &Mechanism| takes(&host, &listed, *mechanism);
            let mechanisms = Mechanism::OFFERED.into_iter().filter(takes).collect();
            let capabilities = listed.iter().filter(|name| may_be_offered(name)).cloned().collect();
            shared = Some(match shared {
                None => (capabilities, mechanisms),
                Some((common, ways)) => (
                    &common & &capabilities,
                    ways.into_iter().filter(|way| mechanisms.contains(way)).collect(),
                ),
            });
        }
        let (capabilities, mechanisms) = shared.unwrap_or_default();
        Self { capabilities: capabilities.into_iter().collect(), mechanisms }
    }
}

/// Whether `host` takes a mechanism other than those for passwords.
fn takes(host: &Host, listed: &BTreeSet<String>, mechanism: Mechanism) -> bool {
    let lists = |name: &str| listed.contains(&format!("{AUTH}{name}"));
    match mechanism {
        Mechanism::Login | Mechanism::SaslPlain | Mechanism::SaslLogin => false,
        Mechanism::XOAuth2 | Mechanism::OAuthBearer => lists(mechanism.name()),
        Mechanism::External => {
            let mail = host.services.mail(Service::Imap);
            let is_told = mail.is_some_and(|mail| mail.endpoint.tells_certificates());
            match &host.config.external {
                Some(_) => lists("PLAIN"),
                None => is_told && lists("EXTERNAL"),
            }
        }
        // Whoever binds to the channel would bind to usher's; and the name in the message is signed as it is.
        Mechanism::ScramSha1 | Mechanism::ScramSha256 => {
            let binds = listed.iter().any(|name| name.starts_with(AUTH) && name.ends_with("-PLUS"));
            lists(mechanism.name()) && !binds && host.config.login_as == LoginAs::Typed
        }
    }
}
