//! Moves a key, a user's, a tenant's or a domain's, from one host to another, with clients unchanged: its logins wait, its
//! sessions end with a goodbye, the directory changes, and the logins go on at the other host; or all is as before.
//!
//! The mail itself is copied by somebody else, before, or while the logins wait.

mod bulk;
mod error;
mod login;
mod progress;
mod recover;
mod sessions;
mod succession;

pub(crate) use bulk::{Bulk, BulkOrder};
pub(crate) use error::MoveError;
pub(crate) use login::LoginTest;
pub(crate) use progress::{Move, Phase};

use crate::active::CurrentConfig;
use crate::login::Server;
use crate::route::{Router, registered};
use crate::session::Table;
use crate::succession::Formers;
use progress::Moves;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use usher_backends::connect::Deadlines;
use usher_backends::directory::{DirectoryError, Flip, Found, Ledger};
use usher_backends::roster::{Fleet, KeyHold, MoveEnds, Service};
use usher_backends::sources::Inquiry;
use usher_policy::ArchiveKey;

/// How long a move waits for whoever has begun it to say that they are still there.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Moves keys.
pub(crate) struct Mover {
    config: Arc<CurrentConfig>,
    directory: Arc<dyn Ledger>,
    fleet: Arc<Fleet>,
    router: Arc<Router>,
    sessions: Arc<Table>,
    formers: Arc<Formers>,
    moves: Moves,
    /// Those whose logins wait until the directory can say, and the disk can keep, how they have ended.
    unsettled: Mutex<Vec<(ArchiveKey, KeyHold)>>,
    bulk: Mutex<Option<Arc<Bulk>>>,
}

/// What is moved, and who wants it.
#[derive(Clone)]
pub(crate) struct Order {
    pub(crate) key: ArchiveKey,
    pub(crate) to: String,
    pub(crate) by: String,
}

impl Mover {
    /// One for what `server` serves.
    pub(crate) fn new(
        server: &Server,
        config: Arc<CurrentConfig>,
        directory: Arc<dyn Ledger>,
        formers: Arc<Formers>,
    ) -> Self {
        let (router, fleet, sessions) =
            (server.router.clone(), server.fleet.clone(), server.sessions.clone());
        let (moves, unsettled, bulk) = Default::default();
        Self { config, directory, fleet, router, sessions, formers, moves, unsettled, bulk }
    }

    /// Holds the logins of a key and ends its sessions. What was begun must be finished or undone.
    ///
    /// # Errors
    /// [`MoveError`], and all is as before.
    pub(crate) async fn begin(&self, order: &Order) -> Result<(), MoveError> {
        let Order { key, to, by } = order;
        self.is_fit(to)?;
        let from = self.movable_from(key).await?;
        if from == *to {
            return Err(MoveError::There { key: key.clone(), host: from });
        }
        let ends = MoveEnds { from: from.clone(), to: to.clone() };
        if !self.fleet.begin_move(key, ends, by)? {
            return Err(MoveError::Held(key.clone()));
        }
        self.moves.begin(key, &from, to);
        self.router.sources.forget(key);
        tracing::info!(key = %key, from, to, by, "moving");
        match self.end_sessions_everywhere(key, &from).await {
            Ok(ended) => {
                self.moves.note_ended(key, ended);
                Ok(())
            }
            Err(error) => {
                self.undo(key, &error.to_string())?;
                self.formers.look().await;
                Err(error)
            }
        }
    }

    /// Whether usher moves this key now: then nobody else may hold or release it.
    pub(crate) fn is_moving(&self, key: &ArchiveKey) -> bool {
        self.moves.are_of(key)
    }

    /// Puts a key that was begun on its new host, and lets its logins go on there. `test`: a login that must succeed there
    /// first.
    ///
    /// # Errors
    /// [`MoveError`], and all is as before the move, unless it is [`MoveError::Unsettled`].
    pub(crate) async fn finish(
        &self,
        key: &ArchiveKey,
        test: Option<&LoginTest>,
        by: &str,
    ) -> Result<(), MoveError> {
        let ends = self.claim(key)?;
        let flipped = match self.check(&ends.to, test).await {
            Ok(()) => self.flip(key, &ends, by).await,
            Err(error) => Err(error),
        };
        match flipped {
            Ok(()) => {}
            Err(MoveError::Directory(DirectoryError::InDoubt(why))) => {
                return Err(self.settle_later(key, &why));
            }
            Err(error) => {
                self.give_back(key, &ends, &error.to_string())?;
                self.formers.look().await;
                return Err(error);
            }
        }
        self.router.note_move();
        self.router.sources.forget(key);
        self.release(key)?;
        self.formers.look().await;
        self.moves.end(key, Phase::Done, "");
        tracing::info!(key = %key, from = ends.from, to = ends.to, "moved");
        Ok(())
    }

    /// Lets the logins of a key that was begun go on where they were.
    ///
    /// # Errors
    /// [`MoveError::Unsettled`], if that cannot be saved, or [`MoveError::NotMoving`].
    pub(crate) fn undo(&self, key: &ArchiveKey, why: &str) -> Result<(), MoveError> {
        let ends = self.claim(key)?;
        self.give_back(key, &ends, why)
    }

    /// Ends a move that the caller has claimed, and leaves the key where it was.
    fn give_back(&self, key: &ArchiveKey, ends: &MoveEnds, why: &str) -> Result<(), MoveError> {
        self.release(key)?;
        self.moves.end(key, Phase::Undone, why);
        tracing::warn!(key = %key, from = ends.from, to = ends.to, why, "a move is undone");
        Ok(())
    }

    /// Lets the logins of a key go on; if that cannot be saved, as soon as it can be.
    fn release(&self, key: &ArchiveKey) -> Result<(), MoveError> {
        self.fleet.release_key(key).map(drop).map_err(|error| self.settle_later(key, &error.to_string()))
    }

    /// Makes the caller the only one who may finish or undo the move of `key`.
    fn claim(&self, key: &ArchiveKey) -> Result<MoveEnds, MoveError> {
        if !self.moves.claim(key) {
            return Err(MoveError::NotMoving(key.clone()));
        }
        let ends = self.ends(key);
        if ends.is_err() {
            self.moves.end(key, Phase::Undone, "its hold is gone");
        }
        ends
    }

    /// Does all of it.
    ///
    /// # Errors
    /// [`MoveError`], and all is as before.
    pub(crate) async fn carry_out(&self, order: &Order, test: Option<&LoginTest>) -> Result<(), MoveError> {
        self.begin(order).await?;
        self.finish(&order.key, test, &order.by).await
    }

    /// Whoever has begun the move of a key is still there.
    ///
    /// # Errors
    /// [`MoveError::NotMoving`].
    pub(crate) fn renew(&self, key: &ArchiveKey) -> Result<(), MoveError> {
        self.ends(key)?;
        self.moves.wait_for(key, Instant::now() + PATIENCE);
        Ok(())
    }

    /// Undoes the moves that nobody finishes. Returns whether there are any.
    pub(crate) fn undo_abandoned(&self) -> bool {
        let abandoned = self.moves.abandoned(Instant::now());
        let are_some = !abandoned.is_empty();
        for key in abandoned {
            if let Err(error) = self.undo(&key, "whoever has begun it is gone") {
                tracing::error!(key = %key, %error, "a move cannot be undone");
            }
        }
        are_some
    }

    /// The moves under way, and the latest that are over.
    pub(crate) fn moves(&self) -> Vec<Move> {
        self.moves.all()
    }

    /// The latest move of a key.
    pub(crate) fn latest(&self, key: &ArchiveKey) -> Option<Move> {
        self.moves.latest(key)
    }

    /// The latest move of many keys.
    pub(crate) fn bulk(&self) -> Option<Arc<Bulk>> {
        self.bulk.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn ends(&self, key: &ArchiveKey) -> Result<MoveEnds, MoveError> {
        let roster = self.fleet.roster();
        let ends = roster.moving(key, None).and_then(|hold| hold.ends.clone());
        ends.ok_or_else(|| MoveError::NotMoving(key.clone()))
    }

    /// Whether the host can take logins and requests.
    fn is_fit(&self, name: &str) -> Result<(), MoveError> {
        let roster = self.fleet.roster();
        let host = roster.host(name).ok_or_else(|| MoveError::NoHost(name.to_owned()))?;
        let offered =
            [Service::Imap, Service::Http].into_iter().filter(|service| host.services.offers(*service));
        for service in offered {
            if !host.standing.serves(service) {
                let state = host.standing.state(service).name();
                return Err(MoveError::Unfit { host: name.to_owned(), service: service.name(), state });
            }
        }
        Ok(())
    }

    async fn check(&self, to: &str, test: Option<&LoginTest>) -> Result<(), MoveError> {
        self.is_fit(to)?;
        let Some(test) = test else { return Ok(()) };
        let host = self.fleet.roster().host(to).cloned().ok_or_else(|| MoveError::NoHost(to.to_owned()))?;
        let deadlines = Deadlines::from(&self.config.load().snapshot.limits);
        test.succeeds_at(&host, &deadlines).await
    }

    /// Where `key` is now, if it can be moved from there.
    async fn movable_from(&self, key: &ArchiveKey) -> Result<String, MoveError> {
        let inquiry = Inquiry { freshness: Some(Duration::ZERO), ..Inquiry::about(key) };
        let said = self.router.sources.find(&inquiry).await;
        let Found::Now(found) = said.found? else {
            return Err(DirectoryError::Unsure(format!("{} cannot be asked now", said.source)).into());
        };
        let placement = found.ok_or_else(|| MoveError::Nowhere(key.clone()))?;
        if said.source != self.directory.name() {
            return Err(MoveError::ReadOnly { key: key.clone(), by: said.source });
        }
        let roster = self.fleet.roster();
        Ok(registered::name(&roster, &placement.host, placement.port).unwrap_or(placement.host))
    }

    async fn flip(&self, key: &ArchiveKey, ends: &MoveEnds, by: &str) -> Result<(), MoveError> {
        let (directory, flipped, by) = (self.directory.clone(), key.clone(), by.to_owned());
        let (from, to, roster) = (ends.from.clone(), ends.to.clone(), self.fleet.roster());
        // A disk or another server is waited for where that delays nobody else.
        let flipping = spawn_blocking(move || {
            let flip = |written: &str| directory.flip(&flipped, written, &to, &by);
            registered::flip(&roster, &from, flip).or_else(|error| {
                if !matches!(error, DirectoryError::InDoubt(_)) {
                    return Err(error);
                }
                // Perhaps only the answer was lost.
                let now = directory.settled(&flipped).map_err(|_| error)?;
                Ok(match now {
                    Some(now) if now.found_by == flipped && now.host == to => Flip::Done,
                    now => Flip::Elsewhere(
                        now.map(|now| registered::name(&roster, &now.host, now.port).unwrap_or(now.host)),
                    ),
                })
            })
        })
        .await;
        match flipping.unwrap_or_else(|error| Err(DirectoryError::InDoubt(error.to_string())))? {
            Flip::Done => Ok(()),
            Flip::Elsewhere(host) if host.as_deref() == Some(&*ends.from) => {
                Err(MoveError::Lost(key.clone()))
            }
            Flip::Elsewhere(host) => Err(MoveError::Elsewhere { key: key.clone(), host }),
        }
    }
}
