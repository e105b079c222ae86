//! How many sessions a user or an address has at a time, and how many logins in a minute.

use super::MINUTE;
use super::who::Marked;
use dashmap::DashMap;
use foldhash::fast::RandomState;
use std::sync::Arc;
use usher_policy::guessing::{Mark, Moment, Table};

/// Users and addresses whose logins are counted at a time.
const COUNTED: usize = 100_000;

/// Sessions now, and logins of the last minute.
pub(super) struct Places {
    sessions: DashMap<Mark, u32, RandomState>,
    logins: Table,
}

/// A session's places among those of its users and of its address. They are free again when this is dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    marks: Vec<Mark>,
}

impl Places {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { sessions: DashMap::default(), logins: Table::new(COUNTED) })
    }

    /// Whether each may have another session.
    pub(super) fn has_room_for_session(&self, wanted: &[(&Marked, u32)]) -> bool {
        let sessions = |mark| self.sessions.get(mark).map_or(0, |sessions| *sessions);
        wanted.iter().all(|(marked, most)| sessions(&marked.mark) < *most)
    }

    /// Takes a place for a session of each.
    pub(super) fn take(self: &Arc<Self>, marks: impl Iterator<Item = Mark>) -> Place {
        let marks: Vec<Mark> = marks.collect();
        marks.iter().for_each(|mark| *self.sessions.entry(*mark).or_default() += 1);
        Place { places: self.clone(), marks }
    }

    /// Whether each may log in another time in this minute.
    pub(super) fn has_room_for_login(&self, wanted: &[(&Marked, u32)], now: Moment) -> bool {
        wanted.iter().all(|(marked, most)| {
            self.logins.get(&marked.mark).is_none_or(|record| record.within(now, MINUTE) < *most)
        })
    }

    /// Counts a login of each.
    pub(super) fn count(&self, marks: impl Iterator<Item = Mark>, now: Moment) {
        marks.for_each(|mark| self.logins.with(&mark, now, |record| record.count(now, MINUTE)));
    }
}

impl Place {
    /// Takes the places of another into this one.
    pub(super) fn join(&mut self, mut other: Self) {
        self.marks.append(&mut other.marks);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for mark in &self.marks {
            if let Some(mut sessions) = self.places.sessions.get_mut(mark) {
                *sessions = sessions.saturating_sub(1);
            }
            self.places.sessions.remove_if(mark, |_, sessions| *sessions == 0);
        }
    }
}
