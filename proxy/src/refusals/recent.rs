//! How long the latest refusals took, separately for each host: otherwise a name could seem to be on two hosts, and so
//! on none.

use super::micros;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Most refusals per host that are remembered.
const MOST: usize = 256;
/// While a host has fewer refusals than this, they are delayed as long as made-up ones would be.
const FEW: usize = 16;
/// Which of the latest, in their order, is the slowest that counts: a single one that takes long does not slow all.
const SLOWER: (usize, usize) = (49, 50);
/// Microseconds by which refusals take longer than half as long again as that one.
const MARGIN: u32 = 1000;
/// Range of microseconds that made-up refusals take while no real ones are known.
const FIRST: std::ops::Range<u64> = 150_000..250_000;

/// The refusals.
#[derive(Default)]
pub(super) struct Recent {
    hosts: BTreeMap<String, Ring>,
    /// How many numbers were drawn.
    drawn: u64,
    has_changed: bool,
}

/// The latest refusals of a host, in microseconds.
#[derive(Default)]
struct Ring {
    took: Vec<u32>,
    next: usize,
}

impl Ring {
    /// A time within which nearly all came, and the next one most likely will.
    fn bound(&self) -> u32 {
        let mut took = self.took.clone();
        let at = took.len() * SLOWER.0 / SLOWER.1;
        let usual = if at < took.len() { *took.select_nth_unstable(at).1 } else { 0 };
        stepped(usual.saturating_add(usual / 2).saturating_add(MARGIN))
    }

    fn put(&mut self, took: u32) {
        match self.took.get_mut(self.next) {
            Some(oldest) => *oldest = took,
            None => self.took.push(took),
        }
        self.next = (self.next + 1) % MOST;
    }
}

impl Recent {
    /// Parses what [`Self::changed`] has written, ignoring what cannot be parsed.
    pub(super) fn read(text: &str) -> Self {
        let mut recent = Self::default();
        for line in text.lines() {
            let mut words = line.split(' ');
            let ring = recent.hosts.entry(words.next().unwrap_or_default().to_owned()).or_default();
            words.filter_map(|word| word.parse().ok()).for_each(|took| ring.put(took));
        }
        recent
    }

    /// Records a refusal by `host`. Returns how long it must take at least.
    pub(super) fn note(&mut self, host: &str, took: Duration) -> Duration {
        self.has_changed = true;
        let chance = self.chance();
        let ring = match self.hosts.get_mut(host) {
            Some(ring) => ring,
            None => self.hosts.entry(host.to_owned()).or_default(),
        };
        let is_new = ring.took.len() < FEW;
        let bound = ring.bound();
        ring.put(micros(took));
        if is_new { first(chance) } else { Duration::from_micros(u64::from(bound)) }
    }

    /// How long the refusal of a login under `name` takes, as if it came from a host.
    pub(super) fn draw(&mut self, name: &[u8]) -> Duration {
        let whose = xxh3_64(name);
        let host = self.hosts.keys().max_by_key(|host| xxh3_64_with_seed(host.as_bytes(), whose)).cloned();
        self.draw_of(host.as_deref().unwrap_or_default())
    }

    /// How long a refusal by `host` takes.
    pub(super) fn draw_of(&mut self, host: &str) -> Duration {
        let chance = self.chance();
        let Some(ring) = self.hosts.get(host) else { return first(chance) };
        let took = Duration::from_micros(u64::from(ring.bound()));
        if ring.took.len() < FEW { took.max(first(chance)) } else { took }
    }

    /// The times of the hosts for which `is_known` holds, if there is anything new.
    pub(super) fn changed(&mut self, is_known: impl Fn(&str) -> bool) -> Option<String> {
        if !std::mem::take(&mut self.has_changed) {
            return None;
        }
        self.hosts.retain(|host, _| is_known(host));
        let mut text = String::new();
        for (host, ring) in &self.hosts {
            text.push_str(host);
            for took in &ring.took {
                let _ = write!(text, " {took}");
            }
            text.push('\n');
        }
        Some(text)
    }

    /// A number that outsiders cannot predict. It only picks among times that were observed, so it need not be
    /// cryptographically secure.
    fn chance(&mut self) -> u64 {
        self.drawn += 1;
        let mut octets = [0; 8];
        match aws_lc_rs::rand::fill(&mut octets) {
            Ok(()) => u64::from_be_bytes(octets),
            Err(_) => xxh3_64(&self.drawn.to_be_bytes()),
        }
    }
}

/// The next of eight steps in each doubling: a bound that changed a little with every refusal would differ between kinds of
/// them.
fn stepped(micros: u32) -> u32 {
    let step = (1 << micros.max(8).ilog2()) / 8;
    micros.div_ceil(step).saturating_mul(step)
}

fn first(chance: u64) -> Duration {
    Duration::from_micros(FIRST.start + chance % (FIRST.end - FIRST.start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_refusals_of_a_host_take_equally_long() {
        let mut recent = Recent::default();
        assert!((FIRST.start..FIRST.end).contains(&(recent.draw(b"x").as_micros() as u64)));
        for at in 0..1000 {
            // The first ones are delayed as long as made-up ones would be.
            let held = recent.note("slow", Duration::from_millis(2000));
            assert_eq!(held.as_micros() < u128::from(FIRST.end), at < FEW as u64);
            recent.note("fast", Duration::from_micros(if at % 100 == 0 { 900_000 } else { 5000 }));
        }
        let bound = |took: u32| Duration::from_micros(u64::from(stepped(took + took / 2 + MARGIN)));
        assert_eq!([1, 1000, 1024, 1025, 735_000].map(stepped), [1, 1024, 1024, 1152, 786_432]);
        // A few that were slow do not slow the others.
        assert_eq!(recent.note("fast", Duration::from_micros(5000)), bound(5000));
        assert_eq!((recent.draw_of("fast"), recent.draw_of("slow")), (bound(5000), bound(2_000_000)));
        let mut slow = 0;
        for name in 0..1000_u32 {
            let drawn = [(); 20].map(|()| recent.draw(&name.to_be_bytes()));
            assert!(drawn.iter().all(|took| *took == drawn[0]), "a name is on one host");
            slow += u32::from(drawn[0] > Duration::from_secs(1));
        }
        assert!((400..600).contains(&slow), "as many as hosts have: {slow}");
        let text = recent.changed(|host| host == "fast").unwrap();
        assert_eq!(recent.changed(|_| true), None);
        let mut again = Recent::read(&text);
        assert!(again.draw(b"x") == bound(5000) && !text.contains("slow"));
    }
}
