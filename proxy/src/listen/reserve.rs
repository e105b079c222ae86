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

    /// Gives it up for as long as it takes to accept one connection and close it. Says whether there was one.
    pub(crate) fn shed(&mut self, listener: impl AsFd) -> bool {
        drop(self.0.take());
        let was_there = rustix::net::accept(listener).is_ok();
        *self = Self::take();
        was_there
    }
}
