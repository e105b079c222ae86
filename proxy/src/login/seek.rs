//! Tries until there is a clear answer, or the login may not wait any longer.

use super::PreLogin;
use super::attempt::attempt;
use super::tried::{Refusal, Try};
use crate::session::Session;
use crate::slot::Slot;
use tokio::time::{Instant, sleep};
use usher_policy::ArchiveKey;
use usher_wire::imap::preauth::Claim;
use usher_wire::imap::reply::Code;

/// Tries until there is a clear answer, or the login may not wait any longer.
pub(super) async fn seek(
    prelogin: &PreLogin,
    claim: &Claim,
    key: Option<&ArchiveKey>,
    session: &Session,
    begun: Instant,
) -> Try {
    let server = &prelogin.server;
    // Tokens take another time than passwords.
    let refusals = if claim.mechanism.tells_why() { &server.token_refusals } else { &server.refusals };
    let until = begun + prelogin.snapshot().server.login_wait;
    let mut slot = None;
    let mut was_delivered = false;
    loop {
        let tried = Instant::now();
        let outcome = match key {
            Some(key) => Box::pin(attempt(prelogin, claim, key, session, (begun, until), &mut slot)).await,
            None => Try::Unknown,
        };
        match outcome {
            unknown @ (Try::Unknown | Try::DeniedCovertly) => {
                // By the key: however a name is written, it is on one host.
                let typed = String::from_utf8_lossy(claim.credential.acting_user());
                let whose = key.map_or(typed.into_owned(), ToString::to_string);
                refusals.made_up(whose.as_bytes(), tried).await;
                return unknown;
            }
            // Each of these counts as a failed login at the host, so the second is the last.
            Try::Unanswered if was_delivered => return Try::Hopeless,
            Try::Unanswered => was_delivered = true,
            Try::Refused(Refusal { code: Code::InUse, .. }) if !was_delivered => was_delivered = true,
            Try::Refused(refusal) => {
                let host = session.backend().map(|backend| backend.name);
                refusals.real(host.as_deref().unwrap_or_default(), tried).await;
                return Try::Refused(refusal);
            }
            Try::Hopeless => return Try::Out,
            Try::Out => {}
            clear => return clear,
        }
        let again = Instant::now() + prelogin.snapshot().limits.retry;
        if again >= until {
            sleep(until.saturating_duration_since(Instant::now())).await;
            return Try::Out;
        }
        if slot.is_none() {
            slot = Slot::take(&server.held_logins, Some(prelogin.snapshot().limits.held_logins));
            if slot.is_none() {
                return Try::Out;
            }
        }
        tokio::select! {
            () = tokio::time::sleep_until(again) => {}
            // The host may be back.
            () = server.fleet.changed(), if !was_delivered => {}
        }
    }
}
