//! Ends the sessions that rules deny, when the rules come into force: by a reload, by what the directory says of a
//! user, or by the time.

use crate::access::{Hearing, Visit};
use crate::active::CurrentConfig;
use crate::drain;
use crate::route::Router;
use crate::session::{Table, Why};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use usher_backends::roster::now;
use usher_policy::access::Attributes;

/// Seconds between two looks at rules that depend on the time.
const MINUTE: i64 = 60;

/// After a look, time until the next one.
const AGAIN: Duration = Duration::from_secs(5);
/// Sessions that are looked at before others have a turn.
const AT_A_TIME: usize = 256;

/// Knows when to look at the sessions again.
#[derive(Default)]
pub(crate) struct Enforcer(Notify);

impl Enforcer {
    /// Something has changed that rules look at.
    pub(crate) fn look(&self) {
        self.0.notify_one();
    }
}

/// Looks at all sessions whenever the rules, or what they look at, may have changed.
pub(crate) async fn follow(
    enforcer: Arc<Enforcer>,
    config: Arc<CurrentConfig>,
    router: Arc<Router>,
    sessions: Arc<Table>,
) {
    let mut looked: Option<Instant> = None;
    loop {
        let rules = config.load().access.rules.clone();
        // Windows begin and end with a minute.
        let left = Duration::from_secs(u64::try_from(MINUTE - now().rem_euclid(MINUTE)).unwrap_or(1));
        let next_minute = async {
            match rules.apply_to_live() && rules.look_at_time() {
                true => tokio::time::sleep(left).await,
                false => std::future::pending().await,
            }
        };
        // A request may have been decided on before a reload, and entered in the table after a look.
        let once_more = async {
            match looked {
                Some(looked) => tokio::time::sleep_until(looked + AGAIN).await,
                None => std::future::pending().await,
            }
        };
        looked = tokio::select! {
            () = enforcer.0.notified() => Some(Instant::now()),
            () = next_minute => None,
            () = once_more => None,
        };
        let active = config.load_full();
        if !active.access.rules.apply_to_live() {
            continue;
        }
        let mut denied = Vec::new();
        for (at, session) in sessions.select(|_| true).into_iter().enumerate() {
            if at % AT_A_TIME == 0 {
                tokio::task::yield_now().await;
            }
            let hearing = Hearing::new(active.access.clone(), Visit::of(&session));
            let attributes = match hearing.needs_entry() {
                true => active.snapshot.domains.written(&session.about.user),
                false => None,
            };
            let attributes = match attributes {
                Some(key) => router.attributes(&key).await,
                None => Some(Attributes::default()),
            };
            // Nobody is ended because the directory cannot be read.
            let Some(attributes) = attributes else { continue };
            let verdict = hearing.entirely(&attributes);
            let rule = verdict.by.and_then(|at| active.access.rule(at));
            if verdict.denies() && rule.is_some_and(|rule| rule.apply_to_live) {
                denied.push(session);
            }
        }
        let ended = drain::end(denied, Why::Denied);
        if ended > 0 {
            tracing::warn!(sessions = ended, "sessions are ended by access rules");
        }
    }
}
