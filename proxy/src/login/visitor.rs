//! Who logs in, as services of the directory are told.

use super::case::Case;
use std::sync::atomic::Ordering;
use usher_backends::sources::Visitor;
use usher_wire::imap::sasl::Proof;

/// Who logs in, for a source that wants to know.
pub(super) fn visitor(Case { prelogin, claim, tls, cipher_suite, .. }: &Case<'_>) -> Visitor {
    let credential = &claim.credential;
    let is_password = credential.proof == Proof::Password;
    Visitor {
        login: credential.acting_user().to_vec(),
        password: is_password.then(|| credential.password.clone()),
        mechanism: if is_password { "plain".to_owned() } else { claim.mechanism.rule_name().to_owned() },
        protocol: "imap",
        client: prelogin.client,
        attempt: prelogin.attempts.load(Ordering::Relaxed),
        tls: cipher_suite.map(|suite| (*tls, suite)),
    }
}
