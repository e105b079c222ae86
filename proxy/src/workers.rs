//! The only place where sessions are started, so that what runs them can change without affecting them.
//!
//! Each worker thread has a runtime of its own, and a session spends its life on one of them: its tasks wake each other
//! without involving another thread.

use std::cell::Cell;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Handle};
use tokio::task::JoinHandle;

/// Connections by which a worker may be ahead of another, plus an eighth, before it hands new ones over.
const AHEAD: usize = 4;
/// How often an idle worker wakes. A timer that is due before all others makes tokio write to its own wake-up
/// descriptor, and almost every deadline of a login would be one. With this timer there is always an earlier one, and
/// nobody minds if it is late.
const TICK: Duration = Duration::from_secs(1);

thread_local! {
    /// Which worker this thread is; 0 if it is not a worker.
    static HERE: Cell<usize> = const { Cell::new(0) };
}

/// Starts sessions on the workers.
#[derive(Clone)]
pub(crate) struct Workers(Arc<[Worker]>);

struct Worker {
    runtime: Handle,
    /// Connections that it is serving now.
    serves: Arc<AtomicUsize>,
}

/// A connection's worker, which counts the connection until this is dropped.
pub(crate) struct Worked {
    serves: Arc<AtomicUsize>,
    at: usize,
}

impl Worked {
    /// Its number.
    pub(crate) fn at(&self) -> usize {
        self.at
    }
}

impl Drop for Worked {
    fn drop(&mut self) {
        self.serves.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Workers {
    /// Starts a worker for each processor that the process may use.
    ///
    /// # Errors
    /// The system's, when it gives no threads.
    pub(crate) fn start() -> std::io::Result<Self> {
        let count = std::thread::available_parallelism().map_or(1, NonZero::get);
        let workers = (0..count).map(|at| {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let handle = runtime.handle().clone();
            std::thread::Builder::new().name(format!("worker-{at}")).spawn(move || {
                HERE.set(at);
                runtime.block_on(async {
                    loop {
                        tokio::time::sleep(TICK).await;
                    }
                });
            })?;
            Ok(Worker { runtime: handle, serves: Arc::default() })
        });
        Ok(Self(workers.collect::<std::io::Result<_>>()?))
    }

    /// How many workers there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Which worker the caller is on.
    pub(crate) fn here() -> usize {
        HERE.get()
    }

    /// The worker for a connection that the caller's worker has accepted: the same one, unless another serves clearly
    /// fewer. Its count is increased.
    pub(crate) fn choose(&self) -> Worked {
        let load = |at: &usize| self.0.get(*at).map_or(usize::MAX, |one| one.serves.load(Ordering::Relaxed));
        let (here, least) = (Self::here(), (0..self.count()).min_by_key(load).unwrap_or(0));
        let fewest = load(&least);
        let at = if load(&here) <= fewest + fewest / 8 + AHEAD { here } else { least };
        let serves = self.0.get(at).map_or_else(Arc::default, |worker| worker.serves.clone());
        serves.fetch_add(1, Ordering::Relaxed);
        Worked { serves, at }
    }

    /// Registers `socket`, which no worker watches yet, with the worker numbered `at`.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn watch(&self, at: usize, socket: std::net::TcpListener) -> std::io::Result<TcpListener> {
        let _on = self.0.get(at).map(|worker| worker.runtime.enter());
        TcpListener::from_std(socket)
    }

    /// Moves `tcp`, which the caller's worker watches, to the worker numbered `at`.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn adopt(&self, at: usize, tcp: TcpStream) -> std::io::Result<TcpStream> {
        if at == Self::here() {
            return Ok(tcp);
        }
        let tcp = tcp.into_std()?;
        let _on = self.0.get(at).map(|worker| worker.runtime.enter());
        TcpStream::from_std(tcp)
    }

    /// Runs `work` on the worker numbered `at`. A panic ends only its own connection, whose lease and place in the
    /// table are released.
    pub(crate) fn on(&self, at: usize, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        match self.0.get(at) {
            Some(worker) => worker.runtime.spawn(work),
            None => tokio::spawn(work),
        }
    }

    /// Starts a task that belongs to the caller's connection, on its worker.
    pub(crate) fn session(&self, session: impl Future<Output = ()> + Send + 'static) {
        drop(self.on(Self::here(), session));
    }
}
