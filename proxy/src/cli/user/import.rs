//! `usher user import`.

use super::formats::{Format, Translated};
use super::{Audit, Known, SHOWN, UserError};
use crate::admin::model::Changed;
use crate::cli::{Exit, who};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, IsTerminal, Read};
use std::path::Path;
use usher_backends::directory::{ImportOptions, ImportPhase, Ledger, Sync};
use usher_wire::printable::printable;

/// How to import.
#[derive(Clone, Copy)]
pub(super) struct How {
    /// How the file is written.
    pub(super) format: Format,
    /// As in [`ImportOptions`].
    pub(super) replace: bool,
    /// As in [`ImportOptions`].
    pub(super) sync: Option<Sync>,
    /// As in [`ImportOptions`].
    pub(super) only_look: bool,
}

pub(super) fn import(
    known: &Known<'_>,
    directory: &dyn Ledger,
    file: &Path,
    how: How,
    changed: &Audit<'_>,
) -> Result<Exit, UserError> {
    let How { format, replace, sync, only_look } = how;
    let (source, length) = opened(file)?;
    let bar = progress_bar();
    let is_host = |host: &str| known.hosts.contains(host);
    let by = who();
    let options =
        ImportOptions { domains: known.domains, is_host: &is_host, replace, sync, only_look, by: &by };
    let named = |host: &str| {
        let place = host.to_ascii_lowercase();
        known.places.get(&place).cloned().flatten().filter(|_| !known.hosts.contains(&place)).unwrap_or(place)
    };
    let mut translated = Translated::new(BufReader::new(source), format, &named);
    let source: &mut dyn Read = match &mut translated {
        Ok(translated) => translated,
        Err(plain) => plain,
    };
    let mut told_of: BTreeMap<&str, u64> = BTreeMap::new();
    let imported = directory.import(
        source,
        &options,
        &mut |conflict| {
            let told = told_of.entry(conflict.kind.name()).or_insert(0_u64);
            *told += 1;
            if *told <= SHOWN {
                bar.suspend(|| eprintln!("{}", printable(&conflict.to_string())));
            }
        },
        &mut |phase| show(&bar, phase, length),
    );
    bar.finish_and_clear();
    let imported = imported?;
    translated.iter().for_each(|translated| translated.left.tell());
    for (kind, count) in told_of.iter().filter(|(_, count)| **count > SHOWN) {
        eprintln!("and {} more: {kind}", count - SHOWN);
    }
    if imported.is_too_much {
        eprintln!(
            "that is more than a tenth, as if the file were cut off; nothing was changed; --force removes them"
        );
        return Ok(Exit::Failed);
    }
    let removed = if sync.is_some() { format!(", {} removed", imported.removed) } else { String::new() };
    if only_look {
        let unchanged = imported.keys - imported.added - imported.moved;
        let (keys, added, moved) = (imported.keys, imported.added, imported.moved);
        println!("{keys} users: {added} would be added, {moved} moved, {unchanged} unchanged{removed}");
        let is_good = imported.left_out == 0 && (imported.moved == 0 || replace || sync.is_some());
        return Ok(if is_good { Exit::Done } else { Exit::Failed });
    }
    if !imported.done {
        let conflicts = if imported.conflicts == 1 { "conflict" } else { "conflicts" };
        eprintln!("{} {conflicts}; nothing was changed", imported.conflicts);
        return Ok(Exit::Failed);
    }
    let what = format!(
        "{} added, {} moved, {} left out{removed}",
        imported.added, imported.moved, imported.left_out
    );
    changed(Changed::ImportUsers, &file.display().to_string(), &what);
    let unchanged = imported.keys - imported.added - imported.moved;
    println!(
        "{} users: {} added, {} moved, {unchanged} unchanged{removed}",
        imported.keys, imported.added, imported.moved
    );
    if imported.left_out > 0 {
        eprintln!("{} lines were left out", imported.left_out);
        return Ok(Exit::Failed);
    }
    Ok(Exit::Done)
}

/// The file and its length in bytes; 0: nobody knows it.
fn opened(file: &Path) -> Result<(Box<dyn Read>, u64), UserError> {
    if file.as_os_str() == "-" {
        return Ok((Box::new(io::stdin().lock()), 0));
    }
    let io = |source| UserError::File { path: file.to_owned(), source };
    let opened = File::open(file).map_err(io)?;
    let length = opened.metadata().map_err(io)?.len();
    Ok((Box::new(opened), length))
}

/// A bar on standard error where that is a terminal; nothing otherwise.
fn progress_bar() -> ProgressBar {
    let target =
        if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template("{msg:8} [{wide_bar}] {percent}% {eta}");
    let bar = ProgressBar::with_draw_target(Some(0), target);
    style.map_or(bar.clone(), |style| bar.with_style(style))
}

fn show(bar: &ProgressBar, phase: ImportPhase, length: u64) {
    let (what, done, of) = match phase {
        ImportPhase::Reading(octets) => ("reading", octets, length.max(octets)),
        ImportPhase::Sorting(rows, of) => ("sorting", rows, of),
        ImportPhase::Writing(rows, of) => ("writing", rows, of),
        ImportPhase::Removing(others, of) => {
            bar.suspend(|| eprintln!("{others} of {of} entries are not in the file"));
            return;
        }
    };
    bar.set_message(what);
    bar.set_length(of);
    bar.set_position(done);
}
