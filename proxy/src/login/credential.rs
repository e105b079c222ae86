//! The credential in the form that a host expects.

use super::PreLogin;
use std::borrow::Cow;
use usher_backends::roster::Host;
use usher_config::snapshot::LoginAs;
use usher_policy::ArchiveKey;
use usher_policy::identity::{Arrival, Named, Says};
use usher_wire::imap::preauth::Claim;
use usher_wire::imap::sasl::Credential;

/// The credential with the user name that the host is to be given. A request to act as oneself is turned into a plain
/// login, which any host accepts.
pub(super) fn credential_for<'c>(
    prelogin: &PreLogin,
    host: &Host,
    claim: &'c Claim,
    key: &ArchiveKey,
    // What the directory says that the host knows the user by.
    login: Option<&str>,
) -> Cow<'c, Credential> {
    let typed = &claim.credential;
    let named = |name: &[u8]| {
        let arrival = Arrival { local: Some(prelogin.local.ip()), server_name: None };
        prelogin.snapshot().domains.named(name, arrival)
    };
    let is_own_key = || named(&typed.user).is_some_and(|own| own.key == *key);
    let acts_for_another = typed.acts_for_another() && !is_own_key();
    let slot = if acts_for_another { &typed.authorize_as } else { &typed.user };
    let name = match &host.config.login_as {
        _ if login.is_some() => login.map(ToOwned::to_owned),
        LoginAs::Typed => None,
        login_as => named(slot).and_then(|named| name_for(login_as, &Named { key: key.clone(), ..named })),
    };
    if name.is_none() && (acts_for_another || typed.authorize_as.is_empty()) {
        return Cow::Borrowed(typed);
    }
    let mut credential = typed.clone();
    if let Some(name) = name {
        let slot = if acts_for_another { &mut credential.authorize_as } else { &mut credential.user };
        *slot = name.into_bytes();
    }
    if !acts_for_another {
        credential.authorize_as.clear();
    }
    Cow::Owned(credential)
}

/// The name that a host is given; `None`: as it was typed, as is every name that the host itself has to take apart.
fn name_for(login_as: &LoginAs, named: &Named) -> Option<String> {
    match login_as {
        LoginAs::Typed => None,
        LoginAs::Canonical => (named.says == Says::Own).then(|| named.key.name().to_owned()),
        LoginAs::Template(template) => template.fill(named),
    }
}
