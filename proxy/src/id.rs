//! Ids of connections and requests.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Generates ids that are unique across restarts, and among processes that succeed each other: no process can use as many as
/// there are between two of them.
pub(crate) struct Ids(AtomicU64);

impl Default for Ids {
    fn default() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        Self(AtomicU64::new(since << 18))
    }
}

impl Ids {
    /// The next one.
    pub(crate) fn next(&self) -> Id {
        Id(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// The id of a connection, the same in logs, in the admin API and at the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Id(u64);

impl Id {
    /// Sixteen digits, as it is written everywhere.
    pub(crate) fn digits(self) -> [u8; 16] {
        std::array::from_fn(|at| {
            let digit = (self.0 >> (60 - 4 * at)) & 0xf;
            char::from_digit(digit as u32, 16).map_or(b'0', |digit| digit as u8)
        })
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(std::str::from_utf8(&self.digits()).unwrap_or_default())
    }
}

impl std::str::FromStr for Id {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}
