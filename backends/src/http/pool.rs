//! Connections that wait for the next request.
//!
//! Grouped by target: a target that changes becomes a new one, and the connections to the former one are left to
//! expire.

use super::link::Link;
use crate::connect::HttpTarget;
use bytes::Bytes;
use dashmap::DashMap;
use http_body::Body;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::OwnedMutexGuard;

/// Most idle connections kept per target.
const IDLE_CAP: usize = 512;

/// Connections of body `B` by target.
pub struct Pool<B>(DashMap<usize, Arc<Place<B>>>);

struct Place<B> {
    /// Kept alive so that its address is not reused.
    target: Arc<HttpTarget>,
    idle: Mutex<Vec<(Instant, Link<B>)>>,
    /// Held while a shared connection is being opened: others who want one wait for it.
    opening: Arc<tokio::sync::Mutex<()>>,
}

impl<B> Place<B> {
    fn idle(&self) -> MutexGuard<'_, Vec<(Instant, Link<B>)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> Default for Pool<B> {
    fn default() -> Self {
        Self(DashMap::new())
    }
}

impl<B> Pool<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// A connection to `target` that is ready, if there is one: the one that was used last.
    pub fn take(&self, target: &Arc<HttpTarget>) -> Option<Link<B>> {
        let place = self.0.get(&key(target))?.clone();
        let mut idle = place.idle();
        let mut at = idle.len();
        while let Some((since, link)) = at.checked_sub(1).and_then(|last| idle.get_mut(last)) {
            at -= 1;
            if !link.is_ready() {
                // Closed meanwhile.
                idle.remove(at);
            } else if !link.is_shared() {
                return Some(idle.remove(at).1);
            } else if let Some(user) = link.share() {
                // A shared one stays, and is in use as long as it is asked for.
                *since = Instant::now();
                return Some(user);
            }
        }
        None
    }

    /// Takes an idle connection out for good; one that is shared ends with its current users.
    pub fn evict(&self, target: &Arc<HttpTarget>) -> Option<Link<B>> {
        let place = self.0.get(&key(target))?.clone();
        let mut idle = place.idle();
        (!idle.is_empty()).then(|| idle.remove(0).1)
    }

    /// Keeps a connection for the next request. A shared one is kept already: only this user of it is dropped.
    pub fn put(&self, target: &Arc<HttpTarget>, link: Link<B>) {
        if !link.is_shared() && link.version() == target.endpoint.version {
            self.keep(target, link);
        }
    }

    /// Waits for the turn to open a shared connection to `target`. Callers that had to wait will find one in the pool.
    pub async fn turn(&self, target: &Arc<HttpTarget>) -> OwnedMutexGuard<()> {
        self.place(target).opening.clone().lock_owned().await
    }

    fn place(&self, target: &Arc<HttpTarget>) -> Arc<Place<B>> {
        let new = || {
            let (idle, opening) = (Mutex::default(), Arc::default());
            Arc::new(Place { target: target.clone(), idle, opening })
        };
        self.0.entry(key(target)).or_insert_with(new).clone()
    }

    fn keep(&self, target: &Arc<HttpTarget>, mut link: Link<B>) {
        if !link.is_ready() {
            return;
        }
        link.used = true;
        let place = self.place(target);
        let mut idle = place.idle();
        if idle.len() < IDLE_CAP {
            idle.push((Instant::now(), link));
            // Whoever waits for the right to send a request finds the connection here.
            if let Some((_, link)) = idle.last() {
                link.vacate();
            }
        }
    }

    /// Keeps a connection that can be shared, and returns a user of it.
    pub fn lend(&self, target: &Arc<HttpTarget>, link: Link<B>) -> Link<B> {
        match link.share() {
            None => link,
            Some(mut user) => {
                user.used = link.used;
                self.keep(target, link);
                user
            }
        }
    }

    /// Closes what has been idle for `most`, and what has been closed.
    pub fn sweep(&self, most: Duration) {
        let now = Instant::now();
        self.0.retain(|_, place| {
            let mut idle = place.idle();
            // The connections used last come last; a shared one is in use as long as requests come.
            idle.retain_mut(|(since, link)| !link.is_closed() && now.duration_since(*since) < most);
            !idle.is_empty() || Arc::strong_count(&place.target) > 1
        });
    }

    /// Connections that are kept now.
    pub fn len(&self) -> usize {
        self.0.iter().map(|place| place.idle().len()).sum()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn key(target: &Arc<HttpTarget>) -> usize {
    Arc::as_ptr(target) as usize
}
