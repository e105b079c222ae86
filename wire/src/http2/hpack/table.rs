//! The fields that an index stands for (RFC 7541 section 2.3): those that everybody knows, and those that have been said
//! on a connection.

use std::collections::VecDeque;

/// What a field takes up in a table besides its bytes (section 4.1).
pub(super) const OVERHEAD: usize = 32;

/// Appendix A.
#[rustfmt::skip]
pub(super) const STATIC: [(&str, &str); 61] = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"), (":path", "/index.html"),
    (":scheme", "http"), (":scheme", "https"), (":status", "200"), (":status", "204"), (":status", "206"),
    (":status", "304"), (":status", "400"), (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""), ("accept", ""),
    ("access-control-allow-origin", ""), ("age", ""), ("allow", ""), ("authorization", ""),
    ("cache-control", ""), ("content-disposition", ""), ("content-encoding", ""), ("content-language", ""),
    ("content-length", ""), ("content-location", ""), ("content-range", ""), ("content-type", ""),
    ("cookie", ""), ("date", ""), ("etag", ""), ("expect", ""), ("expires", ""), ("from", ""), ("host", ""),
    ("if-match", ""), ("if-modified-since", ""), ("if-none-match", ""), ("if-range", ""),
    ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""), ("location", ""), ("max-forwards", ""),
    ("proxy-authenticate", ""), ("proxy-authorization", ""), ("range", ""), ("referer", ""), ("refresh", ""),
    ("retry-after", ""), ("server", ""), ("set-cookie", ""), ("strict-transport-security", ""),
    ("transfer-encoding", ""), ("user-agent", ""), ("vary", ""), ("via", ""), ("www-authenticate", ""),
];

/// A field that has been said.
struct Said {
    name: usize,
    bytes: Box<[u8]>,
}

/// Fields that have been said, the latest first.
pub(super) struct Table {
    said: VecDeque<Said>,
    size: usize,
    most: usize,
}

impl Table {
    /// An empty one of at most so many bytes.
    pub(super) fn new(most: usize) -> Self {
        Self { said: VecDeque::new(), size: 0, most }
    }

    /// The name and the value of the field at `index`, which counts from one.
    pub(super) fn get(&self, index: usize) -> Option<(&[u8], &[u8])> {
        let index = index.checked_sub(1)?;
        if let Some((name, value)) = STATIC.get(index) {
            return Some((name.as_bytes(), value.as_bytes()));
        }
        let said = self.said.get(index - STATIC.len())?;
        said.bytes.split_at_checked(said.name)
    }

    /// Adds a field in front of the others. One that is larger than the table empties it (section 4.4).
    pub(super) fn add(&mut self, name: &[u8], value: &[u8]) {
        let size = name.len() + value.len() + OVERHEAD;
        self.shrink(self.most.saturating_sub(size));
        if size <= self.most {
            self.said.push_front(Said { name: name.len(), bytes: [name, value].concat().into() });
            self.size += size;
        }
    }

    /// Changes its size.
    pub(super) fn resize(&mut self, most: usize) {
        self.most = most;
        self.shrink(most);
    }

    fn shrink(&mut self, to: usize) {
        while self.size > to
            && let Some(oldest) = self.said.pop_back()
        {
            self.size -= oldest.bytes.len() + OVERHEAD;
        }
    }
}
