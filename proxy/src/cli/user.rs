//! `usher user`: whose archive is where. Works on the directory's file itself, so it does not matter whether
//! a server runs; one that does sees every change at its next login.

use super::{ConfigArgument, Exit};
use crate::prepare::Config;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use usher_backends::directory::{Directory, DirectoryError, ImportOptions, ImportPhase};
use usher_config::ArchiveKey;

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
    #[command(subcommand)]
    command: Command,
}

/// USER is a name such as anna@example.com, or @example.com for all users of a domain that have no entry of
/// their own.
#[derive(Subcommand)]
enum Command {
    /// Put a user's archive on a host.
    Set {
        /// anna@example.com, or @example.com for a whole domain.
        user: String,
        /// The name of an [[instance_host]].
        host: String,
    },
    /// Show where a user's archive is, since when and by whom.
    Get {
        /// The user.
        user: String,
    },
    /// Remove a user.
    Remove {
        /// The user.
        user: String,
    },
    /// List users and hosts.
    List {
        /// Only those of this host.
        #[arg(long)]
        host: Option<String>,
    },
    /// Import `user,host` lines of CSV as a whole; any conflict is told and changes nothing.
    Import {
        /// The file; `-` for standard input.
        file: PathBuf,
        /// Move users that are elsewhere, and leave out lines that cannot be taken.
        #[arg(long)]
        replace: bool,
    },
    /// Write all users as CSV.
    Export {
        /// The file; `-` for standard output.
        #[arg(default_value = "-")]
        file: PathBuf,
    },
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum UserError {
    #[error("the directory: {0}")]
    Directory(#[from] DirectoryError),
    #[error("{0}")]
    Output(#[from] io::Error),
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("no archive can be named {0:?}; write a name such as anna@example.com")]
    Name(String),
    #[error("there is no instance host {host:?}; known: {known}")]
    Host { host: String, known: String },
}

pub(super) fn user(arguments: &Arguments) -> Exit {
    let config = match arguments.config.load() {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let state_dir = &config.snapshot.server.state_dir;
    let opened = std::fs::create_dir_all(state_dir)
        .map_err(|source| UserError::File { path: state_dir.clone(), source })
        .and_then(|()| Ok(Directory::open(state_dir)?));
    let done = opened.and_then(|directory| execute(&config, &directory, &arguments.command));
    match done {
        Ok(exit) => exit,
        // A reader that has seen enough, such as `head`.
        Err(UserError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
        Err(error @ (UserError::Name(_) | UserError::Host { .. })) => {
            eprintln!("usher: {error}");
            Exit::Failed
        }
        Err(error) => {
            eprintln!("usher: {error}");
            Exit::Unavailable
        }
    }
}

fn execute(config: &Config, directory: &Directory, command: &Command) -> Result<Exit, UserError> {
    let key =
        |user: &str| config.snapshot.domains.written(user).ok_or_else(|| UserError::Name(user.to_owned()));
    match command {
        Command::Set { user, host } => {
            let host = known_host(config, host)?;
            set(directory, &key(user)?, &host)
        }
        Command::Get { user } => get(directory, &key(user)?),
        Command::Remove { user } => remove(directory, &key(user)?),
        Command::List { host } => {
            let host = host.as_ref().map(|host| host.to_ascii_lowercase());
            list(directory, host.as_deref())
        }
        Command::Import { file, replace } => import(config, directory, file, *replace),
        Command::Export { file } => export(directory, file),
    }
}

fn known_host(config: &Config, host: &str) -> Result<String, UserError> {
    let host = host.to_ascii_lowercase();
    if config.snapshot.hosts.iter().any(|known| known.name == host) {
        return Ok(host);
    }
    let known: Vec<_> = config.snapshot.hosts.iter().map(|known| known.name.as_str()).collect();
    Err(UserError::Host { host, known: known.join(", ") })
}

fn set(directory: &Directory, key: &ArchiveKey, host: &str) -> Result<Exit, UserError> {
    match directory.set(key, host, &who())? {
        Some(before) if before == host => println!("{key}: was on {host} already"),
        Some(before) => println!("{key}: {host}, was on {before}"),
        None => println!("{key}: {host}"),
    }
    Ok(Exit::Done)
}

fn get(directory: &Directory, key: &ArchiveKey) -> Result<Exit, UserError> {
    if let Some(entry) = directory.get(key)? {
        println!("{key}: {}, set {} by {}", entry.host, date(entry.set_at), entry.set_by);
        return Ok(Exit::Done);
    }
    match directory.look_up(key)? {
        Some(placement) => {
            println!("{key}: {}, by the entry of {}", placement.host, placement.found_by);
            Ok(Exit::Done)
        }
        None => {
            eprintln!("usher: {key} is on no host; to put it on one: usher user set {key} HOST");
            Ok(Exit::Failed)
        }
    }
}

fn remove(directory: &Directory, key: &ArchiveKey) -> Result<Exit, UserError> {
    match directory.remove(key, &who())? {
        Some(before) => {
            println!("{key}: removed, was on {before}");
            Ok(Exit::Done)
        }
        None => {
            eprintln!("usher: {key} is on no host");
            Ok(Exit::Failed)
        }
    }
}

fn list(directory: &Directory, host: Option<&str>) -> Result<Exit, UserError> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut written = Ok(());
    directory.scan(host, |entry| {
        written = writeln!(out, "{}\t{}\t{}\t{}", entry.key, entry.host, date(entry.set_at), entry.set_by);
        written.is_ok()
    })?;
    written?;
    out.flush()?;
    Ok(Exit::Done)
}

fn export(directory: &Directory, file: &Path) -> Result<Exit, UserError> {
    let out: Box<dyn Write> = if file.as_os_str() == "-" {
        Box::new(io::stdout().lock())
    } else {
        let path = file.to_owned();
        Box::new(File::create(file).map_err(|source| UserError::File { path, source })?)
    };
    directory.export(out)?;
    Ok(Exit::Done)
}

fn import(config: &Config, directory: &Directory, file: &Path, replace: bool) -> Result<Exit, UserError> {
    let (source, length): (Box<dyn Read>, u64) = if file.as_os_str() == "-" {
        (Box::new(io::stdin().lock()), 0)
    } else {
        let io = |source| UserError::File { path: file.to_owned(), source };
        let opened = File::open(file).map_err(io)?;
        let length = opened.metadata().map_err(io)?.len();
        (Box::new(opened), length)
    };
    let bar = progress_bar();
    let is_host = |host: &str| config.snapshot.hosts.iter().any(|known| known.name == host);
    let by = who();
    let options = ImportOptions { domains: &config.snapshot.domains, is_host: &is_host, replace, by: &by };
    let imported = directory.import(
        source,
        &options,
        &mut |conflict| bar.suspend(|| eprintln!("{conflict}")),
        &mut |phase| show(&bar, phase, length),
    );
    bar.finish_and_clear();
    let imported = imported?;
    if !imported.done {
        eprintln!("{} conflicts; nothing was changed", imported.conflicts);
        return Ok(Exit::Failed);
    }
    let unchanged = imported.keys - imported.added - imported.moved;
    println!(
        "{} users: {} added, {} moved, {unchanged} as before",
        imported.keys, imported.added, imported.moved
    );
    if imported.left_out > 0 {
        eprintln!("{} lines were left out", imported.left_out);
        return Ok(Exit::Failed);
    }
    Ok(Exit::Done)
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
    };
    bar.set_message(what);
    bar.set_length(of);
    bar.set_position(done);
}

/// Who runs the command, for the directory's history.
fn who() -> String {
    let known = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    known.unwrap_or_else(|| "unknown".to_owned())
}

/// A moment as RFC 3339 has it, UTC.
fn date(seconds: i64) -> String {
    match x509_parser::time::ASN1Time::from_timestamp(seconds) {
        Ok(time) => {
            let time = time.to_datetime();
            let (date, clock) = (time.date(), time.time());
            format!("{date}T{:02}:{:02}:{:02}Z", clock.hour(), clock.minute(), clock.second())
        }
        Err(_) => seconds.to_string(),
    }
}
