//! How much memory is left: near the limit usher accepts no more clients, so that those it has are served.

use std::fs;
use std::sync::atomic::{AtomicU8, Ordering};

/// Percentage of the limit from which connections are no longer kept idle.
const TIGHT: u64 = 92;
/// Percentage of the limit from which no connections are accepted.
const FULL: u64 = 95;

/// The result of the last check.
#[derive(Default)]
pub(crate) struct MemoryPressure(AtomicU8);

impl MemoryPressure {
    /// Whether no more connections are taken.
    pub(crate) fn is_full(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 2
    }

    /// 0: enough memory; 1: little; 2: none for new connections.
    pub(crate) fn level(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    /// Checks memory use against usher's `own` limit, if there is one, or else against that of the control group.
    pub(crate) fn look(&self, own: Option<u64>) {
        let seen = match own {
            Some(limit) => resident().map(|used| (used, limit)),
            None => control_group(),
        };
        if let Some((used, limit)) = seen {
            self.note(used, limit);
        }
    }

    fn note(&self, used: u64, limit: u64) {
        let percent = used.saturating_mul(100) / limit.max(1);
        let level = u8::from(percent >= TIGHT) + u8::from(percent >= FULL);
        let before = self.0.swap(level, Ordering::Relaxed);
        match (before, level) {
            (0 | 1, 2) => tracing::error!(used, limit, "memory is low: new connections are turned away"),
            (2, 0 | 1) => tracing::warn!(used, limit, "memory has recovered: connections are accepted again"),
            (0, 1) => tracing::warn!(used, limit, "memory is getting low"),
            _ => {}
        }
    }
}

/// Bytes of memory that the process uses.
fn resident() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// What the control group uses and may use (version 2); nothing where it has no limit.
fn control_group() -> Option<(u64, u64)> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let read = |name: &str| fs::read_to_string(format!("/sys/fs/cgroup{path}/{name}")).ok();
    let limit: u64 = read("memory.max")?.trim().parse().ok()?;
    let used: u64 = read("memory.current")?.trim().parse().ok()?;
    // The system reclaims cached files when memory is short.
    let cached = read("memory.stat").and_then(|stat| {
        let line = stat.lines().find_map(|line| line.strip_prefix("inactive_file "))?.to_owned();
        line.trim().parse::<u64>().ok()
    });
    Some((used.saturating_sub(cached.unwrap_or(0)), limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels() {
        let pressure = MemoryPressure::default();
        for (used, level) in [(10, 0), (92, 1), (94, 1), (95, 2), (200, 2), (94, 1), (91, 0)] {
            pressure.note(used, 100);
            assert_eq!(pressure.level(), level, "{used}");
        }
    }
}
