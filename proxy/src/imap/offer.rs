//! How clients of a listener may log in, and what else they are offered before that.

use crate::login::PreLogin;
use usher_config::snapshot::{AskPeers, ImapListener, Offered};
use usher_wire::imap::capability::{Offer, Privacy};
use usher_wire::imap::sasl::Mechanism;

/// What a client is offered on a connection that is private like this; `has_certificate`: it has shown one.
pub(super) fn offer(
    prelogin: &PreLogin,
    listener: &ImapListener,
    privacy: Privacy,
    has_certificate: bool,
) -> Offer {
    let shared = prelogin.server.health.shared();
    let peers = &prelogin.snapshot().directory.peers;
    let asks_by_login = peers.as_ref().is_some_and(|peers| matches!(peers.ask, AskPeers::Login));
    let can_be_had = |mechanism: &Mechanism| match mechanism {
        Mechanism::Login | Mechanism::SaslPlain | Mechanism::SaslLogin => true,
        // RFC 7628 section 4 demands TLS.
        Mechanism::XOAuth2 | Mechanism::OAuthBearer => {
            privacy == Privacy::Tls && shared.mechanisms.contains(mechanism)
        }
        Mechanism::External => !asks_by_login && has_certificate && shared.mechanisms.contains(mechanism),
        // A conversation is with one host: it cannot be had with each until one knows the user.
        Mechanism::ScramSha1 | Mechanism::ScramSha256 => {
            !asks_by_login && shared.mechanisms.contains(mechanism)
        }
    };
    let allowed = listener.mechanisms.as_deref().unwrap_or(&Mechanism::OFFERED);
    let is_allowed = |mechanism: &Mechanism| allowed.contains(mechanism) && can_be_had(mechanism);
    let of_hosts = match &listener.capabilities {
        Offered::These(names) => names.as_str().into(),
        Offered::Shared => shared.capabilities.join(" ").into(),
        Offered::Idle if shared.capabilities.iter().any(|name| name == "IDLE") => "IDLE".into(),
        Offered::Idle => Box::default(),
    };
    Offer { mechanisms: Mechanism::OFFERED.into_iter().filter(is_allowed).collect(), of_hosts }
}
