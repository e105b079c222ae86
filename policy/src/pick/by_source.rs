//! By the client's address: weighted rendezvous hashing, so that a member that comes or goes moves only its
//! own clients. Every node and every version must choose the same.

use super::Candidate;
use std::net::IpAddr;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The candidate that scores highest for `source`.
pub(super) fn source_hash(candidates: &[Candidate<'_>], source: IpAddr) -> Option<usize> {
    let source = match source.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    let with_weight = candidates.iter().enumerate().filter(|(_, candidate)| candidate.weight > 0.0);
    let scored = with_weight.map(|(at, candidate)| {
        let seed = xxh3_64_with_seed(candidate.name.as_bytes(), 0);
        let hash = xxh3_64_with_seed(&source.octets(), seed);
        // Map to the open unit interval; the logarithm makes the choice proportional to the weights.
        let unit = (hash as f64 + 1.0) / (u64::MAX as f64 + 2.0);
        (at, -candidate.weight / unit.ln())
    });
    scored.max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(at, _)| at)
}
