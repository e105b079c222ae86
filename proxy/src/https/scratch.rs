//! What the connections of a worker thread read into before it is judged; nothing of it outlives a poll.

use std::cell::RefCell;

/// Bytes read at a time: a TLS record.
pub(crate) const READ: usize = 16 * 1024;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into_boxed_slice());
}

/// Lends it.
pub(crate) fn with<T>(reads: impl FnOnce(&mut [u8]) -> T) -> T {
    BUFFER.with_borrow_mut(|buffer| reads(buffer))
}
