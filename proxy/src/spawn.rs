//! The one place where sessions are started, so that what runs them can change without their knowing.

use tokio::runtime::Handle;

/// Starts sessions on the program's runtime.
#[derive(Clone)]
pub(crate) struct Spawner(Handle);

impl Spawner {
    /// Starts them on the runtime of `handle`.
    pub(crate) fn new(handle: Handle) -> Self {
        Self(handle)
    }

    /// Starts one. A session that panics ends alone: its lease and its place in the table go with it.
    pub(crate) fn session(&self, session: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(session);
    }
}
