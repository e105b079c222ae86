//! Octets of a connection that wait for the next poll.

use tokio::io::ReadBuf;

/// Octets that wait. Holds no memory while there are none, and leaves none behind: they may be somebody's password.
#[derive(Default)]
pub(crate) struct PendingBuffer {
    pub(crate) octets: Vec<u8>,
    taken: usize,
}

impl PendingBuffer {
    /// Those that wait.
    pub(crate) fn rest(&self) -> &[u8] {
        self.octets.get(self.taken..).unwrap_or_default()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    /// The first `count` wait no more.
    pub(crate) fn take(&mut self, count: usize) {
        self.taken += count;
        if self.taken >= self.octets.len() {
            *self = Self::default();
        }
    }

    /// Moves as many as there is room for into `buf`. False where there are none.
    pub(crate) fn deliver(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let rest = self.rest();
        if rest.is_empty() {
            return false;
        }
        let step = rest.len().min(buf.remaining());
        buf.put_slice(rest.get(..step).unwrap_or_default());
        self.take(step);
        true
    }

    /// Puts as much of `octets` into `buf` as finds room there in turn, and keeps the rest.
    pub(crate) fn hand_on(&mut self, octets: &[u8], buf: &mut ReadBuf<'_>) {
        let room = if self.is_empty() { buf.remaining().min(octets.len()) } else { 0 };
        let (now, later) = octets.split_at(room);
        buf.put_slice(now);
        self.octets.extend_from_slice(later);
    }
}

impl Drop for PendingBuffer {
    fn drop(&mut self) {
        wipe(&mut self.octets);
    }
}

/// Overwrites what is not needed any more, in one go: uploads pass here as well as passwords.
pub(crate) fn wipe(octets: &mut [u8]) {
    octets.fill(0);
    // Seen, so that it is not left out.
    std::hint::black_box(octets);
}
