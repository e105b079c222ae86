//! By the sessions that members have for their weight.

use super::{Candidate, by_turn};
use xxhash_rust::xxh3::xxh3_64;

/// The fewest sessions for its weight, the new one counted in; equals take turns.
pub(super) fn least_sessions(candidates: &[Candidate<'_>], turn: u64) -> Option<usize> {
    let begin = usize::try_from(turn % candidates.len().max(1) as u64).unwrap_or(0);
    let order = (begin..candidates.len()).chain(0..begin);
    order.filter(|at| weight(candidates, *at) > 0.0).min_by(|a, b| lighter(candidates, *a, *b))
}

/// The one with fewer sessions of two that are drawn by weight.
pub(super) fn random_two(candidates: &[Candidate<'_>], turn: u64) -> Option<usize> {
    let draw = |which: u8| {
        let mut seed = turn.to_le_bytes().to_vec();
        seed.push(which);
        by_turn::at(candidates, xxh3_64(&seed))
    };
    let (one, other) = (draw(0)?, draw(1)?);
    Some(if lighter(candidates, one, other).is_le() { one } else { other })
}

fn weight(candidates: &[Candidate<'_>], at: usize) -> f64 {
    candidates.get(at).map_or(0.0, |candidate| candidate.weight)
}

fn lighter(candidates: &[Candidate<'_>], a: usize, b: usize) -> std::cmp::Ordering {
    let load = |at: usize| {
        let sessions = candidates.get(at).map_or(0, |candidate| candidate.sessions);
        (f64::from(sessions) + 1.0) / weight(candidates, at)
    };
    load(a).total_cmp(&load(b))
}
