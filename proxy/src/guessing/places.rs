//! How many sessions a user or an address has at a time, and how many logins in a minute.

use super::who::Marked;
use dashmap::DashMap;
use std::sync::Arc;
use std::time::Duration;
use usher_policy::guessing::{Mark, Moment, Table};

/// In which logins are counted.
const MINUTE: Duration = Duration::from_secs(60);
/// Users and addresses whose logins are counted at a time.
const COUNTED: usize = 100_000;

/// Sessions now, and logins of the last minute.
pub(super) struct Places {
    sessions: DashMap<Mark, u32>,
    logins: Table,
}

/// A session's places among those of its users and of its address. They are free again when this is dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    marks: Vec<Mark>,
}

impl Places {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { sessions: DashMap::new(), logins: Table::new(COUNTED) })
    }

    /// Takes a place for a session of each; `Err` if one of them has as many as it may.
    pub(super) fn take(self: &Arc<Self>, wanted: &[(&Marked, u32)]) -> Result<Place, ()> {
        let mut place = Place { places: self.clone(), marks: Vec::with_capacity(wanted.len()) };
        for (marked, most) in wanted {
            let mut sessions = self.sessions.entry(marked.mark).or_default();
            if *sessions >= *most {
                return Err(());
            }
            *sessions += 1;
            drop(sessions);
            place.marks.push(marked.mark);
        }
        Ok(place)
    }

    /// Counts a login of each, if none of them has had as many in a minute as it may.
    pub(super) fn count(&self, wanted: &[(&Marked, u32)], now: Moment) -> bool {
        let has_room = |(marked, most): &(&Marked, u32)| {
            self.logins.get(&marked.mark).is_none_or(|record| record.within(now, MINUTE) < *most)
        };
        let is_allowed = wanted.iter().all(has_room);
        if is_allowed {
            for (marked, _) in wanted {
                self.logins.with(&marked.mark, now, |record| record.count(now, MINUTE));
            }
        }
        is_allowed
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
