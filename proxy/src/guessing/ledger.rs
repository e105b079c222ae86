//! Writes bans to the disk, many at once if many come, and tells those who wait for it.

use std::sync::{Arc, mpsc};
use tokio::sync::oneshot;
use usher_backends::bans::{Ban, BanChange, Bans};
use usher_backends::store::StoreError;

/// Most changes that are written at once.
const AT_ONCE: usize = 1000;

type Entry = (BanChange, Option<oneshot::Sender<Result<(), String>>>);

/// The bans on the disk, written by a thread of its own.
pub(super) struct Ledger {
    bans: Arc<Bans>,
    entries: mpsc::Sender<Entry>,
}

impl Ledger {
    /// Starts it.
    ///
    /// # Errors
    /// The system's, when it gives no thread.
    pub(super) fn start(bans: Bans) -> std::io::Result<Self> {
        let bans = Arc::new(bans);
        let (entries, comes) = mpsc::channel();
        let written = bans.clone();
        std::thread::Builder::new().name("bans".to_owned()).spawn(move || write(&written, &comes))?;
        Ok(Self { bans, entries })
    }

    /// Writes `change` some time.
    pub(super) fn note(&self, change: BanChange) {
        let _ = self.entries.send((change, None));
    }

    /// Writes `change`, and returns when it is on the disk.
    ///
    /// # Errors
    /// Why it is not.
    pub(super) async fn write(&self, change: BanChange) -> Result<(), String> {
        let (done, comes) = oneshot::channel();
        let _ = self.entries.send((change, Some(done)));
        comes.await.unwrap_or_else(|_| Err("nobody writes bans any more".to_owned()))
    }

    /// All bans that are not over by `now`, in seconds since 1970.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn all(&self, now: i64) -> Result<Vec<Ban>, StoreError> {
        self.bans.all(now)
    }
}

fn write(bans: &Bans, comes: &mpsc::Receiver<Entry>) {
    while let Ok(first) = comes.recv() {
        let (changes, waiting): (Vec<_>, Vec<_>) =
            std::iter::once(first).chain(comes.try_iter().take(AT_ONCE)).unzip();
        let written = bans.write(&changes).map_err(|error| error.to_string());
        if let Err(error) = &written {
            tracing::error!(%error, "bans cannot be written; after a restart they are forgotten");
        }
        for one in waiting.into_iter().flatten() {
            // One that waits no more is gone.
            let _ = one.send(written.clone());
        }
    }
}
