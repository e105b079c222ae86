//! Who has lately logged in from where: they are not held up there for what others do.

use dashmap::DashMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use usher_backends::roster::now;
use usher_policy::guessing::Mark;

/// Most that are remembered.
const MOST: usize = 1_000_000;
/// A login that is noted again sooner changes nothing.
const FRESH: i64 = 60 * 60;
const LINE: usize = 24;

/// When somebody last logged in from somewhere, by digests of both.
pub(super) struct Known {
    last: DashMap<Mark, i64>,
    has_changed: AtomicBool,
    /// Where it is kept across restarts.
    file: PathBuf,
}

impl Known {
    /// Continues with what is in `file`.
    pub(super) fn open(file: PathBuf) -> Self {
        let octets = std::fs::read(&file).unwrap_or_default();
        let read = |line: &[u8]| {
            let (mark, at) = line.split_at_checked(16)?;
            Some((mark.try_into().ok()?, i64::from_be_bytes(at.try_into().ok()?)))
        };
        let last = octets.chunks_exact(LINE).take(MOST).filter_map(read).collect();
        Self { last, has_changed: AtomicBool::new(false), file }
    }

    /// Whether they have logged in from there within `lately`.
    pub(super) fn has(&self, mark: &Mark, lately: Duration) -> bool {
        self.last.get(mark).is_some_and(|at| *at > oldest(lately))
    }

    /// Notes that they have logged in from there.
    pub(super) fn note(&self, mark: Mark) {
        let now = now();
        if self.last.get(&mark).is_some_and(|at| now - *at < FRESH) {
            return;
        }
        if self.last.len() < MOST || self.last.contains_key(&mark) {
            self.last.insert(mark, now);
            self.has_changed.store(true, Ordering::Relaxed);
        }
    }

    /// Forgets what is older than `lately`, and saves the rest if it has changed.
    pub(super) fn save(&self, lately: Duration) {
        let oldest = oldest(lately);
        self.last.retain(|_, at| *at > oldest);
        if !self.has_changed.swap(false, Ordering::Relaxed) {
            return;
        }
        let mut octets = Vec::with_capacity(self.last.len() * LINE);
        for entry in &self.last {
            octets.extend_from_slice(entry.key());
            octets.extend_from_slice(&entry.value().to_be_bytes());
        }
        if let Err(error) = self.write(&octets) {
            self.has_changed.store(true, Ordering::Relaxed);
            tracing::warn!(file = %self.file.display(), %error, "who has logged in from where cannot be saved");
        }
    }

    fn write(&self, octets: &[u8]) -> std::io::Result<()> {
        let next = self.file.with_extension("next");
        let mut options = std::fs::OpenOptions::new();
        let mut out = options.write(true).create(true).truncate(true).mode(0o600).open(&next)?;
        out.write_all(octets)?;
        out.sync_all()?;
        std::fs::rename(next, &self.file)
    }
}

fn oldest(lately: Duration) -> i64 {
    now() - i64::try_from(lately.as_secs()).unwrap_or(i64::MAX / 2)
}
