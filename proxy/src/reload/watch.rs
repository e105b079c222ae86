//! What triggers a reload: a hangup signal, or files that have changed.

use super::Request;
use crate::active::{ActiveConfig, CurrentConfig};
use aws_lc_rs::digest::{Context, SHA256};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until, timeout_at};
use usher_config::Snapshot;

/// Hangups this close together count as one.
const TOGETHER: Duration = Duration::from_millis(250);
/// Longest delay of a reload, however many hangups come.
const AT_LAST: Duration = Duration::from_secs(2);
/// Interval at which the files are checked, by content: mounted files are replaced in ways that no notification
/// reports.
const LOOK: Duration = Duration::from_secs(2);

/// Time after a reload that was refused until the same is tried again.
const LATER: Duration = Duration::from_secs(60 * 60);

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
    let (mut applied, mut last, mut told) = (loaded, None, None);
    let mut seen = None;
    let mut refused: Option<(Content, Instant)> = None;
    let mut next = Instant::now();
    loop {
        next += LOOK;
        sleep_until(next).await;
        let (looked_at, config) = (current.load_full(), config.clone());
        // Where a file system that does not answer delays nobody else.
        let looking = move || look(&looked_at, &config, watched, seen);
        let Ok(looked) = spawn_blocking(looking).await else { return };
        seen = Some(looked.signature);
        let Some(now) = looked.content.or_else(|| last.clone()) else { continue };
        if last.as_ref() != Some(&now) {
            last = Some(now);
            continue;
        }
        let is_refused =
            refused.as_ref().is_some_and(|(what, until)| *what == now && Instant::now() < *until);
        if now == applied || is_refused {
            continue;
        }
        if !watched && !looked.is_as_loaded {
            if told.replace(now.clone()) != Some(now) {
                tracing::warn!(
                    "a file that the configuration names has changed, and so has itself: `usher reload` puts both in force"
                );
            }
            continue;
        }
        let (request, answer) = Request::new();
        if requests.send(request).await.is_err() {
            return;
        }
        match answer.await {
            Ok(reloaded) if reloaded.applied => applied = now,
            // What is wrong is logged. What follows, such as a password, is another content; a disk may have been away.
            _ => refused = Some((now, Instant::now() + LATER)),
        }
    }
}

/// What a look at the files has found.
struct Looked {
    /// Which files they are, how large, and when they were changed.
    signature: Signature,
    /// What they hold; `None`: what they held at the last look.
    content: Option<Content>,
    /// The configuration is the one that is in force.
    is_as_loaded: bool,
}

type Signature = Vec<Option<(u64, u64, u64, i64, i64)>>;

fn look(active: &ActiveConfig, config: &Path, watched: bool, before: Option<Signature>) -> Looked {
    let about = |file: &Path| {
        let about = std::fs::metadata(file).ok()?;
        Some((about.dev(), about.ino(), about.size(), about.ctime(), about.ctime_nsec()))
    };
    let files = files(&active.snapshot);
    let signature: Signature = files.iter().copied().chain([config]).map(about).collect();
    let text = std::fs::read(config).unwrap_or_default();
    let is_as_loaded = text == active.text.as_bytes();
    let is_as_before = before.is_some_and(|before| before == signature);
    let content = (!is_as_before).then(|| content(if watched { &text } else { b"" }, &active.snapshot));
    Looked { signature, content, is_as_loaded }
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
    for file in files(snapshot) {
        add(&std::fs::read(file).unwrap_or_default());
    }
    context.finish().as_ref().to_vec()
}

/// The files whose content is part of a configuration.
fn files(snapshot: &Snapshot) -> Vec<&Path> {
    let signing = snapshot.client_setup.as_ref().and_then(|setup| setup.signing.as_ref());
    let certificates = snapshot.certificates.iter().chain(signing);
    let of_certificates = certificates.flat_map(|named| {
        [Some(&named.chain), Some(&named.key), named.key_password_file.as_ref()].into_iter().flatten()
    });
    let countries = snapshot.access.countries.as_ref().map(|file| &file.path);
    let trusted = snapshot.client_cas().map(|ca| &ca.file);
    of_certificates.chain(countries).chain(trusted).map(PathBuf::as_path).collect()
}
