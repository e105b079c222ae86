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
/// Range of microseconds that made-up refusals take while no real ones are known.
const FIRST: std::ops::Range<u64> = 150_000..250_000;

/// The refusals.
#[derive(Default)]
pub(super) struct Recent {
    hosts: BTreeMap<String, Ring>,
    /// How many numbers were drawn.
    drawn: u64,
    has_changed: bool,
    /// All take as long as all but the slowest.
    is_evened: bool,
}

/// The latest refusals of a host, in microseconds.
#[derive(Default)]
struct Ring {
    took: Vec<u32>,
    next: usize,
}

impl Ring {
    /// Time within which all but one in twenty came.
    fn usual(&self) -> u32 {
        let mut took = self.took.clone();
        let at = (took.len() * 19 / 20).min(took.len().saturating_sub(1));
        if took.is_empty() { 0 } else { *took.select_nth_unstable(at).1 }
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
    /// Without refusals, all of which are to take as long as all but the slowest.
    pub(super) fn evened() -> Self {
        Self { is_evened: true, ..Self::default() }
    }

    /// Parses what [`Self::changed`] has written, ignoring what cannot be parsed.
    pub(super) fn read(&mut self, text: &str) {
        for line in text.lines() {
            let mut words = line.split(' ');
            let ring = self.hosts.entry(words.next().unwrap_or_default().to_owned()).or_default();
            words.filter_map(|word| word.parse().ok()).for_each(|took| ring.put(took));
        }
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
        let usual = if self.is_evened { ring.usual() } else { 0 };
        ring.put(micros(took));
        if is_new { first(chance) } else { Duration::from_micros(u64::from(usual)) }
    }

    /// How long the refusal of a login under `name` takes, as if it came from a host.
    pub(super) fn draw(&mut self, name: &[u8]) -> Duration {
        let hosts: Vec<String> = self.hosts.keys().cloned().collect();
        self.draw_of(&hosts, name)
    }

    /// The same from one of these hosts.
    pub(super) fn draw_of(&mut self, hosts: &[String], name: &[u8]) -> Duration {
        let chance = self.chance();
        let whose = xxh3_64(name);
        let known = hosts.iter().filter_map(|host| self.hosts.get_key_value(host));
        let host = known.max_by_key(|(host, _)| xxh3_64_with_seed(host.as_bytes(), whose));
        let Some((_, ring)) = host else { return first(chance) };
        let at = chance.checked_rem(ring.took.len() as u64).unwrap_or(0);
        let took = ring.took.get(at as usize).copied().unwrap_or_default();
        let took = if self.is_evened { took.max(ring.usual()) } else { took };
        let took = Duration::from_micros(u64::from(took));
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

fn first(chance: u64) -> Duration {
    Duration::from_micros(FIRST.start + chance % (FIRST.end - FIRST.start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_refusals_are_those_of_one_host() {
        let mut recent = Recent::default();
        assert!((FIRST.start..FIRST.end).contains(&(recent.draw(b"x").as_micros() as u64)));
        for at in 0..1000 {
            // The first ones are delayed as long as made-up ones would be.
            let held = recent.note("slow", Duration::from_millis(2000 + at));
            assert_eq!(held.is_zero(), at >= FEW as u64);
            recent.note("fast", Duration::from_micros(5000 + at));
        }
        let mut slow = 0;
        for name in 0..1000_u32 {
            let drawn = [(); 20].map(|()| recent.draw(&name.to_be_bytes()));
            assert!(
                drawn
                    .iter()
                    .all(|took| (*took > Duration::from_secs(1)) == (drawn[0] > Duration::from_secs(1)))
            );
            // Of the last ones only.
            assert!(drawn.iter().all(|took| took.as_micros() % 1_000_000 >= 744 || took.as_secs() == 2));
            slow += u32::from(drawn[0] > Duration::from_secs(1));
        }
        assert!((400..600).contains(&slow), "as many as hosts have: {slow}");
        let text = recent.changed(|host| host == "fast").unwrap();
        assert_eq!(recent.changed(|_| true), None);
        let mut again = Recent::default();
        again.read(&text);
        assert!(again.draw(b"x") < Duration::from_millis(7) && !text.contains("slow"));
    }
    #[test]
    fn evened_ones_take_as_long_as_all_but_the_slowest() {
        let mut recent = Recent::evened();
        for at in 0..100 {
            recent.note("one", Duration::from_micros(1000 + at));
        }
        assert_eq!(recent.note("one", Duration::from_micros(1000)).as_micros(), 1095);
        assert!((0..100).all(|_| recent.draw(b"x").as_micros() >= 1094));
    }
}
