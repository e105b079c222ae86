//! Records by their marks, in a table whose size never changes: whoever comes from ever more addresses displaces nobody who
//! is refused.

use super::record::{Moment, Record};
use super::source::Mark;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Records that a mark may be among.
const WAYS: usize = 16;
/// Sets of records under one lock.
const SETS: usize = 8;

/// Records by their marks.
pub struct Table {
    /// Each is empty until it is used.
    parts: Vec<Mutex<Vec<Slot>>>,
    /// Nobody can choose marks that meet each other.
    seed: u64,
    sets: usize,
}

/// A record; all zeros: none.
#[derive(Clone, Copy, Default)]
struct Slot {
    mark: Mark,
    record: Record,
}

impl Table {
    /// A table with room for `records`. Nearly twice as much is made, so that one in a thousand meets too many others; each
    /// takes 32 bytes, once it is used.
    pub fn new(records: usize) -> Self {
        let sets = (records.saturating_mul(15) / 8).div_ceil(WAYS).max(1);
        let parts = (0..sets.div_ceil(SETS)).map(|_| Mutex::default()).collect();
        Self { parts, seed: RandomState::new().hash_one(records), sets }
    }

    /// Uses the record of `mark`; a new one takes the place of the one that is worth least. What is as new afterwards is
    /// not kept.
    pub fn with<T>(&self, mark: &Mark, now: Moment, uses: impl FnOnce(&mut Record) -> T) -> T {
        let (mut part, set) = self.part(mark);
        let slots = part.get_mut(set.clone()).unwrap_or_default();
        if let Some(slot) = slots.iter_mut().find(|slot| slot.mark == *mark) {
            return uses(&mut slot.record);
        }
        let mut record = Record::default();
        let used = uses(&mut record);
        if record != Record::default() {
            if part.is_empty() {
                part.resize(SETS * WAYS, Slot::default());
            }
            let slots = part.get_mut(set).unwrap_or_default();
            if let Some(least) = slots.iter_mut().min_by_key(|slot| slot.record.worth(now)) {
                *least = Slot { mark: *mark, record };
            }
        }
        used
    }

    /// The record of `mark`, if there is one.
    pub fn get(&self, mark: &Mark) -> Option<Record> {
        let (part, set) = self.part(mark);
        part.get(set)?.iter().find(|slot| slot.mark == *mark).map(|slot| slot.record)
    }

    /// Forgets `mark`.
    pub fn forget(&self, mark: &Mark) {
        let (mut part, set) = self.part(mark);
        let slots = part.get_mut(set).unwrap_or_default();
        slots.iter_mut().filter(|slot| slot.mark == *mark).for_each(|slot| *slot = Slot::default());
    }

    /// Forgets the marks for which `is_chosen` holds.
    pub fn forget_if(&self, is_chosen: impl Fn(&Mark) -> bool) {
        for part in &self.parts {
            let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
            part.iter_mut().filter(|slot| is_chosen(&slot.mark)).for_each(|slot| *slot = Slot::default());
        }
    }

    /// All records with their marks, for another process on the same machine: 32 octets each.
    pub fn to_octets(&self) -> Vec<u8> {
        let mut octets = Vec::new();
        for part in &self.parts {
            let part = part.lock().unwrap_or_else(PoisonError::into_inner);
            for Slot { mark, record } in part.iter().filter(|slot| slot.record != Record::default()) {
                octets.extend(mark);
                octets.extend(record.to_octets());
            }
        }
        octets
    }

    /// Goes on with the records of another one, where this has none of its own.
    pub fn go_on_with(&self, octets: &[u8], now: Moment) {
        for slot in octets.chunks_exact(32) {
            let (mut mark, mut former) = (Mark::default(), [0; 16]);
            mark.copy_from_slice(&slot[..16]);
            former.copy_from_slice(&slot[16..]);
            self.with(&mark, now, |record| {
                if *record == Record::default() {
                    *record = Record::of_octets(former);
                }
            });
        }
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        let used = |part: &Mutex<Vec<Slot>>| {
            let part = part.lock().unwrap_or_else(PoisonError::into_inner);
            part.iter().filter(|slot| slot.record != Record::default()).count()
        };
        self.parts.iter().map(used).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The part that `mark` is in, and where in it.
    fn part(&self, mark: &Mark) -> (MutexGuard<'_, Vec<Slot>>, Range<usize>) {
        let chosen = usize::try_from(xxh3_64_with_seed(mark, self.seed) % self.sets as u64).unwrap_or(0);
        let from = chosen % SETS * WAYS;
        let part = &self.parts[chosen / SETS];
        (part.lock().unwrap_or_else(PoisonError::into_inner), from..from + WAYS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guessing::record::examples::{NOW, RULES};

    fn mark(of: u32) -> Mark {
        let mut mark = [9; 16];
        mark[..4].copy_from_slice(&of.to_be_bytes());
        mark
    }

    #[test]
    fn as_many_as_it_has_room_for_and_those_who_are_refused_for_longer() {
        let table = Table::new(10_000);
        let fails = |of: u32, moment| table.with(&mark(of), moment, |record| record.fail(moment, &RULES, 1));
        for of in 0..100 {
            (0..20).for_each(|_| {
                fails(of, NOW);
            });
        }
        (100..10_000).for_each(|of| {
            fails(of, NOW + 1000);
        });
        let known = (0..10_000).filter(|of| table.get(&mark(*of)).is_some()).count();
        assert!(known > 9_900, "{known}");
        assert_eq!(table.len(), known);
        (10_000..1_000_000).for_each(|of| {
            fails(of, NOW + 2000);
        });
        let refused =
            |of: &u32| table.get(&mark(*of)).is_some_and(|record| record.banned_until(NOW).is_some());
        assert_eq!((0..100).filter(refused).count(), 100);
        let successor = Table::new(10_000);
        successor.go_on_with(&table.to_octets(), NOW + 3000);
        assert!((0..100).all(|of| successor.get(&mark(of)) == table.get(&mark(of))));
        table.forget(&mark(7));
        table.forget_if(|mark| mark[3] == 9);
        assert!(!refused(&7) && !refused(&9) && refused(&8));
        assert_eq!(size_of::<Slot>(), 32);
    }

    #[test]
    fn a_million_sources_in_64_mebibytes() {
        let table = Table::new(1_000_000);
        for of in 0..1_000_000 {
            table.with(&mark(of), NOW, |record| record.fail(NOW, &RULES, 1));
        }
        let known = table.len();
        assert!(known > 998_000, "{known}");
        let octets: usize =
            table.parts.iter().map(|part| part.lock().unwrap().capacity() * size_of::<Slot>()).sum();
        let parts = table.parts.capacity() * size_of::<Mutex<Vec<Slot>>>();
        assert!(octets + parts < 64 << 20, "{octets} {parts}");
    }

    #[test]
    fn who_has_done_nothing_takes_no_room() {
        let table = Table::new(16);
        assert_eq!(table.with(&mark(1), NOW, |record| record.failures(NOW, &RULES)), 0);
        assert!(table.is_empty());
    }
}
