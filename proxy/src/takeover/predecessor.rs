//! The process that is succeeded.

use super::channel::{Channel, MOST_OCTETS, Parcel, is_gone};
use super::error::NotTakenOver;
use super::words::{Estate, FromPredecessor, FromSuccessor, Rest};
use crate::admin::Admin;
use crate::guessing::Guessing;
use crate::kept::keep;
use crate::listen::{Acceptor, Sockets};
use crate::lookup::Lookups;
use crate::moves::Mover;
use crate::service_manager;
use crate::succession::{BulkUnderWay, Program};
use crate::tls::Tickets;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::RwLock;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use usher_backends::roster::Fleet;
use usher_backends::state_dir::StateDir;

/// How long a successor may take to be ready, unless whoever wants it says otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is handed over.
pub(crate) struct Predecessor {
    pub(crate) program: Arc<Program>,
    pub(crate) acceptor: Arc<Acceptor>,
    pub(crate) admin: Arc<Admin>,
    pub(crate) lookups: Arc<Lookups>,
    pub(crate) mover: Arc<Mover>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) tickets: Arc<Tickets>,
    /// Whoever changes something holds it for reading.
    pub(crate) changes: Arc<RwLock<()>>,
    pub(crate) state_dir: Mutex<Option<StateDir>>,
}

/// A process that has been started, until it serves.
struct Started {
    child: Arc<Mutex<Child>>,
    channel: Channel,
    patience: Duration,
}

impl Predecessor {
    /// Starts a successor and leaves it everything, once it is ready. `wants_reload`: whether somebody wants the
    /// configuration to be read again.
    ///
    /// # Errors
    /// [`NotTakenOver`]; then all is as before.
    pub(crate) async fn hand_over(
        &self,
        sockets: &Sockets,
        patience: Option<Duration>,
        wants_reload: impl Fn() -> bool,
    ) -> Result<u32, NotTakenOver> {
        let patience = patience.unwrap_or(PATIENCE);
        if std::process::id() == 1 {
            return Err(NotTakenOver::First);
        }
        let handed = tokio::select! {
            handed = self.hand_over_in_peace(sockets, patience, wants_reload) => handed,
            () = self.acceptor.shutdown.stopped() => Err(NotTakenOver::Stopping),
        };
        if handed.is_err() {
            self.admin.close_private();
        }
        handed
    }

    /// Nothing changes while it is handed over.
    async fn hand_over_in_peace(
        &self,
        sockets: &Sockets,
        patience: Duration,
        wants_reload: impl Fn() -> bool,
    ) -> Result<u32, NotTakenOver> {
        let busy = |_| NotTakenOver::Busy(patience);
        let changes = timeout(patience, self.changes.write()).await;
        // Whoever moves a key could not say that they are still there.
        self.mover.wait_anew();
        let changes = changes.map_err(busy)?;
        let bulk = self.mover.pause().await.map_err(|_| NotTakenOver::Busy(patience));
        self.mover.wait_anew();
        let bulk = bulk?;
        let handed = self.hand_over_paused(sockets, patience, bulk.clone(), wants_reload).await;
        if handed.is_err() {
            self.go_on(bulk).await;
        } else {
            // Nothing that is held here keeps the next one from starting.
            drop(self.state_dir.lock().unwrap_or_else(PoisonError::into_inner).take());
            self.admin.retire();
            self.acceptor.shutdown.retire();
        }
        drop(changes);
        handed
    }

    /// Goes on as if there had been no successor: one that was nearly there may have changed something.
    async fn go_on(&self, bulk: Option<BulkUnderWay>) {
        let (fleet, guessing) = (self.fleet.clone(), self.acceptor.imap.guessing.clone());
        let looking = spawn_blocking(move || (fleet.look().is_ok(), guessing.look().is_ok())).await;
        if !matches!(looking, Ok((true, true))) {
            tracing::error!("what a failed successor may have changed cannot be read");
        }
        service_manager::ready();
        self.mover.wait_anew();
        bulk.into_iter().for_each(|bulk| self.mover.go_on(bulk));
    }

    async fn hand_over_paused(
        &self,
        sockets: &Sockets,
        patience: Duration,
        bulk: Option<BulkUnderWay>,
        wants_reload: impl Fn() -> bool,
    ) -> Result<u32, NotTakenOver> {
        let acceptor = self.acceptor.clone();
        spawn_blocking(move || keep(&acceptor)).await.map_err(io::Error::other)?;
        self.admin.open_private()?;
        let started = self.start(patience)?;
        let process = started.id();
        let kill = KillUnlessServing(Some(started.child.clone()));
        let started = self.introduce(started, sockets).await?;
        let moves = self.mover.under_way();
        let rest = Rest { reload: wants_reload(), moves, bulk };
        let guessing = self.acceptor.imap.guessing.clone();
        spawn_blocking(move || started.finish(&rest, &guessing)).await.map_err(io::Error::other)??;
        kill.serves();
        Ok(process)
    }

    fn start(&self, patience: Duration) -> Result<Started, NotTakenOver> {
        let (ours, theirs) = UnixStream::pair()?;
        let child = self.program.start(OwnedFd::from(theirs));
        let child = child
            .map_err(|source| NotTakenOver::Start { program: self.program.path().to_owned(), source })?;
        tracing::info!(process = child.id(), program = %self.program.path().display(), "a successor is started");
        Ok(Started { child: Arc::new(Mutex::new(child)), channel: Channel::new(ours, patience), patience })
    }

    /// Gives the successor what it needs to be ready, and waits until it is.
    async fn introduce(&self, started: Started, sockets: &Sockets) -> Result<Started, NotTakenOver> {
        let lock = {
            let state_dir = self.state_dir.lock().unwrap_or_else(PoisonError::into_inner);
            let lock = state_dir.as_ref().map(|state_dir| state_dir.lock().try_clone());
            lock.ok_or(NotTakenOver::Stopping)??
        };
        let (admin, keys) = (self.admin.clone(), self.tickets.keys());
        let stopped = self.fleet.stopped_since_start();
        let listeners: Vec<Arc<TcpListener>> =
            sockets.open().flat_map(|(_, sockets)| sockets).cloned().chain(self.lookups.sockets()).collect();
        let doors = admin.doors().ok_or(NotTakenOver::Stopping)?;
        spawn_blocking(move || {
            let mut files = vec![lock.as_fd(), doors.socket.as_fd()];
            let admin_listen = doors.listen.as_ref().map(|(address, socket)| {
                files.push(socket.as_fd());
                *address
            });
            files.extend(listeners.iter().map(|listener| listener.as_fd()));
            let estate = Estate { admin_socket: admin.path().to_owned(), admin_listen, stopped };
            let sent = started.channel.send(&FromPredecessor::Estate(estate), &keys, &files);
            // One that has ended has said why before.
            let answer = started.channel.receive();
            match answer {
                Ok(Parcel { message: FromSuccessor::Ready, .. }) if sent.is_ok() => Ok(started),
                answer => Err(started.fault(answer)),
            }
        })
        .await
        .map_err(io::Error::other)?
    }
}

impl Started {
    fn id(&self) -> u32 {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).id()
    }

    /// Gives the successor leave to serve, and waits until it does.
    fn finish(mut self, rest: &Rest, guessing: &Guessing) -> Result<(), NotTakenOver> {
        self.channel.wait_for(self.patience);
        let mut counted = guessing.counted();
        counted.truncate(MOST_OCTETS);
        let sent = self.channel.send(&FromPredecessor::Rest(rest.clone()), &counted, &[]);
        match self.channel.receive() {
            Ok(Parcel { message: FromSuccessor::Serving, .. }) if sent.is_ok() => Ok(()),
            answer => Err(self.fault(answer)),
        }
    }

    /// Why there is no successor.
    fn fault(&self, answer: io::Result<Parcel<FromSuccessor>>) -> NotTakenOver {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Ok(Parcel { message: FromSuccessor::Failed(why), .. }) => NotTakenOver::Failed(why),
            Err(error) if error.kind() == ErrorKind::TimedOut => NotTakenOver::Late(self.patience),
            Err(error) if is_gone(&error) => {
                let _ = child.kill();
                child.wait().map_or_else(NotTakenOver::System, NotTakenOver::Ended)
            }
            Err(error) => NotTakenOver::System(error),
            Ok(_) => NotTakenOver::System(ErrorKind::InvalidData.into()),
        }
    }
}

/// Kills a successor that nobody waits for any more.
struct KillUnlessServing(Option<Arc<Mutex<Child>>>);

impl KillUnlessServing {
    /// It serves: this process only waits for its end, if that comes first.
    fn serves(mut self) {
        let Some(child) = self.0.take() else { return };
        let reap = move || drop(child.lock().unwrap_or_else(PoisonError::into_inner).wait());
        let _ = std::thread::Builder::new().name("successor".to_owned()).spawn(reap);
    }
}

impl Drop for KillUnlessServing {
    fn drop(&mut self) {
        let Some(child) = self.0.take() else { return };
        // It is gone when this returns: nothing that it does comes after what is done next here.
        let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
    }
}
