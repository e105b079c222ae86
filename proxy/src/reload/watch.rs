//! What triggers a reload: a hangup signal, or files that have changed.

use super::Request;
use crate::active::CurrentConfig;
use aws_lc_rs::digest::{Context, SHA256};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout_at};
use usher_config::Snapshot;

/// Hangups this close together count as one.
const TOGETHER: Duration = Duration::from_millis(250);
/// Longest delay of a reload, however many hangups come.
const AT_LAST: Duration = Duration::from_secs(2);
/// Interval at which the files are checked, by content: mounted files are replaced in ways that no notification
/// reports.
const LOOK: Duration = Duration::from_secs(2);

/// Reloads at each hangup; several in quick succession count as one.
pub(crate) async fn follow_hangups(mut hangups: Signal, requests: mpsc::Sender<Request>) {
    while hangups.recv().await.is_some() {
        let at_last = Instant::now() + AT_LAST;
        loop {
            let quiet = (Instant::now() + TOGETHER).min(at_last);
            if timeout_at(quiet, hangups.recv()).await.is_err() || Instant::now() >= at_last {
                break;
            }
        }
        // The result is logged.
        let (request, _) = Request::new();
        if requests.send(request).await.is_err() {
            return;
        }
    }
}

/// Reloads when the content of `config` or of a file that it names, such as a certificate, differs from what was `loaded`,
/// once it has been the same at two checks: by then nobody is still writing it. Unless the configuration is `watched` too,
/// a changed one is left to operators, and so is everything else then.
pub(crate) async fn follow_files(
    current: Arc<CurrentConfig>,
    config: PathBuf,
    loaded: Content,
    watched: bool,
    requests: mpsc::Sender<Request>,
) {
    let (mut applied, mut last) = (loaded, None);
    let mut next = Instant::now();
    loop {
        next += LOOK;
        sleep_until(next).await;
        let text = std::fs::read(&config).unwrap_or_default();
        let active = current.load_full();
        let is_as_loaded = text == active.text.as_bytes();
        let now = content(if watched { &text } else { b"" }, &active.snapshot);
        drop(active);
        if last.as_ref() == Some(&now) && now != applied {
            applied.clone_from(&now);
            if !watched && !is_as_loaded {
                tracing::warn!(
                    "a file that the configuration names has changed, and so has itself: `usher reload` puts both in force"
                );
                continue;
            }
            let (request, _) = Request::new();
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
    let countries = snapshot.access.countries.as_ref().map(|file| &file.path);
    let trusted = snapshot.client_cas().map(|ca| &ca.file);
    for file in pairs.chain(countries).chain(trusted) {
        add(&std::fs::read(file).unwrap_or_default());
    }
    context.finish().as_ref().to_vec()
}
