//! How many sessions each host and member had in the last minutes.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use tokio::time::Instant;

/// How many points are kept of each.
const POINTS: usize = 60;
/// Time from one to the next: five minutes in all.
const STEP: Duration = Duration::from_secs(5);

/// By `array/name`.
#[derive(Default)]
pub(super) struct History {
    points: HashMap<String, VecDeque<u32>>,
    last: Option<Instant>,
}

impl History {
    /// Whether it is time to note something at `now`.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.last.is_none_or(|last| now - last >= STEP)
    }

    /// Notes how many each `has` at `now`.
    pub(super) fn note(&mut self, now: Instant, has: Vec<(String, u32)>) {
        self.last = Some(now);
        let mut former = std::mem::take(&mut self.points);
        self.points = has
            .into_iter()
            .map(|(key, count)| {
                let mut points = former.remove(&key).unwrap_or_default();
                if points.len() == POINTS {
                    points.pop_front();
                }
                points.push_back(count);
                (key, points)
            })
            .collect();
    }

    /// The points of one, the oldest first.
    pub(super) fn of(&self, key: &str) -> Vec<u32> {
        self.points.get(key).map(|points| points.iter().copied().collect()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_minutes_are_kept_of_those_that_are_there() {
        let mut history = History::default();
        let mut now = Instant::now();
        for count in 0..100 {
            assert!(history.is_due(now));
            history.note(now, vec![("/ih1".to_owned(), count), ("/ih2".to_owned(), 0)]);
            assert!(!history.is_due(now + STEP / 2));
            now += STEP;
        }
        history.note(now, vec![("/ih1".to_owned(), 100)]);
        assert_eq!(history.of("/ih1"), (41..=100).collect::<Vec<_>>());
        assert!(history.of("/ih2").is_empty());
    }
}
