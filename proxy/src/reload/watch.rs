//! What asks for a reload: a hangup, or files that have changed.

use super::Request;
use crate::active::CurrentConfig;
use aws_lc_rs::digest::{Context, SHA256};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout_at};
use usher_config::Snapshot;

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

/// Reloads when the content of `config` or of a certificate in force is another than the one that was `loaded`,
/// once it has been the same for two looks: nobody writes it any more then.
pub(crate) async fn follow_files(
    current: Arc<CurrentConfig>,
    config: PathBuf,
    loaded: Content,
    requests: mpsc::Sender<Request>,
) {
    let (mut applied, mut last) = (loaded, None);
    let mut next = Instant::now();
    loop {
        next += LOOK;
        sleep_until(next).await;
        let text = std::fs::read(&config).unwrap_or_default();
        let now = content(&text, &current.load().snapshot);
        if last.as_ref() == Some(&now) && now != applied {
            applied.clone_from(&now);
            let (request, _) = oneshot::channel();
            if requests.send(request).await.is_err() {
                return;
            }
        }
        last = Some(now);
    }
}

/// What a configuration and its certificates held, as a digest.
pub(crate) type Content = Vec<u8>;

/// What `config` and the files of `certificates` hold now.
pub(crate) fn content(config: &[u8], snapshot: &Snapshot) -> Content {
    let mut context = Context::new(&SHA256);
    let mut add = |text: &[u8]| {
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(text);
    };
    add(config);
    let signing = snapshot.client_setup.as_ref().and_then(|setup| setup.signing.as_ref());
    let pairs = snapshot.certificates.iter().chain(signing).flat_map(|named| [&named.chain, &named.key]);
    for file in pairs.chain(snapshot.https.client_ca.as_ref().map(|ca| &ca.file)) {
        add(&std::fs::read(file).unwrap_or_default());
    }
    context.finish().as_ref().to_vec()
}
