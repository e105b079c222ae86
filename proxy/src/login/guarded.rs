//! A login between its wait and what its outcome counts for.

use super::case::Case;
use super::seek::seek;
use super::tried::Try;
use crate::guessing::{Place, Who};
use tokio::time::Instant;

/// Seeks an answer for a login that has begun at `begun`, unless too many have failed, after the wait that it has deserved.
pub(super) async fn guarded(case: &Case<'_>, begun: Instant, place: &mut Option<Place>) -> Try {
    let prelogin = case.prelogin;
    let until = begun + prelogin.snapshot().server.login_wait;
    let Ok(mut attempt) = prelogin.server.guessing.admit(who(case), until).await else { return Try::HeldOff };
    // What it has waited for others' failures is not what it may wait for its host.
    let tried = seek(case, Instant::now()).await;
    if matches!(tried, Try::LoggedIn(..)) {
        attempt.succeeded();
        *place = attempt.take_place();
    } else if tried.is_failed_proof() {
        attempt.failed().await;
    }
    tried
}

/// Who logs in, as failures are counted.
fn who(case: &Case<'_>) -> Who {
    let about = &case.session.about;
    let users = match (&about.names, &*about.user) {
        (Some(names), _) => names.iter().map(ToString::to_string).collect(),
        // No archive can have this name, and it is counted like others.
        (None, "") => vec![case.whose().to_lowercase()],
        (None, user) => vec![user.to_owned()],
    };
    Who { protocol: case.prelogin.protocol(), client: case.prelogin.client, users }
}
