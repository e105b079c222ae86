//! A file descriptor kept for the moment when there is none left: with it the connection that waits longest
//! is accepted and closed, instead of waiting for an answer that nobody can give.

use std::fs::File;
use std::os::fd::AsFd;

/// The descriptor.
pub(crate) struct Reserve(Option<File>);

impl Reserve {
    /// Takes one, where there is one.
    pub(crate) fn take() -> Self {
        Self(File::open("/dev/null").ok())
    }

    /// Gives it up for as long as it takes to accept one connection and close it.
    pub(crate) fn shed(&mut self, listener: impl AsFd) {
        drop(self.0.take());
        drop(rustix::net::accept(listener));
        *self = Self::take();
    }
}
