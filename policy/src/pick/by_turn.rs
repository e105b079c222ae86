//! In turn, by weight.

use super::Candidate;

/// The fractional part of the golden ratio: its multiples are spread evenly over the unit interval, whatever the
/// weights, so the only state needed is a counter.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The candidate whose part of the unit interval contains this turn's point.
pub(super) fn round_robin(candidates: &[Candidate<'_>], turn: u64) -> Option<usize> {
    at(candidates, turn.wrapping_mul(GOLDEN))
}

/// The candidate whose part, in proportion to its weight, contains `point`, which is scaled to the range of `u64`.
pub(super) fn at(candidates: &[Candidate<'_>], point: u64) -> Option<usize> {
    let whole: f64 = candidates.iter().map(|candidate| candidate.weight).sum();
    let mut left = point as f64 / u64::MAX as f64 * whole;
    let mut last = None;
    for (position, candidate) in candidates.iter().enumerate() {
        if candidate.weight > 0.0 {
            last = Some(position);
            if left < candidate.weight {
                break;
            }
        }
        left -= candidate.weight;
    }
    last
}
