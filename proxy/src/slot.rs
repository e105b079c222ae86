//! Counted slots: they limit the number of connections, logins or waits.

use std::sync::Arc;
use usher_backends::roster::AdmissionCounter;

/// A counted slot, given up when it is dropped.
pub(crate) struct Slot(Arc<AdmissionCounter>);

impl Slot {
    /// Takes one of `most`; `None` if there is none left.
    pub(crate) fn take(counter: &Arc<AdmissionCounter>, most: Option<u32>) -> Option<Self> {
        counter.enter(most).ok().map(|()| Self(counter.clone()))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.leave();
    }
}
