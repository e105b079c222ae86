//! When failures take a service out and when successes bring it back. Pure.

use std::time::Duration;

/// The result of a probe or of a real session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was served.
    Good,
    /// No answer in time: the service, the network or this checker may be at fault.
    TimedOut,
    /// A refusal or a wrong answer: the service itself says that it is not healthy.
    Refused,
    /// This machine was unable to ask, so nothing is known about the service.
    Unknown,
}

/// A change of the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It is out now.
    Down,
    /// It is back.
    Up,
}

/// The verdict on one service, with hysteresis: `fall` consecutive failures take it out, and `rise` consecutive
/// successes bring it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    rise: u32,
    fall: u32,
    up: bool,
    /// Consecutive outcomes that contradict the verdict.
    against: u32,
}

impl Verdict {
    /// In service until proven otherwise.
    pub fn new(rise: u32, fall: u32) -> Self {
        Self { rise, fall, up: true, against: 0 }
    }

    /// Whether the service is healthy.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// Whether the latest outcomes contradict the verdict.
    pub fn is_in_doubt(&self) -> bool {
        self.against > 0
    }

    /// Records one more outcome.
    pub fn note(&mut self, good: bool) -> Option<Turn> {
        if good == self.up {
            self.against = 0;
            return None;
        }
        self.against = self.against.saturating_add(1);
        let (needed, turn) = if self.up { (self.fall, Turn::Down) } else { (self.rise, Turn::Up) };
        if self.against < needed {
            return None;
        }
        self.up = good;
        self.against = 0;
        Some(turn)
    }

    /// Reverts a turn to down if the service must not be taken out now; one more failure then turns it again.
    pub fn spare(&mut self) {
        self.up = true;
        self.against = self.fall.saturating_sub(1);
    }

    /// When to probe next: a fifth of the interval while there is doubt.
    pub fn next(&self, interval: Duration) -> Duration {
        if self.is_in_doubt() { interval / 5 } else { interval }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rise_and_fall() {
        let mut verdict = Verdict::new(2, 3);
        let second = Duration::from_secs(1);
        let turns: Vec<_> = [false, false, true, false, false, false, false, true, false, true, true]
            .into_iter()
            .map(|good| (verdict.note(good), verdict.next(second) < second))
            .collect();
        let (none, doubt, sure) = (None, true, false);
        assert_eq!(
            turns,
            [
                (none, doubt),
                (none, doubt),
                (none, sure),
                (none, doubt),
                (none, doubt),
                (Some(Turn::Down), sure),
                (none, sure),
                (none, doubt),
                (none, sure),
                (none, doubt),
                (Some(Turn::Up), sure),
            ]
        );
    }

    proptest! {
        /// A service that flaps faster than `fall` and `rise` never turns.
        #[test]
        fn flapping_turns_nothing(rise in 2u32..6, fall in 2u32..6, times in 0usize..200) {
            let mut verdict = Verdict::new(rise, fall);
            for time in 0..times {
                prop_assert_eq!(verdict.note(time % 2 == 0), None);
            }
        }

        /// The verdict is that of the last sufficiently long run of equal outcomes.
        #[test]
        fn rows_decide(rise in 1u32..5, fall in 1u32..5, outcomes in proptest::collection::vec(any::<bool>(), 0..60)) {
            let mut verdict = Verdict::new(rise, fall);
            let (mut up, mut row) = (true, 0);
            let mut last = None;
            for good in outcomes {
                row = if last == Some(good) { row + 1 } else { 1 };
                last = Some(good);
                if row >= if good { rise } else { fall } {
                    up = good;
                }
                verdict.note(good);
                prop_assert_eq!(verdict.is_up(), up);
            }
        }
    }
}
