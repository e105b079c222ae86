//! By the number of sessions in proportion to the weight.

use super::{Candidate, by_turn};
use xxhash_rust::xxh3::xxh3_64;

/// The member with the fewest sessions in proportion to its weight, counting the new one. Members without sessions are
/// considered equal, and equal members take turns by weight.
pub(super) fn least_sessions(candidates: &[Candidate<'_>], turn: u64) -> Option<usize> {
    let weighing = candidates.iter().filter(|candidate| candidate.weight > 0.0);
    let least = weighing.map(load).min_by(f64::total_cmp)?;
    let equals: Vec<_> = candidates
        .iter()
        .map(|candidate| {
            let is_one = candidate.weight > 0.0 && load(candidate) <= least;
            Candidate { weight: if is_one { candidate.weight } else { 0.0 }, ..*candidate }
        })
        .collect();
    by_turn::round_robin(&equals, turn)
}

/// Draws two members by weight and chooses the one with fewer sessions.
pub(super) fn random_two(candidates: &[Candidate<'_>], turn: u64) -> Option<usize> {
    let draw = |which: u8| {
        let mut seed = turn.to_le_bytes().to_vec();
        seed.push(which);
        by_turn::at(candidates, xxh3_64(&seed))
    };
    let (one, other) = (draw(0)?, draw(1)?);
    let of = |at: usize| candidates.get(at).map_or(f64::INFINITY, load);
    Some(if of(one) <= of(other) { one } else { other })
}

fn load(candidate: &Candidate<'_>) -> f64 {
    match candidate.sessions {
        0 => 0.0,
        sessions => (f64::from(sessions) + 1.0) / candidate.weight,
    }
}
