//! How many logins are under way, which may yet fail.

use dashmap::DashMap;
use foldhash::fast::RandomState;
use std::sync::atomic::{AtomicU64, Ordering};
use usher_policy::guessing::{Mark, Moment};

/// A login is counted for one of these to two of them, in milliseconds. Whoever is not refused by then hardly is: hosts delay
/// refusals for seconds, and answer requests that wait for something new in a quarter of an hour.
const PERIOD: Moment = 16_000;

/// They, by what they count for.
#[derive(Default)]
pub(super) struct UnderWay(DashMap<Mark, Counts, RandomState>);

/// Those that began in one period, and in the one before.
#[derive(Default, Clone, Copy)]
struct Counts {
    period: u64,
    here: u32,
    former: u32,
}

/// The period of a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Period(u64);

impl Period {
    pub(super) fn of(now: Moment) -> Self {
        Self(now / PERIOD)
    }
}

/// In which period a login has begun that is under way.
#[derive(Default)]
pub(super) struct Since(AtomicU64);

impl Since {
    /// It is under way from now on.
    pub(super) fn begin(&self, Period(now): Period) {
        self.0.store(now, Ordering::Relaxed);
    }

    /// It is not under way any longer. Returns since when it was.
    pub(super) fn end(&self) -> Option<Period> {
        Some(self.0.swap(0, Ordering::Relaxed)).filter(|begun| *begun > 0).map(Period)
    }
}

impl Counts {
    /// As it is in a later period.
    fn at(self, Period(period): Period) -> Self {
        match period.saturating_sub(self.period) {
            0 => self,
            1 => Self { period, here: 0, former: self.here },
            _ => Self { period, here: 0, former: 0 },
        }
    }
}

impl UnderWay {
    /// How many there are.
    pub(super) fn count(&self, mark: &Mark, now: Period) -> u32 {
        self.0.get(mark).map_or(0, |counts| {
            let counts = counts.at(now);
            counts.here + counts.former
        })
    }

    /// One more begins.
    pub(super) fn begin(&self, mark: Mark, now: Period) {
        let mut counts = self.0.entry(mark).or_default();
        *counts = counts.at(now);
        counts.here += 1;
    }

    /// One that began then has ended.
    pub(super) fn end(&self, mark: &Mark, Period(begun): Period, now: Period) {
        self.0.remove_if_mut(mark, |_, counts| {
            *counts = counts.at(now);
            let of = if begun >= counts.period { &mut counts.here } else { &mut counts.former };
            if counts.period.saturating_sub(begun) <= 1 {
                *of = of.saturating_sub(1);
            }
            counts.here == 0 && counts.former == 0
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_take_long_are_not_counted_for_ever() {
        let (under_way, mark) = (UnderWay::default(), Mark::default());
        let at = |period: u64| Period::of(period * PERIOD);
        let count = |period| under_way.count(&mark, at(period));
        under_way.begin(mark, at(10));
        under_way.begin(mark, at(10));
        under_way.begin(mark, at(11));
        assert_eq!([count(11), count(12), count(13)], [3, 1, 0]);
        under_way.end(&mark, at(10), at(11));
        assert_eq!(count(11), 2);
        // Too late to be counted, and so not counted off either.
        under_way.begin(mark, at(12));
        under_way.end(&mark, at(10), at(12));
        assert_eq!(count(12), 2);
        under_way.end(&mark, at(11), at(12));
        assert_eq!(count(12), 1);
        under_way.end(&mark, at(12), at(12));
        assert!(under_way.0.is_empty());
        // A clock that is set back counts for no one twice.
        under_way.begin(mark, at(12));
        under_way.end(&mark, at(12), at(11));
        assert!(under_way.0.is_empty());
    }
}
