//! `usher user`: which host has whose archive. Works directly on the directory, whether or not a server is running.

mod asked;
mod bring;
mod formats;
mod import;
mod list;
mod live;
mod rename;

pub(super) use self::bring::{BringArguments, bring};

use self::bring::places;
use self::formats::Format;
use self::import::{How, import};
use self::rename::rename;
use super::api::{ApiError, Reach, part};
use super::directory::runtime;
use super::table::date;
use super::{ConfigArgument, Exit, complain, complete, print, who};
use crate::admin::model::{Change, Changed, Reason};
use crate::load::Config;
use crate::log;
use crate::log::AUDIT;
use clap::{Args, Subcommand};
use hyper::Method;
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use usher_backends::directory::{self, ATTRIBUTE_CAP, DirectoryError, Ledger, Sync, attribute_name};
use usher_backends::roster::{KeyHold, now};
use usher_backends::sources;
use usher_backends::state::State;
use usher_backends::state_dir::{self, StateDirError};
use usher_backends::store::{FleetChange, Store, StoreError};
use usher_config::Snapshot;
use usher_policy::ArchiveKey;
use usher_policy::identity::Domains;
use usher_wire::printable::printable;

/// Most conflicts of one kind that are shown.
const SHOWN: u64 = 20;

/// Records a change.
type Audit<'a> = dyn Fn(Changed, &str, &str) + 'a;

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
    /// Put a user's archive on a host, or set attributes of the user.
    Set {
        /// anna@example.com, or @example.com for a whole domain.
        user: String,
        #[arg(help = "The name of an [[instance_host]]", required_unless_present = "attribute", add = complete::hosts())]
        host: Option<String>,
        /// What access rules may look at, such as department=sales; without a value, it is removed.
        #[arg(long, value_name = "NAME=VALUE")]
        attribute: Vec<String>,
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
    /// Give a user's entry to another name: the archive, its host and its attributes stay.
    Rename {
        /// The user.
        user: String,
        /// The new name.
        to: String,
    },
    /// List users and hosts.
    List(list::Arguments),
    /// Import CSV lines of the form `user,host` as a whole, with a column for each attribute that the first line names; if there are conflicts, they are reported and nothing
    /// changes.
    Import {
        /// The file; `-` for standard input.
        file: PathBuf,
        /// Move users that are on another host, and leave out lines that cannot be imported.
        #[arg(long)]
        replace: bool,
        /// Bring the directory in step with the file: also move users that are on another host, and remove those that are
        /// not in it, unless that is more than a tenth or a line cannot be imported.
        #[arg(long, conflicts_with = "replace")]
        sync: bool,
        /// With `--sync`: however many are removed.
        #[arg(long, requires = "sync")]
        force: bool,
        /// Change nothing, but say what would be changed.
        #[arg(long)]
        dry_run: bool,
    },
    /// What `usher import` does.
    #[command(skip)]
    Bring {
        /// How the list is written.
        format: Format,
        /// The list.
        file: PathBuf,
        /// As of an import.
        replace: bool,
        /// As of an import.
        dry_run: bool,
    },
    /// Make a user's logins wait while the archive is moved.
    Hold {
        /// The user.
        user: String,
        /// The reason, for others to see.
        #[arg(long, default_value = "")]
        why: String,
    },
    /// Let a user's logins continue.
    Release {
        /// The user.
        user: String,
    },
    /// List the users whom several hosts have, of those about whom usher has asked: they are not served until they are put
    /// on one.
    Duplicates,
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
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    #[error("{0}")]
    Output(#[from] io::Error),
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("{0:?} is not a valid name for an archive; write a name such as anna@example.com")]
    Name(String),
    #[error("{0:?} is not an attribute; write NAME=VALUE, such as department=sales")]
    Attribute(String),
    #[error("there is no instance host {host:?}; known: {known}")]
    Host { host: String, known: String },
}

pub(super) fn user(arguments: &Arguments) -> Exit {
    let config = match arguments.config.load() {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let state_dir = &config.snapshot.server.state_dir;
    let socket_inside = config.snapshot.admin.socket.parent() == Some(state_dir);
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(exit) => return exit,
    };
    let opened = state_dir::prepare(state_dir, socket_inside)
        .map_err(UserError::from)
        .and_then(|_| Ok(sources::open(&config.snapshot.directory, state_dir, runtime.handle())?));
    let done = opened.and_then(|directory| {
        let places = places(&config.snapshot);
        let known =
            Known { domains: &config.snapshot.domains, hosts: known_hosts(&config.snapshot)?, places };
        // Even while it is open: SQLite's files next to it come and go.
        state_dir::give_to_owner(state_dir)?;
        let reach = Reach::by(&arguments.config);
        let changed = |what, on: &str, why: &str| audit(&config, &reach, what, on, why);
        execute(&known, &*directory, &arguments.command, &reach, state_dir, &changed)
    });
    let done = done.and_then(|exit| Ok(state_dir::give_to_owner(state_dir).map(|()| exit)?));
    match done {
        Ok(exit) => exit,
        // A reader that has seen enough, such as `head`.
        Err(error) if is_broken_pipe(&error) => Exit::Done,
        Err(error @ (UserError::Name(_) | UserError::Attribute(_) | UserError::Host { .. })) => {
            complain(&error.to_string());
            Exit::Failed
        }
        Err(error) => {
            complain(&error.to_string());
            Exit::Unavailable
        }
    }
}

/// Whether the root cause of an error is that nobody is reading any more.
fn is_broken_pipe(error: &UserError) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = source {
        if inner.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            return true;
        }
        source = inner.source();
    }
    false
}

/// Records a change in the log of the running usher or, if none is running, on standard error in the same form.
fn audit(config: &Config, reach: &Reach, what: Changed, on: &str, why: &str) {
    let change = Change { what, on: on.to_owned(), why: why.to_owned() };
    let noted = reach.api().and_then(|api| api.change(Method::POST, "/v1/changes", Some(&change)));
    if noted.is_err() {
        log::init(&config.snapshot.log);
        let (by, from) = (who(), format!("cli pid={}", std::process::id()));
        let what = what.name();
        tracing::info!(target: AUDIT, audit = true, by, from, what, on, why, "change");
    }
}

/// How names are interpreted.
struct Known<'c> {
    domains: &'c Domains,
    hosts: BTreeSet<String>,
    /// The names of hosts by where they are; `None`: several are there.
    places: HashMap<String, Option<String>>,
}

fn execute(
    known: &Known<'_>,
    directory: &dyn Ledger,
    command: &Command,
    reach: &Reach,
    state_dir: &Path,
    changed: &Audit<'_>,
) -> Result<Exit, UserError> {
    let key = |user: &str| known.domains.written(user).ok_or_else(|| UserError::Name(user.to_owned()));
    match command {
        Command::Set { user, host, attribute } => {
            let host = host.as_ref().map(|host| known_host(known, host)).transpose()?;
            let changes = attribute.iter().map(|written| pair(written)).collect::<Result<Vec<_>, _>>()?;
            let key = key(user)?;
            let mut exit = Exit::Done;
            if let Some(host) = host {
                exit = set(directory, &key, &host)?;
                changed(Changed::SetUser, &key.to_string(), &host);
            }
            if !changes.is_empty() && exit == Exit::Done {
                if !directory.set_attributes(&key, &changes, &who())? {
                    complain(&format!("{key} is not on any host"));
                    return Ok(Exit::Failed);
                }
                changed(Changed::SetUser, &key.to_string(), &attribute.join(" "));
                return Ok(print(&format!("{key}: {}\n", attribute.join(", "))));
            }
            Ok(exit)
        }
        Command::Get { user } => get(directory, &key(user)?),
        Command::Remove { user } => {
            let key = key(user)?;
            let exit = remove(directory, &key)?;
            if exit == Exit::Done {
                changed(Changed::RemoveUser, &key.to_string(), "");
            }
            Ok(exit)
        }
        Command::List(arguments) => list::list(directory, arguments),
        Command::Rename { user, to } => rename(directory, &key(user)?, &key(to)?, changed),
        Command::Import { file, replace, sync, force, dry_run } => {
            let sync = sync.then_some(if *force { Sync::Force } else { Sync::Careful });
            let how = How { format: Format::Csv, replace: *replace, sync, only_look: *dry_run };
            import(known, directory, file, how, changed)
        }
        Command::Bring { format, file, replace, dry_run } => {
            let how = How { format: *format, replace: *replace, sync: None, only_look: *dry_run };
            let exit = import(known, directory, file, how, changed)?;
            live::compare(reach, directory, known.domains);
            Ok(exit)
        }
        Command::Duplicates => Ok(list::duplicates(reach)),
        Command::Export { file } => export(directory, file),
        Command::Hold { user, why } => {
            let (key, reason) = (key(user)?, Reason { why: why.clone(), deadline_seconds: None });
            let path = format!("/v1/directory/{}/hold", part(&key.to_string()));
            let held = reach.api().and_then(|api| api.change(Method::POST, &path, Some(&reason)));
            if let Err(ApiError::Unreachable { .. }) = held {
                // Saved for the usher that starts next.
                let hold = KeyHold { since: now(), by: who(), why: why.clone(), ends: None };
                State::open(state_dir)?.append(FleetChange::HoldKey { key: key.clone(), hold })?;
                return Ok(print(&format!("{key}: logins will wait as soon as usher is running\n")));
            }
            Ok(told(held, &format!("{key}: logins wait until: usher user release {key}\n")))
        }
        Command::Release { user } => {
            let key = key(user)?;
            let path = format!("/v1/directory/{}/hold", part(&key.to_string()));
            let released = reach.api().and_then(|api| api.change(Method::DELETE, &path, None::<&()>));
            if let Err(ApiError::Unreachable { .. }) = released {
                State::open(state_dir)?.append(FleetChange::ReleaseKey { key: key.clone() })?;
                return Ok(print(&format!("{key}: logins will continue as soon as usher is running\n")));
            }
            Ok(told(released, &format!("{key}: logins continue\n")))
        }
    }
}

/// Reads `NAME=VALUE`; no value: the attribute is removed.
fn pair(written: &str) -> Result<(String, Option<String>), UserError> {
    let pair = written.split_once('=').and_then(|(name, value)| {
        let value = value.trim();
        let is_text = |text: &str| text.len() <= ATTRIBUTE_CAP && !text.chars().any(char::is_control);
        let name = attribute_name(name).filter(|_| is_text(value))?;
        Some((name, (!value.is_empty()).then(|| value.to_owned())))
    });
    pair.ok_or_else(|| UserError::Attribute(written.to_owned()))
}

fn told(done: Result<(), ApiError>, said: &str) -> Exit {
    match done {
        Ok(()) => print(said),
        Err(error) => error.tell(),
    }
}

/// The hosts of the configuration, and those that were added at run time.
fn known_hosts(snapshot: &Snapshot) -> Result<BTreeSet<String>, StoreError> {
    let added = State::open(&snapshot.server.state_dir)?.hosts()?;
    let configured = snapshot.hosts.iter().map(|host| host.name.clone());
    Ok(configured.chain(added.into_iter().map(|host| host.name)).collect())
}

fn known_host(known: &Known<'_>, host: &str) -> Result<String, UserError> {
    let host = host.to_ascii_lowercase();
    if known.hosts.contains(&host) {
        return Ok(host);
    }
    let known: Vec<_> = known.hosts.iter().map(String::as_str).collect();
    Err(UserError::Host { host, known: known.join(", ") })
}

fn set(directory: &dyn Ledger, key: &ArchiveKey, host: &str) -> Result<Exit, UserError> {
    match directory.set(key, host, &who())? {
        Some(before) if before == host => println!("{key}: already on {host}"),
        Some(before) => println!("{key}: {host}, previously on {before}"),
        None => println!("{key}: {host}"),
    }
    Ok(Exit::Done)
}

fn get(directory: &dyn Ledger, key: &ArchiveKey) -> Result<Exit, UserError> {
    if let Some(entry) = directory.get(key)? {
        println!("{key}: {}, set {} by {}", entry.host, date(entry.set_at), printable(&entry.set_by));
        for (name, value) in &entry.attributes {
            println!("  {} = {}", printable(name), printable(value));
        }
        return Ok(Exit::Done);
    }
    match directory.look_up(key)? {
        Some(placement) => {
            println!("{key}: {}, because of the entry for {}", placement.host, placement.found_by);
            Ok(Exit::Done)
        }
        None => {
            eprintln!("usher: {key} is not on any host; to put it on one: usher user set {key} HOST");
            Ok(Exit::Failed)
        }
    }
}

fn remove(directory: &dyn Ledger, key: &ArchiveKey) -> Result<Exit, UserError> {
    match directory.remove(key, &who())? {
        Some(before) => {
            println!("{key}: removed, previously on {before}");
            Ok(Exit::Done)
        }
        None => {
            eprintln!("usher: {key} is not on any host");
            Ok(Exit::Failed)
        }
    }
}

fn export(directory: &dyn Ledger, file: &Path) -> Result<Exit, UserError> {
    let out: Box<dyn Write> = if file.as_os_str() == "-" {
        Box::new(io::stdout().lock())
    } else {
        let path = file.to_owned();
        Box::new(File::create(file).map_err(|source| UserError::File { path, source })?)
    };
    directory::export(directory, out)?;
    Ok(Exit::Done)
}
