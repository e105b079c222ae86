//! What a source has said, in a file: so that those who are known can log in although usher is started while the source
//! is out.

use super::answers::Answers;
use crate::directory::{Placement, key_of, kind};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use usher_policy::ArchiveKey;

/// The file.
pub(super) struct Kept {
    path: PathBuf,
    /// How many changes there had been when it was written last.
    written: Mutex<u64>,
}

/// A line of it.
#[derive(Serialize, Deserialize)]
struct Line {
    kind: u8,
    key: String,
    /// In seconds since 1970.
    said: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    place: Option<Place>,
}

#[derive(Serialize, Deserialize)]
struct Place {
    host: String,
    found_by: (u8, String),
    #[serde(skip_serializing_if = "Option::is_none", default)]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    login: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    attributes: Option<String>,
}

impl Kept {
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path, written: Mutex::new(0) }
    }

    /// Reads what was kept. A line that cannot be read is nobody's.
    pub(super) fn restore(&self, answers: &Answers) {
        let Ok(file) = File::open(&self.path) else { return };
        let now = now();
        for line in BufReader::new(file).lines().map_while(Result::ok) {
            let Ok(Line { kind, key, said, place }) = serde_json::from_str(&line) else { continue };
            let placement = place.map(|place| Placement {
                host: place.host,
                found_by: key_of(place.found_by.0, place.found_by.1),
                attributes: place.attributes.map(Into::into),
                port: place.port,
                login: place.login.map(Into::into),
            });
            answers.restore(key_of(kind, key), placement, Duration::from_secs(now.saturating_sub(said)));
        }
    }

    /// Writes it anew if anything has changed.
    pub(super) fn keep(&self, answers: &Answers) {
        let mut written = self.written.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let changes = answers.changes();
        if *written == changes {
            return;
        }
        match self.write(answers) {
            Ok(()) => *written = changes,
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "what the directory's source has said cannot be kept");
            }
        }
    }

    fn write(&self, answers: &Answers) -> io::Result<()> {
        let next = self
            .path
            .with_extension(format!("{}.next", self.path.extension().unwrap_or_default().to_string_lossy()));
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
        let mut out = BufWriter::new(file);
        let now = now();
        for (key, known) in answers.all() {
            let place = known.placement.as_ref().map(|placement| Place {
                host: placement.host.clone(),
                found_by: stored(&placement.found_by),
                port: placement.port,
                login: placement.login.as_deref().map(ToOwned::to_owned),
                attributes: placement.attributes.as_deref().map(ToOwned::to_owned),
            });
            let (kind, key) = stored(&key);
            let said = now.saturating_sub(known.age().as_secs());
            serde_json::to_writer(&mut out, &Line { kind, key, said, place })?;
            out.write_all(b"\n")?;
        }
        out.into_inner()?.sync_all()?;
        std::fs::rename(next, &self.path)
    }
}

fn stored(key: &ArchiveKey) -> (u8, String) {
    (kind(key), key.name().to_owned())
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
