//! The credential in the form that a host expects.

use super::PreLogin;
use std::borrow::Cow;
use usher_backends::roster::Host;
use usher_config::snapshot::LoginAs;
use usher_policy::ArchiveKey;
use usher_policy::identity::Arrival;
use usher_wire::imap::preauth::Claim;
use usher_wire::imap::sasl::Credential;

/// The credential with the user name that the host is to be given. A request to act as oneself is turned into a plain
/// login, which any host accepts.
pub(super) fn credential_for<'c>(
    prelogin: &PreLogin,
    host: &Host,
    claim: &'c Claim,
    key: &ArchiveKey,
) -> Cow<'c, Credential> {
    let typed = &claim.credential;
    let own_key = || {
        let arrival = Arrival { local: Some(prelogin.local.ip()), server_name: None };
        prelogin.snapshot().domains.user(&typed.user, arrival)
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
