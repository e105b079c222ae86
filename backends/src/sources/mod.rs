//! The sources of the directory, in the order in which they are asked where an archive is.
//!
//! The embedded one answers from its own file, at once. The others are elsewhere: each is asked through a memory of what
//! it has said, so that its outage affects nobody who has been here before.

mod answers;
mod asked;
mod bring;
mod circuit;
mod engine;
mod engines;
mod fault;
mod http;
mod inquiry;
mod kept;
mod ldap;
mod names;
mod postgres;
mod redis;
mod secret;
mod shared;
mod tls;

pub use asked::{Health, Standing};
pub use bring::{Inquirer, rows};
pub use fault::{SourceFault, chain};
pub use inquiry::{Inquiry, Visitor};
pub use tls::config as tls_config;

use crate::directory::{Directory, DirectoryError, Found, Ledger, Placement, ReadOnly};
use asked::Asked;
use postgres::{Place, PostgresLedger};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use usher_config::snapshot::{self, Source as Configured};
use usher_policy::ArchiveKey;

/// The sources, in order.
pub struct Sources {
    all: Vec<Source>,
    ledger: Arc<dyn Ledger>,
}

enum Source {
    /// The file in the state directory.
    Embedded(Arc<Directory>),
    /// One that is elsewhere.
    Elsewhere(Arc<Asked>),
}

/// What the sources say of a key.
#[derive(Debug)]
pub struct Said {
    /// What it is.
    pub found: Result<Found, DirectoryError>,
    /// Who says it: the source that has the key or that cannot answer; the last one, if nobody has it.
    pub source: &'static str,
    /// How long ago that source said it.
    pub age: Duration,
    /// It has judged the password, and refuses the login.
    pub is_refusal: bool,
}

impl Sources {
    /// The configured sources; the embedded one remembers up to `remember` users. Those that are elsewhere are asked on
    /// `runtime`.
    ///
    /// # Errors
    /// [`DirectoryError`], if what is configured of one cannot be used.
    pub fn new(
        configured: &snapshot::Directory,
        remember: u32,
        state_dir: &Path,
        runtime: &Handle,
    ) -> Result<Self, DirectoryError> {
        let deadline = configured.deadline;
        let all = configured.sources.iter().map(|source| match source {
            Configured::Embedded => {
                Ok(Source::Embedded(Arc::new(Directory::remembering(state_dir, remember)?)))
            }
            elsewhere => {
                let engine = engines::engine(elsewhere, deadline)
                    .map_err(|fault| DirectoryError::Source(format!("{}: {fault}", elsewhere.name())))?;
                let kept = state_dir.join(format!("placements.{}", elsewhere.name()));
                Ok(Source::Elsewhere(Asked::new(elsewhere.name(), engine, configured, kept, runtime)))
            }
        });
        let all = all.collect::<Result<Vec<_>, DirectoryError>>()?;
        let embedded = || {
            let mut embedded = all.iter().filter_map(Source::embedded);
            embedded.next().cloned().ok_or(DirectoryError::ReadOnly)
        };
        let ledger = ledger(&configured.sources, embedded, deadline, runtime, &all)?;
        Ok(Self { all, ledger })
    }

    /// Forgets what other processes have changed in the embedded directory since the last call. Returns whether anything has
    /// been.
    ///
    /// # Errors
    /// [`DirectoryError`], if it cannot be read.
    pub fn follow_changes(&self) -> Result<bool, DirectoryError> {
        let mut embedded = self.all.iter().filter_map(Source::embedded);
        embedded.next().map_or(Ok(false), |directory| directory.follow_changes())
    }

    /// The first of them that can be written; what is written there is heard of at once.
    pub fn ledger(&self) -> Arc<dyn Ledger> {
        self.ledger.clone()
    }

    /// Where the archive is that the inquiry is about.
    ///
    /// A source that cannot say is not passed over: the next one would perhaps name a host that is no longer right.
    pub async fn find(&self, inquiry: &Inquiry<'_>) -> Said {
        // Of those that were passed over by what they had said long ago.
        let mut stale: Option<(usize, Duration)> = None;
        let mut last =
            Said { found: Ok(Found::Now(None)), source: "", age: Duration::ZERO, is_refusal: false };
        for (at, source) in self.all.iter().enumerate() {
            last = match source {
                Source::Embedded(directory) => Said {
                    found: directory.find(inquiry.key, inquiry.asked),
                    source: "embedded",
                    age: Duration::ZERO,
                    is_refusal: false,
                },
                Source::Elsewhere(asked) => {
                    let answer = Box::pin(asked.find(inquiry)).await;
                    if answer.is_stale && matches!(answer.found, Ok(Found::Now(None))) {
                        stale = Some((at, answer.age));
                    }
                    let is_refusal = answer.is_refusal;
                    Said { found: answer.found, source: asked.name, age: answer.age, is_refusal }
                }
            };
            match last.found {
                Ok(Found::Now(None)) if last.is_refusal => return last,
                Ok(Found::Now(None)) => {}
                Ok(Found::Now(Some(_)) | Found::Remembered(_)) => {
                    self.note_elsewhere(inquiry.key, at);
                    break;
                }
                Err(_) => break,
            }
        }
        if let (Some((at, age)), Ok(Found::Now(found))) = (stale, &mut last.found) {
            match found.take() {
                Some(placement) => last.found = Ok(Found::Remembered(placement)),
                None => {
                    let source = self.all[at].name();
                    let why = format!("{source}: it cannot be asked, and had nothing of them long ago");
                    last = Said { found: Err(DirectoryError::Source(why)), source, age, is_refusal: false };
                }
            }
        }
        last
    }

    /// Those before `at` keep in mind that the key is at a later one.
    fn note_elsewhere(&self, key: &ArchiveKey, at: usize) {
        for source in &self.all[..at] {
            if let Source::Elsewhere(asked) = source {
                asked.keep_absence(key);
            }
        }
    }

    /// Forgets where `key` was; for the key of a domain, everything.
    pub fn forget(&self, key: &ArchiveKey) {
        for source in &self.all {
            match source {
                Source::Embedded(directory) => directory.forget(key),
                Source::Elsewhere(asked) => asked.forget(Some(key)),
            }
        }
    }

    /// Whether a source wants to know who asks.
    pub fn wants_visitor(&self) -> bool {
        self.all.iter().any(|source| match source {
            Source::Embedded(_) => false,
            Source::Elsewhere(asked) => asked.wants_visitor(),
        })
    }

    /// How each of those that are elsewhere is.
    pub fn standings(&self) -> Vec<Standing> {
        self.all
            .iter()
            .map(|source| match source {
                Source::Embedded(_) => Standing::within("embedded"),
                Source::Elsewhere(asked) => asked.standing(),
            })
            .collect()
    }

    /// Saves what is remembered, for the next start.
    pub fn keep(&self) {
        for source in &self.all {
            if let Source::Elsewhere(asked) = source {
                asked.keep();
            }
        }
    }
}

impl Source {
    fn embedded(&self) -> Option<&Arc<Directory>> {
        match self {
            Self::Embedded(directory) => Some(directory),
            Self::Elsewhere(_) => None,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Embedded(_) => "embedded",
            Self::Elsewhere(asked) => asked.name,
        }
    }
}

/// The first of the configured sources that can be written. `embedded` opens the one in the state directory.
fn ledger(
    configured: &[Configured],
    embedded: impl FnOnce() -> Result<Arc<Directory>, DirectoryError>,
    deadline: Duration,
    runtime: &Handle,
    all: &[Source],
) -> Result<Arc<dyn Ledger>, DirectoryError> {
    for source in configured {
        match source {
            Configured::Embedded => return Ok(embedded()?),
            Configured::Postgres(postgres) if postgres.query.is_none() => {
                let asked = all.iter().find_map(|source| match source {
                    Source::Elsewhere(asked) if asked.name == "postgres" => Some(asked.clone()),
                    _ => None,
                });
                let place = Place::new(&postgres.access, deadline)
                    .map_err(|fault| DirectoryError::Source(fault.to_string()))?;
                let tell = move |news| asked.iter().for_each(|asked| asked.hear(&news));
                return Ok(Arc::new(PostgresLedger::new(place, runtime, Box::new(tell))));
            }
            _ => {}
        }
    }
    Ok(Arc::new(ReadOnly))
}

/// The first of the configured sources that can be written, for somebody who does not serve.
///
/// # Errors
/// [`DirectoryError`], if it cannot be opened.
pub fn open(
    configured: &snapshot::Directory,
    state_dir: &Path,
    runtime: &Handle,
) -> Result<Arc<dyn Ledger>, DirectoryError> {
    let embedded = || Directory::open(state_dir).map(Arc::new);
    ledger(&configured.sources, embedded, configured.deadline, runtime, &[])
}

/// Makes the tables of a database, unless they are there. Returns whether they were not.
///
/// # Errors
/// [`DirectoryError`], if they cannot be made.
pub fn init(
    postgres: &snapshot::Postgres,
    deadline: Duration,
    runtime: &Handle,
) -> Result<bool, DirectoryError> {
    let place =
        Place::new(&postgres.access, deadline).map_err(|fault| DirectoryError::Source(fault.to_string()))?;
    PostgresLedger::new(place, runtime, Box::new(|_| {})).init()
}

/// Checks in advance what is configured of a source.
///
/// # Errors
/// [`SourceFault`]: what cannot be used.
pub fn check(source: &Configured, deadline: Duration) -> Result<(), SourceFault> {
    match source {
        Configured::Embedded => Ok(()),
        elsewhere => engines::engine(elsewhere, deadline).map(|_| ()),
    }
}

/// What a source has said, with what is left out where it says nothing.
fn placement(host: String, key: ArchiveKey) -> Placement {
    Placement { host, found_by: key, attributes: None, port: None, login: None }
}
