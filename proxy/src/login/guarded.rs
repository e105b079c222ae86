//! A login between its wait and what its outcome counts for.

use super::PreLogin;
use super::seek::seek;
use super::tried::Try;
use crate::guessing::{Place, Who};
use crate::session::Session;
use tokio::time::Instant;
use usher_policy::ArchiveKey;
use usher_wire::imap::preauth::Claim;

/// Seeks an answer for a login, unless too many have failed, after the wait that it has deserved.
pub(super) async fn guarded(
    prelogin: &PreLogin,
    claim: &Claim,
    key: Option<&ArchiveKey>,
    session: &Session,
    begun: Instant,
    place: &mut Option<Place>,
) -> Try {
    let until = begun + prelogin.snapshot().server.login_wait;
    let admitted = prelogin.server.guessing.admit(who(prelogin, claim, session), until).await;
    let Ok(mut attempt) = admitted else { return Try::HeldOff };
    // What it has waited for others' failures is not what it may wait for its host.
    let tried = seek(prelogin, claim, key, session, Instant::now()).await;
    if matches!(tried, Try::LoggedIn(..)) {
        attempt.succeeded();
        *place = attempt.take_place();
    } else if tried.is_failed_proof() {
        attempt.failed().await;
    }
    tried
}

/// Who logs in, as failures are counted.
fn who(prelogin: &PreLogin, claim: &Claim, session: &Session) -> Who {
    let about = &session.about;
    let users = match (&about.names, &*about.user) {
        (Some(names), _) => names.iter().map(ToString::to_string).collect(),
        // No archive can have this name, and it is counted like others.
        (None, "") => vec![String::from_utf8_lossy(claim.credential.acting_user()).to_lowercase()],
        (None, user) => vec![user.to_owned()],
    };
    Who { protocol: prelogin.protocol(), client: prelogin.client, users }
}
