//! Futures on the heap.

use std::pin::Pin;

/// Makes a future on the heap. `Box::pin` makes it on the stack and then copies all of it, because it would have to be
/// dropped if there were no memory. Here, its place is found first.
#[inline]
pub(crate) fn boxed<F: Future>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    Box::into_pin(Box::write(Box::new_uninit(), make()))
}
