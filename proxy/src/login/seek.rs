//! Tries until there is a clear answer, or the login may not wait any longer.

use super::attempt::attempt;
use super::case::Case;
use super::scram::make_up;
use super::tried::{Refusal, Try};
use super::voice::{GaveUp, Voice};
use crate::boxed::boxed;
use crate::slot::Slot;
use tokio::time::{Instant, sleep};
use usher_wire::imap::reply::Code;
use usher_wire::imap::sasl::Mechanism;

/// Tries until there is a clear answer, or the login may not wait any longer.
pub(super) async fn seek(case: &Case<'_>, begun: Instant) -> Try {
    let Case { prelogin, key, session, .. } = case;
    let server = &prelogin.server;
    let until = begun + prelogin.snapshot().server.login_wait;
    let mut slot = None;
    let mut was_delivered = false;
    loop {
        let tried = Instant::now();
        let outcome = match key {
            Some(key) => boxed(|| attempt(case, key, (begun, until), &mut slot)).await,
            None => Try::Unknown,
        };
        match outcome {
            unknown @ (Try::Unknown | Try::DeniedCovertly) => {
                return refuse(case, unknown, tried, None).await;
            }
            refused @ Try::RefusedAtFirst => {
                let host = session.backend().map(|backend| backend.name);
                return refuse(case, refused, tried, host.as_deref()).await;
            }
            Try::AnsweredFor => return Try::RefusedAtFirst,
            // Each of these counts as a failed login at the host, so the second is the last.
            Try::Unanswered if was_delivered => return Try::Hopeless,
            Try::Unanswered => was_delivered = true,
            Try::Refused(Refusal { code: Code::InUse, .. }) if !was_delivered && case.voice.is_none() => {
                was_delivered = true;
            }
            Try::Refused(refusal) => {
                let host = session.backend().map(|backend| backend.name);
                let host = host.as_deref().unwrap_or_default();
                match case.voice.as_ref().and_then(Voice::answered) {
                    Some(answered) => server.conversations.finals.real(host, answered).await,
                    None => refusals(case).real(host, tried).await,
                }
                return Try::Refused(refusal);
            }
            Try::Hopeless => return Try::Out,
            Try::Out => {}
            clear => return clear,
        }
        case.rest();
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

/// Refuses a login that has begun at `begun`, when a host would, after a conversation if it should have been one.
async fn refuse(case: &Case<'_>, refused: Try, begun: Instant, refused_by: Option<&str>) -> Try {
    let whose = case.whose();
    if case.voice.is_none() {
        case.expose();
    }
    let Some(voice) = &case.voice else {
        refusals(case).made_up(whose.as_bytes(), begun).await;
        return refused;
    };
    match make_up(case, voice, begun, refused_by).await {
        Some(()) => refused,
        None => Try::GaveUp(voice.gave_up().unwrap_or(GaveUp::Cancelled)),
    }
}

/// How long refusals take: tokens and certificates take another time than passwords.
fn refusals<'c>(case: &Case<'c>) -> &'c crate::refusals::Refusals {
    let server = &case.prelogin.server;
    let is_password = !case.claim.mechanism.tells_why() && case.claim.mechanism != Mechanism::External;
    if is_password { &server.refusals } else { &server.token_refusals }
}
