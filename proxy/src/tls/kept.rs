//! Octets of a connection that wait for the next poll.

use tokio::io::ReadBuf;

/// Octets that wait. Holds no memory while there are none, and leaves none behind: they may be somebody's password.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) octets: Vec<u8>,
    taken: usize,
}

impl Kept {
    /// Those that wait.
    pub(super) fn rest(&self) -> &[u8] {
        self.octets.get(self.taken..).unwrap_or_default()
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    /// The first `count` wait no more.
    pub(super) fn take(&mut self, count: usize) {
        self.taken += count;
        if self.taken >= self.octets.len() {
            *self = Self::default();
        }
    }

    /// Puts as much of `octets` into `buf` as finds room there in turn, and keeps the rest.
    pub(super) fn hand_on(&mut self, octets: &[u8], buf: &mut ReadBuf<'_>) {
        let room = if self.is_empty() { buf.remaining().min(octets.len()) } else { 0 };
        let (now, later) = octets.split_at(room);
        buf.put_slice(now);
        self.octets.extend_from_slice(later);
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        wipe(&mut self.octets);
    }
}

/// Overwrites what is not needed any more, in one go: uploads pass here as well as passwords.
pub(super) fn wipe(octets: &mut [u8]) {
    octets.fill(0);
    // Seen, so that it is not left out.
    std::hint::black_box(octets);
}
