//! Which member of an array a new session goes to. Pure: takes facts, and returns an index.

mod by_source;
mod by_turn;
mod by_weight;

use serde::Serialize;
use std::net::IpAddr;

/// How an array chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Balance {
    /// The member with the fewest sessions for its weight.
    LeastSessions,
    /// In turn, by weight.
    RoundRobin,
    /// Of two members drawn by weight, the one with fewer sessions.
    RandomTwo,
    /// By the client's address, with as few changes as possible when members come and go.
    SourceHash,
    /// The first that is in service and not full.
    First,
}

/// A member that could be chosen.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'n> {
    /// Its name, the same on all nodes.
    pub name: &'n str,
    /// Its share relative to the others. If it is not above 0, the member is never chosen.
    pub weight: f64,
    /// Its sessions now.
    pub sessions: u32,
}

/// What differs from one choice to the next.
#[derive(Debug, Clone, Copy)]
pub struct Draw {
    /// How many choices were made before.
    pub turn: u64,
    /// The client.
    pub source: IpAddr,
}

/// Chooses one of `candidates`, which are in the operator's order. `None` if none of them has any weight.
pub fn choose(balance: Balance, candidates: &[Candidate<'_>], draw: Draw) -> Option<usize> {
    match balance {
        Balance::First => candidates.iter().position(|candidate| candidate.weight > 0.0),
        Balance::RoundRobin => by_turn::round_robin(candidates, draw.turn),
        Balance::LeastSessions => by_weight::least_sessions(candidates, draw.turn),
        Balance::RandomTwo => by_weight::random_two(candidates, draw.turn),
        Balance::SourceHash => by_source::source_hash(candidates, draw.source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    const ALL: [Balance; 5] = [
        Balance::First,
        Balance::RoundRobin,
        Balance::LeastSessions,
        Balance::RandomTwo,
        Balance::SourceHash,
    ];

    fn source(number: u64) -> IpAddr {
        IpAddr::from(0x0a00_0000_u32.wrapping_add(number as u32).to_be_bytes())
    }

    /// How often each is chosen in `draws` choices, sessions that end at once.
    fn spread(balance: Balance, weights: &[f64], draws: u64) -> Vec<f64> {
        let names: Vec<_> = (0..weights.len()).map(|at| format!("m{at}")).collect();
        let mut counts = vec![0.0; weights.len()];
        let mut sessions = vec![0; weights.len()];
        for turn in 0..draws {
            let candidates: Vec<_> = (0..weights.len())
                .map(|at| Candidate { name: &names[at], weight: weights[at], sessions: sessions[at] })
                .collect();
            let at = choose(balance, &candidates, Draw { turn, source: source(turn) }).unwrap();
            counts[at] += 1.0;
            sessions[at] += 1;
        }
        counts
    }

    #[test]
    fn each_follows_the_weights() {
        let weights = [1.0, 2.0, 0.5, 4.0];
        for balance in [Balance::RoundRobin, Balance::LeastSessions, Balance::RandomTwo, Balance::SourceHash]
        {
            let counts = spread(balance, &weights, 20_000);
            for (count, weight) in counts.iter().zip(weights) {
                let expected = 20_000.0 * weight / 7.5;
                assert!((count / expected - 1.0).abs() < 0.1, "{balance:?}: {counts:?}");
            }
        }
        assert_eq!(spread(Balance::First, &[0.0, 1.0, 1.0], 10), [0.0, 10.0, 0.0]);
    }

    #[test]
    fn few_clients_move_when_a_member_goes() {
        let names: Vec<_> = (0..10).map(|at| format!("m{at}")).collect();
        let all: Vec<_> = names.iter().map(|name| Candidate { name, weight: 1.0, sessions: 0 }).collect();
        let mut moved = HashMap::new();
        for number in 0..10_000 {
            let draw = Draw { turn: 0, source: source(number) };
            let before = all[choose(Balance::SourceHash, &all, draw).unwrap()].name;
            let after = all[1..][choose(Balance::SourceHash, &all[1..], draw).unwrap()].name;
            *moved.entry(before != after).or_insert(0) += 1;
            assert!(before == "m0" || before == after);
        }
        assert!(moved[&true] < 1200, "{moved:?}");
    }

    proptest! {
        #[test]
        fn whoever_is_chosen_has_weight(
            members in proptest::collection::vec((0u32..3, 0u32..100), 0..20),
            turn: u64,
            number: u32,
        ) {
            let names: Vec<_> = (0..members.len()).map(|at| at.to_string()).collect();
            let candidates: Vec<_> = members
                .iter()
                .zip(&names)
                .map(|((weight, sessions), name)| {
                    Candidate { name, weight: f64::from(*weight), sessions: *sessions }
                })
                .collect();
            for balance in ALL {
                let chosen = choose(balance, &candidates, Draw { turn, source: source(u64::from(number)) });
                prop_assert_eq!(chosen.is_some(), candidates.iter().any(|c| c.weight > 0.0));
                if let Some(at) = chosen {
                    prop_assert!(candidates[at].weight > 0.0);
                }
            }
        }
    }
}
