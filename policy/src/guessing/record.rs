//! What is remembered of one source, or of one name.

use std::time::Duration;

/// A moment, in milliseconds since 1970.
pub type Moment = u64;

/// Failures that cost nothing: people mistype.
const FREE: u32 = 3;
/// While nothing has failed, how many times as many logins as end in a refusal may be under way at once.
const UNDER_WAY: u32 = 5;
/// In `failures`: that operators have been told.
const TOLD: u16 = 1 << 15;

/// When to let whom wait, and when to refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How long the first login waits that has to.
    pub delay: Duration,
    /// Longest wait; each failure doubles it up to this.
    pub max_delay: Duration,
    /// Failures within [`Self::window`] after which logins are refused; 0: never.
    pub ban_after: u32,
    /// For how long failures count.
    pub window: Duration,
    /// For how long logins are refused.
    pub ban_for: Duration,
}

/// What a login has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It may go on after this time.
    After(Duration),
    /// As many are under way as could end in a refusal of all: ask again.
    Crowded,
    /// It is refused, and another one may be for this time.
    Refused(Duration),
}

/// What is remembered of one source, or of one name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Record {
    /// When the present window began, in seconds since 1970.
    since: u32,
    /// Until when everything is refused, in seconds since 1970.
    until: u32,
    /// When the last login that has to wait may go on, in hundredths of a second since 1970, as far as they fit.
    last: u32,
    /// Failures in the present window, and whether operators have been told.
    failures: u16,
    /// Failures in the window before.
    former: u16,
}

fn seconds(moment: Moment) -> u32 {
    u32::try_from(moment / 1000).unwrap_or(u32::MAX)
}

fn whole_seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX).max(1)
}

/// Hundredths of a second, of which the highest are cut off: they are only compared with others nearby.
#[allow(clippy::cast_possible_truncation)] // as said
fn hundredths(moment: Moment) -> u32 {
    (moment / 10) as u32
}

impl Record {
    /// It in a form for another process on the same machine.
    pub fn to_octets(self) -> [u8; 16] {
        let mut octets = [0; 16];
        octets[..4].copy_from_slice(&self.since.to_be_bytes());
        octets[4..8].copy_from_slice(&self.until.to_be_bytes());
        octets[8..12].copy_from_slice(&self.last.to_be_bytes());
        octets[12..14].copy_from_slice(&self.failures.to_be_bytes());
        octets[14..].copy_from_slice(&self.former.to_be_bytes());
        octets
    }

    /// The one that this form is of.
    pub fn of_octets(octets: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = octets;
        Self {
            since: u32::from_be_bytes([a, b, c, d]),
            until: u32::from_be_bytes([e, f, g, h]),
            last: u32::from_be_bytes([i, j, k, l]),
            failures: u16::from_be_bytes([m, n]),
            former: u16::from_be_bytes([o, p]),
        }
    }

    /// Failures within the window before `now`: those of the window before the present one count by how much of it that
    /// covers.
    pub fn failures(&self, now: Moment, rules: &Rules) -> u32 {
        let window = u64::from(whole_seconds(rules.window));
        let passed = u64::from(seconds(now).saturating_sub(self.since));
        let here = u64::from(self.failures & !TOLD);
        let counted = match passed / window {
            0 => here + u64::from(self.former) * (window - passed) / window,
            1 => here * (2 * window - passed) / window,
            _ => 0,
        };
        u32::try_from(counted).unwrap_or(u32::MAX)
    }

    /// How long its logins wait after so many failures.
    fn delay(failures: u32, rules: &Rules, factor: u32) -> Duration {
        let Some(beyond) = failures.checked_sub(FREE.saturating_mul(factor)) else { return Duration::ZERO };
        let doublings = (beyond / factor.max(1)).min(20);
        rules.delay.saturating_mul(1 << doublings).min(rules.max_delay)
    }

    /// Until when everything is refused, in seconds since 1970, if it is now.
    pub fn banned_until(&self, now: Moment) -> Option<u32> {
        (self.until > seconds(now)).then_some(self.until)
    }

    /// What another login has to do, while `under_way` others are. Those of a source wait one after the other.
    pub fn turn(&mut self, now: Moment, rules: &Rules, factor: u32, under_way: u32, in_turn: bool) -> Turn {
        if let Some(until) = self.banned_until(now) {
            return Turn::Refused(Duration::from_secs(u64::from(until - seconds(now))));
        }
        let failures = self.failures(now, rules);
        if rules.ban_after > 0 {
            let most = match failures {
                0 => rules.ban_after.saturating_mul(UNDER_WAY),
                some => rules.ban_after.saturating_mul(factor).saturating_sub(some).max(1),
            };
            if under_way >= most {
                return Turn::Crowded;
            }
        }
        let delay = Self::delay(failures, rules, factor);
        if delay.is_zero() || !in_turn {
            return Turn::After(delay);
        }
        // One that is further away has been forgotten, and the clock has come round.
        let longest = u32::try_from(2 * rules.max_delay.as_millis() / 10).unwrap_or(u32::MAX);
        let ahead = self.last.wrapping_sub(hundredths(now));
        let ahead =
            if ahead <= longest { Duration::from_millis(u64::from(ahead) * 10) } else { Duration::ZERO };
        if ahead >= rules.max_delay {
            return Turn::Refused(ahead);
        }
        let wait = ahead + delay;
        self.last = hundredths(now + u64::try_from(wait.as_millis()).unwrap_or(0));
        Turn::After(wait)
    }

    /// Counts a failure. Returns until when everything is refused from now on, in seconds since 1970, if this was the last
    /// that it took.
    pub fn fail(&mut self, now: Moment, rules: &Rules, factor: u32) -> Option<u32> {
        self.count(now, rules.window);
        let is_enough = rules.ban_after > 0
            && self.failures(now, rules) >= rules.ban_after.saturating_mul(factor)
            && self.banned_until(now).is_none();
        is_enough.then(|| {
            self.ban(seconds(now).saturating_add(whole_seconds(rules.ban_for)));
            self.until
        })
    }

    /// How many of something there have been within the window before `now`.
    pub fn within(&self, now: Moment, window: Duration) -> u32 {
        self.failures(now, &Rules { delay: window, max_delay: window, ban_after: 0, window, ban_for: window })
    }

    /// Counts one more of it.
    pub fn count(&mut self, now: Moment, window: Duration) {
        self.advance(now, window);
        self.failures = (self.failures & TOLD) | ((self.failures & !TOLD) + 1).min(!TOLD);
    }

    /// Goes on to the window of `now`.
    fn advance(&mut self, now: Moment, window: Duration) {
        let (now, window) = (seconds(now), whole_seconds(window));
        let passed = now.saturating_sub(self.since);
        let here = self.failures & !TOLD;
        match passed / window {
            0 => {}
            1 => *self = Self { since: self.since + window, former: here, failures: 0, ..*self },
            _ => *self = Self { since: now, former: 0, failures: 0, ..*self },
        }
    }

    /// Refuses everything until then, in seconds since 1970.
    pub fn ban(&mut self, until: u32) {
        self.until = until;
    }

    /// Whether operators are to be told of a refusal now: of the first in each window.
    pub fn is_news(&mut self, now: Moment, window: Duration) -> bool {
        self.advance(now, window);
        let is_news = self.failures & TOLD == 0;
        self.failures |= TOLD;
        is_news
    }

    /// What it is worth to remember this rather than another: what is refused most, and then what has failed last.
    pub(super) fn worth(&self, now: Moment) -> (bool, u32) {
        (self.until > seconds(now), self.since)
    }
}

/// Rules and a moment for tests.
#[cfg(test)]
pub(super) mod examples {
    use super::{Duration, Moment, Rules};

    pub(crate) const RULES: Rules = Rules {
        delay: Duration::from_secs(1),
        max_delay: Duration::from_secs(15),
        ban_after: 20,
        window: Duration::from_secs(600),
        ban_for: Duration::from_secs(1800),
    };
    pub(crate) const NOW: Moment = 1_800_000_000_000;
}

#[cfg(test)]
mod tests {
    use super::examples::{NOW, RULES};
    use super::*;
    use proptest::prelude::*;

    fn failed(times: u32) -> Record {
        let mut record = Record::default();
        (0..times).for_each(|_| assert_eq!(record.fail(NOW, &RULES, 1), None));
        record
    }

    #[test]
    fn the_wait_grows_and_ends_in_a_refusal() {
        let wait = |times| failed(times).turn(NOW, &RULES, 1, 0, true);
        let after = |seconds| Turn::After(Duration::from_secs(seconds));
        let waits = [0, 0, 0, 1, 2, 4, 8, 15, 15, 15];
        for (times, seconds) in waits.into_iter().enumerate() {
            assert_eq!(wait(times as u32), after(seconds), "after {times}");
        }
        let mut record = failed(19);
        let until = record.fail(NOW, &RULES, 1).unwrap();
        assert_eq!(u64::from(until), NOW / 1000 + 1800);
        assert_eq!(record.turn(NOW, &RULES, 1, 0, true), Turn::Refused(RULES.ban_for));
        assert_eq!(record.turn(NOW + 1_800_000, &RULES, 1, 0, true), after(0), "all is forgiven");
    }

    #[test]
    fn those_who_wait_do_so_one_after_the_other() {
        let mut record = failed(3);
        for seconds in 1..=15 {
            let turn = record.turn(NOW, &RULES, 1, 0, true);
            assert_eq!(turn, Turn::After(Duration::from_secs(seconds)));
        }
        assert_eq!(record.turn(NOW, &RULES, 1, 0, true), Turn::Refused(RULES.max_delay));
        // The others do not: whoever guesses somebody's password cannot fill a queue in front of them.
        assert_eq!(record.turn(NOW, &RULES, 1, 0, false), Turn::After(RULES.delay));
        assert_eq!(record.turn(NOW + 16_000, &RULES, 1, 0, true), Turn::After(RULES.delay));
    }

    #[test]
    fn no_more_are_under_way_than_may_fail() {
        assert_eq!(failed(0).turn(NOW, &RULES, 1, 99, true), Turn::After(Duration::ZERO));
        assert_eq!(failed(0).turn(NOW, &RULES, 1, 100, true), Turn::Crowded);
        assert_eq!(failed(1).turn(NOW, &RULES, 1, 19, true), Turn::Crowded);
        assert_eq!(failed(19).turn(NOW, &RULES, 1, 1, true), Turn::Crowded);
    }

    #[test]
    fn operators_hear_once_in_a_window() {
        let mut record = failed(5);
        assert!(record.is_news(NOW, RULES.window) && !record.is_news(NOW, RULES.window));
        assert_eq!(record.failures(NOW, &RULES), 5);
        assert!(record.is_news(NOW + 601_000, RULES.window));
    }

    proptest! {
        /// Never more than the true number within two windows, and never less than that within the last one if all of
        /// them came within it.
        #[test]
        fn the_window_slides(mut at in proptest::collection::vec(0_u64..3_000_000, 0..19)) {
            at.sort_unstable();
            let mut record = Record::default();
            for moment in &at {
                record.fail(NOW + moment, &RULES, 1);
            }
            let last = NOW + at.last().copied().unwrap_or(0);
            let within = |window: u64| at.iter().filter(|moment| NOW + **moment + window >= last).count() as u32;
            let counted = record.failures(last, &RULES);
            prop_assert!(counted <= within(1_201_000));
            if within(590_000) == within(3_000_000) {
                prop_assert_eq!(counted, at.len() as u32);
            }
        }
    }
}
