//! The logins of the last day, for trying out other access rules on them. Bounded in number, in memory and on disk.

mod digest;
mod file;
mod login;
mod replay;

pub(crate) use login::Login;
pub(crate) use replay::{Changed, replay};

use crate::access::Visit;
use crate::active::CurrentConfig;
use digest::Names;
use foldhash::quality::RandomState;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use usher_backends::roster::now;
use usher_config::snapshot::Access;

/// What is remembered.
pub(crate) struct Remembered {
    config: Arc<CurrentConfig>,
    kept: Mutex<Kept>,
    digester: Names,
    /// Where it is kept across restarts.
    file: PathBuf,
}

/// Those who can log in do not attack by names that meet each other: a fast hash will do.
type Logins = HashMap<Login, Last, RandomState>;

/// Logins, and when each was the last of its kind.
#[derive(Default)]
struct Kept {
    logins: Logins,
    has_changed: bool,
    /// How many denials have come since the last time that something was forgotten.
    denied: usize,
}

/// The last of equal logins, and how many there were.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Last {
    /// In seconds since 1970.
    pub(crate) at: i64,
    pub(crate) port: u16,
    pub(crate) count: u64,
    /// Access rules have denied it.
    pub(crate) denied: bool,
}

impl Remembered {
    /// Continues with what is kept in `state_dir`.
    pub(crate) fn open(state_dir: &Path, config: Arc<CurrentConfig>) -> Self {
        let file = state_dir.join("logins.json");
        let access = config.load().snapshot.access.clone();
        // Whatever is forgotten is to be forgotten on disk too.
        let mut kept = Kept { logins: file::read(&file), ..Kept::default() };
        kept.forget(&access);
        Self { config, kept: Mutex::new(kept), digester: Names::of(state_dir), file }
    }

    /// Remembers that somebody has logged in, or was `denied` it.
    pub(crate) fn note(&self, visit: Visit, denied: bool) {
        let active = self.config.load();
        let access = &active.snapshot.access;
        if access.remember.is_zero() || visit.names.is_empty() {
            return;
        }
        let port = visit.client.port();
        let login = Login::of(visit, access.hash.then_some(&self.digester));
        let mut kept = self.kept();
        kept.has_changed = true;
        let last = kept.logins.entry(login).or_insert(Last { at: 0, port: 0, count: 0, denied });
        // Those who have been let in once are no strangers.
        let denied = denied && last.denied;
        *last = Last { at: now(), port, count: last.count + 1, denied };
        kept.denied += usize::from(denied);
        if kept.logins.len() > access.remembered_logins as usize
            || kept.denied > access.remembered_logins as usize / 5
        {
            kept.forget(access);
        }
    }

    /// What is remembered now.
    pub(crate) fn logins(&self) -> Vec<(Login, Last)> {
        let access = self.config.load().snapshot.access.clone();
        let mut kept = self.kept();
        kept.forget(&access);
        kept.logins.iter().map(|(login, last)| (login.clone(), *last)).collect()
    }

    /// Makes digests of names as they are remembered.
    pub(crate) fn digest(&self, text: &str) -> String {
        self.digester.digest(text)
    }

    /// Saves what is remembered, if it has changed.
    pub(crate) fn save(&self) {
        let access = self.config.load().snapshot.access.clone();
        let logins: Vec<_> = {
            let mut kept = self.kept();
            kept.forget(&access);
            if !std::mem::take(&mut kept.has_changed) {
                return;
            }
            kept.logins.iter().map(|(login, last)| (login.clone(), *last)).collect()
        };
        // Without the file, the next start knows fewer logins; nothing is lost that anybody waits for.
        if let Err(error) = file::write(&self.file, &logins) {
            tracing::warn!(file = %self.file.display(), %error, "the remembered logins cannot be saved");
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Forgets what is too old or remembered in the other way, and a tenth of the rest, the oldest, if that is too many.
    fn forget(&mut self, access: &Access) {
        let oldest = now() - i64::try_from(access.remember.as_secs()).unwrap_or(i64::MAX);
        let most = access.remembered_logins as usize;
        let before = self.logins.len();
        let lasts = !access.remember.is_zero();
        self.logins.retain(|login, last| lasts && last.at >= oldest && login.is_digested == access.hash);
        // Whoever is denied has shown no password: they must not push out those who have.
        self.drop_oldest(most / 10, |last| last.denied);
        self.drop_oldest(most, |_| true);
        self.denied = 0;
        self.has_changed |= self.logins.len() != before;
    }

    /// Forgets the oldest of the `chosen` if there are more than `most`, and a tenth more than has to be.
    fn drop_oldest(&mut self, most: usize, chosen: impl Fn(&Last) -> bool) {
        let mut times: Vec<_> =
            self.logins.values().filter(|last| chosen(last)).map(|last| last.at).collect();
        if times.len() <= most {
            return;
        }
        let mut left = (times.len() - most + most / 10).min(times.len());
        let (_, limit, _) = times.select_nth_unstable(left - 1);
        let limit = *limit;
        self.logins.retain(|_, last| {
            let goes = left > 0 && last.at <= limit && chosen(last);
            left -= usize::from(goes);
            !goes
        });
    }
}
