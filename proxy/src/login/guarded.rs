//! A login between its wait and what its outcome counts for.

use super::case::Case;
use super::seek::seek;
use super::tried::Try;
use crate::guessing::Who;
use tokio::time::Instant;

/// Seeks an answer for a login that has begun at `begun`, unless too many have failed, after the wait that it has deserved.
pub(super) async fn guarded(case: &Case<'_>, begun: Instant) -> Try {
    let prelogin = case.prelogin;
    let until = begun + prelogin.snapshot().server.login_wait;
    let Ok(attempt) = prelogin.server.guessing.admit(who(case), until).await else { return Try::HeldOff };
    let attempt = case.attempt.get_or_init(|| attempt);
    // What it has waited for others' failures is not what it may wait for its host.
    let tried = seek(case, Instant::now()).await;
    match &tried {
        Try::LoggedIn(..) => attempt.succeeded(None),
        // Nothing was proven where the host does not talk: of those who are known, another mechanism is no guess.
        Try::RefusedAtFirst if attempt.is_at_home() => attempt.rest(),
        tried if tried.is_failed_proof() => attempt.failed().await,
        _ => attempt.rest(),
    }
    tried
}

/// Who logs in, as failures are counted.
fn who(case: &Case<'_>) -> Who {
    let (prelogin, about) = (case.prelogin, &case.session.about);
    let users = match about.names {
        None if !about.user.is_empty() => vec![(*about.user).to_owned()],
        _ => counted(case),
    };
    Who {
        protocol: prelogin.protocol(),
        client: prelogin.client,
        key: (*about.user).to_owned(),
        users,
        has_token: case.claim.mechanism.tells_why(),
    }
}

/// Everybody whom the login shows, each once.
fn counted(case: &Case<'_>) -> Vec<String> {
    let credential = &case.claim.credential;
    let domains = &case.prelogin.snapshot().domains;
    let mut users = domains.counted(credential.acting_user(), case.arrival());
    if credential.acts_for_another() {
        users.extend(domains.counted(&credential.user, case.arrival()));
        users.sort_unstable();
        users.dedup();
    }
    users
}
