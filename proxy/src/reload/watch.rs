//! What asks for a reload: a hangup, or files that have changed.

use super::Request;
use crate::shared::Shared;
use aws_lc_rs::digest::{Context, SHA256};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout_at};

/// Hangups this close together are one wish.
const TOGETHER: Duration = Duration::from_millis(250);
/// However many come, a reload waits no longer.
const AT_LAST: Duration = Duration::from_secs(2);
/// Between two looks at the files. By content, because mounted files are swapped in ways that no
/// notification tells.
const LOOK: Duration = Duration::from_secs(2);

/// Reloads at each hangup; many within a moment are one.
pub(crate) async fn follow_hangups(mut hangups: Signal, requests: mpsc::Sender<Request>) {
    while hangups.recv().await.is_some() {
        let at_last = Instant::now() + AT_LAST;
        loop {
            let quiet = (Instant::now() + TOGETHER).min(at_last);
            if timeout_at(quiet, hangups.recv()).await.is_err() || Instant::now() >= at_last {
                break;
            }
        }
        // What comes of it is in the log.
        let (request, _) = oneshot::channel();
        if requests.send(request).await.is_err() {
            return;
        }
    }
}

/// Reloads when the content of `config` or of a certificate in force changes, once it has been the same for two looks: nobody writes it
/// any more then.
pub(crate) async fn follow_files(shared: Arc<Shared>, config: PathBuf, requests: mpsc::Sender<Request>) {
    let mut applied = content(&files(&shared, &config));
    let mut last = applied.clone();
    let mut next = Instant::now();
    loop {
        next += LOOK;
        sleep_until(next).await;
        let now = content(&files(&shared, &config));
        if now == last && now != applied {
            applied.clone_from(&now);
            let (request, _) = oneshot::channel();
            if requests.send(request).await.is_err() {
                return;
            }
        }
        last = now;
    }
}

fn files(shared: &Shared, config: &Path) -> Vec<PathBuf> {
    let setting = shared.setting();
    let named = setting.snapshot.certificates.iter();
    let named = named.flat_map(|named| [named.chain.clone(), named.key.clone()]);
    std::iter::once(config.to_owned()).chain(named).collect()
}

fn content(files: &[PathBuf]) -> Vec<u8> {
    let mut context = Context::new(&SHA256);
    for file in files {
        let text = std::fs::read(file).unwrap_or_default();
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(&text);
    }
    context.finish().as_ref().to_vec()
}
