//! A file descriptor in reserve for when there are none left. It is used to accept and close the connection that has
//! waited longest, which would otherwise wait for an answer that nobody can give.

use std::fs::File;
use std::os::fd::AsFd;

/// The descriptor.
pub(crate) struct Reserve(Option<File>);

impl Reserve {
    /// Reserves one, if there is one.
    pub(crate) fn take() -> Self {
        Self(File::open("/dev/null").ok())
    }

    /// Releases it long enough to accept one connection and close it. Returns whether there was one.
    pub(crate) fn shed(&mut self, listener: impl AsFd) -> bool {
        drop(self.0.take());
        let was_there = rustix::net::accept(listener).is_ok();
        *self = Self::take();
        was_there
    }
}
