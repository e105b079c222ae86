//! When a certificate is to be replaced by a newer one, and when to try again after a failure. Times are seconds since
//! 1970; `draw` is a number from 0 to 1 by which chance has its say.

use std::time::Duration;

/// Longest wait after failures.
const LONGEST: Duration = Duration::from_secs(6 * 60 * 60);
/// How much longer each wait is than the one before.
const FACTOR: u32 = 4;

/// From when to when a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Its first second.
    pub not_before: i64,
    /// Its last one.
    pub not_after: i64,
}

/// When the authority wants a certificate to be replaced (RFC 9773 section 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its beginning.
    pub start: i64,
    /// Its end.
    pub end: i64,
}

/// When to replace a certificate: at a moment of the authority's window, or else after two thirds of its life. Never after
/// it ends, whatever the window says.
pub fn due(validity: Validity, window: Option<Window>, draw: f64) -> i64 {
    let Validity { not_before, not_after } = validity;
    let life = not_after.saturating_sub(not_before).max(0);
    let at = match window {
        Some(Window { start, end }) => {
            let length = end.saturating_sub(start).max(0);
            start.saturating_add((length as f64 * draw.clamp(0.0, 1.0)) as i64)
        }
        None => not_before.saturating_add(life / 3 * 2),
    };
    at.min(not_after)
}

/// How long to wait after this many failures in a row, of which the first is followed by `first`.
pub fn wait(failures: u32, first: Duration) -> Duration {
    let times = FACTOR.saturating_pow(failures.saturating_sub(1));
    first.saturating_mul(times).min(LONGEST.max(first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: i64 = 86_400;

    #[test]
    fn two_thirds_without_a_window() {
        let validity = Validity { not_before: 0, not_after: 90 * DAY };
        assert_eq!(due(validity, None, 0.5), 60 * DAY);
    }

    #[test]
    fn waits() {
        let first = Duration::from_secs(30);
        let waits: Vec<_> = (1..=6).map(|failures| wait(failures, first).as_secs()).collect();
        assert_eq!(waits, [30, 120, 480, 1920, 7680, 21_600]);
        assert_eq!(wait(u32::MAX, first), LONGEST);
        assert_eq!(wait(1, Duration::from_secs(86_400)).as_secs(), 86_400);
    }

    proptest! {
        #[test]
        fn within_the_window_and_the_life(
            not_before in any::<i64>(), life in any::<i64>(), start in any::<i64>(), end in any::<i64>(),
            draw in any::<f64>(),
        ) {
            let validity = Validity { not_before, not_after: not_before.saturating_add(life) };
            prop_assert!(due(validity, None, draw) <= validity.not_after);
            let at = due(validity, Some(Window { start, end }), draw);
            prop_assert!(at <= validity.not_after);
            prop_assert!(at >= start.min(validity.not_after));
        }

        #[test]
        fn within_a_small_window(start in 0..1_000_000i64, length in 0..1_000_000i64, draw in 0.0..=1.0f64) {
            let validity = Validity { not_before: 0, not_after: 10_000_000 };
            let at = due(validity, Some(Window { start, end: start + length }), draw);
            prop_assert!((start..=start + length).contains(&at));
        }
    }
}
