//! Futures on the heap.

use std::pin::Pin;

/// Puts what `make` returns on the heap. Its place is there first: of a future that may have to be dropped because there
/// is none, the compiler makes all of it elsewhere, and copies it.
#[inline]
pub(crate) fn boxed<F: Future>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    Box::into_pin(Box::write(Box::new_uninit(), make()))
}
