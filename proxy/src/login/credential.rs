//! The credential as a host is to be given it.

use super::PreLogin;
use std::borrow::Cow;
use usher_backends::roster::Host;
use usher_config::snapshot::LoginAs;
use usher_policy::ArchiveKey;
use usher_policy::identity::Arrival;
use usher_wire::imap::preauth::Claim;
use usher_wire::imap::sasl::Credential;

/// The credential under the name that the host is to be given. Whoever asks to act as themself acts for nobody else,
/// and any host takes that.
pub(super) fn credential_for<'c>(
    door: &PreLogin,
    host: &Host,
    claim: &'c Claim,
    key: &ArchiveKey,
) -> Cow<'c, Credential> {
    let typed = &claim.credential;
    let own_key = || {
        let arrival = Arrival { local: Some(door.local.ip()), server_name: None };
        door.snapshot().domains.user(&typed.user, arrival)
    };
    let acts_for_another = typed.acts_for_another() && own_key().as_ref() != Some(key);
    if host.config.login_as == LoginAs::Typed && (acts_for_another || typed.authorize_as.is_empty()) {
        return Cow::Borrowed(typed);
    }
    let mut credential = typed.clone();
    if host.config.login_as == LoginAs::Canonical {
        let name = if acts_for_another { &mut credential.authorize_as } else { &mut credential.user };
        *name = key.name().as_bytes().to_vec();
    }
    if !acts_for_another {
        credential.authorize_as.clear();
    }
    Cow::Owned(credential)
}
