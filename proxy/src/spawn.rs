//! The one place where sessions are started, so that what runs them can change without their knowing.
//!
//! Each worker thread has a runtime of its own, and a session lives and dies on one of them: the tasks that
//! it is made of wake each other without a word to another thread.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::{Builder, Handle};

thread_local! {
    /// Which worker this thread is; the first, where it is none.
    static HERE: Cell<usize> = const { Cell::new(0) };
}

/// Starts sessions on the workers.
#[derive(Clone)]
pub(crate) struct Spawner(Arc<[Worker]>);

struct Worker {
    runtime: Handle,
    /// Connections that it serves now.
    serves: Arc<AtomicUsize>,
}

/// A connection's worker, which counts it until this is dropped.
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

impl Spawner {
    /// Starts a worker for each processor that the process may use.
    ///
    /// # Errors
    /// The system's, when it gives no threads.
    pub(crate) fn start() -> std::io::Result<Self> {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = (0..count).map(|at| {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let handle = runtime.handle().clone();
            std::thread::Builder::new().name(format!("worker-{at}")).spawn(move || {
                HERE.set(at);
                runtime.block_on(std::future::pending::<()>());
            })?;
            Ok(Worker { runtime: handle, serves: Arc::default() })
        });
        Ok(Self(workers.collect::<std::io::Result<_>>()?))
    }

    /// How many workers there are.
    pub(crate) fn workers(&self) -> usize {
        self.0.len()
    }

    /// Which worker the caller is on.
    pub(crate) fn here() -> usize {
        HERE.get()
    }

    /// The worker that serves the fewest connections, which counts one more.
    pub(crate) fn choose(&self) -> Worked {
        let load = |at: &usize| self.0.get(*at).map_or(usize::MAX, |one| one.serves.load(Ordering::Relaxed));
        let at = (0..self.workers()).min_by_key(load).unwrap_or(0);
        let serves = self.0.get(at).map_or_else(Arc::default, |worker| worker.serves.clone());
        serves.fetch_add(1, Ordering::Relaxed);
        Worked { serves, at }
    }

    /// Serves a connection on the worker numbered `at`. One that panics ends alone: its lease and its place in
    /// the table go with it.
    pub(crate) fn connection(&self, at: usize, connection: impl Future<Output = ()> + Send + 'static) {
        if let Some(worker) = self.0.get(at) {
            worker.runtime.spawn(connection);
        }
    }

    /// Starts what belongs to the caller's connection, on its worker.
    pub(crate) fn session(&self, session: impl Future<Output = ()> + Send + 'static) {
        match self.0.get(Self::here()) {
            Some(worker) => drop(worker.runtime.spawn(session)),
            None => drop(tokio::spawn(session)),
        }
    }
}
