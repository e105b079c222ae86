//! Bytes of a connection that wait for the next poll.

use tokio::io::ReadBuf;

/// Bytes that wait. Uses no memory while there are none, and leaves none behind: they may be somebody's password.
#[derive(Default)]
pub(crate) struct PendingBuffer {
    pub(crate) octets: Vec<u8>,
    taken: usize,
}

impl From<&[u8]> for PendingBuffer {
    fn from(octets: &[u8]) -> Self {
        Self { octets: octets.to_vec(), taken: 0 }
    }
}

impl PendingBuffer {
    /// The bytes that wait.
    pub(crate) fn rest(&self) -> &[u8] {
        self.octets.get(self.taken..).unwrap_or_default()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    /// Removes the first `count` of them.
    pub(crate) fn take(&mut self, count: usize) {
        self.taken += count;
        if self.taken >= self.octets.len() {
            *self = Self::default();
        }
    }

    /// Moves as many as fit into `buf`. False if there are none.
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

    /// Puts as much of `octets` into `buf` as fits in order, and keeps the rest.
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

/// Overwrites what is no longer needed, in one go: uploads pass here as well as passwords.
pub(crate) fn wipe(octets: &mut [u8]) {
    octets.fill(0);
    // Prevents the compiler from optimising it away.
    std::hint::black_box(octets);
}
