//! Ends the sessions of a key that is held.

use super::{Mover, error::MoveError};
use crate::drain;
use crate::session::{Doing, Session, Why};
use hyper::Method;
use serde::Deserialize;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use usher_config::snapshot::Protocol;
use usher_policy::ArchiveKey;

/// What a former process says of the sessions that it has ended.
#[derive(Deserialize)]
struct Ended {
    count: usize,
}

/// Interval at which the remaining sessions are checked.
const LOOK: Duration = Duration::from_millis(10);
/// Time in which they all must have ended: those that do not say goodbye are cut off before.
const LAST: Duration = Duration::from_secs(20);

impl Mover {
    /// Ends the sessions of `key` on the host `from`, in the processes that this one has succeeded too. Returns how many
    /// there were.
    pub(super) async fn end_sessions_everywhere(
        &self,
        key: &ArchiveKey,
        from: &str,
    ) -> Result<usize, MoveError> {
        // Those have to know of the hold before they look.
        self.formers.look().await;
        let ended = self.end_sessions(key, from).await?;
        let shown = key.to_string();
        let shown = percent_encoding::utf8_percent_encode(&shown, percent_encoding::NON_ALPHANUMERIC);
        let path = format!("/v1/moves/{shown}/sessions");
        let ends = self.formers.ask_all::<Ended>(Method::DELETE, &path, "").await;
        let ends = ends.map_err(|process| MoveError::Former { process })?;
        Ok(ended + ends.into_iter().map(|ends| ends.count).sum::<usize>())
    }

    /// Ends those of this process, for the one that has succeeded it and moves the key.
    ///
    /// # Errors
    /// [`MoveError`]: the key is not held, or sessions go on.
    pub(crate) async fn end_sessions_here(&self, key: &ArchiveKey) -> Result<usize, MoveError> {
        let ends = self.ends(key)?;
        self.end_sessions(key, &ends.from).await
    }

    /// Ends the sessions of `key` on the host `from`. Logins that wait for their host go on waiting. Returns how many
    /// sessions there were.
    pub(super) async fn end_sessions(&self, key: &ArchiveKey, from: &str) -> Result<usize, MoveError> {
        let until = Instant::now() + LAST;
        let (mut ended, mut told) = (0, HashSet::new());
        // After the hold: a session that is joined from here on has seen it, and a former one is found here.
        fence(Ordering::SeqCst);
        loop {
            let left = self.left(key, from);
            if left.is_empty() {
                return Ok(ended);
            }
            if Instant::now() > until {
                return Err(MoveError::Sessions { sessions: left.len() });
            }
            // Each once; those that are just being joined are told when they are.
            let joined = left.into_iter().filter(|session| session.doing() != Doing::Joining);
            let news: Vec<_> = joined.filter(|session| told.insert(session.about.id)).collect();
            ended += drain::end(news, Why::Moved);
            sleep(LOOK).await;
        }
    }

    /// The sessions of `key` that use the host `from`, or may be about to.
    fn left(&self, key: &ArchiveKey, from: &str) -> Vec<Arc<Session>> {
        let shown = key.to_string();
        let domain = match key {
            ArchiveKey::Domain(domain) => Some(format!("@{domain}")),
            ArchiveKey::User(_) | ArchiveKey::Tenant(_) => None,
        };
        let concerns = |session: &Session| {
            let user = &*session.about.user;
            user == shown || domain.as_ref().is_some_and(|domain| user.ends_with(domain.as_str()))
        };
        let uses = |session: &Session| match (session.about.protocol, session.doing()) {
            // A mail login asks again before it is joined, a request before it is sent.
            (_, Doing::Connecting) => false,
            (Protocol::Https, _) => session.is_at(from),
            _ => true,
        };
        let mut left = self.sessions.select(|session| concerns(session) && uses(session));
        if domain.is_some() {
            // A user with an entry of their own does not move with the domain.
            left.retain(|session| self.is_found_by(&session.about.user, key));
        }
        left
    }

    fn is_found_by(&self, user: &str, key: &ArchiveKey) -> bool {
        let user = ArchiveKey::User(user.to_owned());
        // If the directory cannot say, the session must not stay.
        let found = self.directory.look_up(&user);
        user == *key || found.map_or(true, |found| found.is_some_and(|found| found.found_by == *key))
    }
}
