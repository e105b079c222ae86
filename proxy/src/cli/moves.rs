//! `usher move`: archives that have gone, or go, to another host.

use super::api::{Api, ApiError, Reach, part};
use super::{Exit, complain, complete, print};
use crate::admin::model::{BulkMove, BulkMoveOrder, MoveOrder, MoveState, MoveTest, Moves};
use clap::{Args, Subcommand};
use hyper::Method;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Interval at which whoever runs a command says that they are still there.
const RENEW: Duration = Duration::from_secs(5);
/// Interval at which progress is looked at.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Arguments {
    #[command(flatten)]
    reach: Reach,
    #[command(subcommand)]
    one: Option<One>,
    /// Move everybody from this host.
    #[arg(long, value_name = "HOST", required = true, add = complete::hosts())]
    from: Option<String>,
    /// To this host.
    #[arg(long, value_name = "HOST", required = true, add = complete::hosts())]
    to: Option<String>,
    /// Only keys that match, with `*` for any text.
    #[arg(long = "match", value_name = "PATTERN")]
    matching: Option<String>,
    /// Keys per second.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Wait until all are moved, and show progress.
    #[arg(long)]
    wait: bool,
    /// Run this command for each key while its logins wait, with USHER_KEY, USHER_FROM and USHER_TO set; if it fails, the
    /// move of the key is undone.
    #[arg(long, value_name = "COMMAND")]
    run: Option<String>,
}

/// What is moved.
#[derive(Subcommand)]
enum One {
    /// A user, such as anna@example.com.
    User(OneArguments),
    /// A tenant.
    Tenant(OneArguments),
    /// All users of a domain that have no entry of their own.
    Domain(OneArguments),
}

#[derive(Args)]
struct OneArguments {
    /// Its name.
    key: String,
    /// The host that gets it.
    #[arg(add = complete::hosts())]
    host: String,
    /// Wait until it is done; a move of one key always is.
    #[arg(long)]
    wait: bool,
    /// Somebody who must be able to log in there first.
    #[arg(long, value_name = "USER", requires = "password_file")]
    check_login: Option<String>,
    /// The file with their password; `-` for standard input.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Run this command while the logins wait, with USHER_KEY, USHER_FROM and USHER_TO set; if it fails, the move is
    /// undone.
    #[arg(long, value_name = "COMMAND")]
    run: Option<String>,
}

pub(super) fn moves(arguments: &Arguments) -> Exit {
    let moved = arguments.reach.api().and_then(|api| match &arguments.one {
        Some(One::User(one)) => move_one(&api, &one.key, one),
        Some(One::Tenant(one)) => move_one(&api, &format!("tenant:{}", one.key), one),
        Some(One::Domain(one)) => move_one(&api, &format!("@{}", one.key.trim_start_matches('@')), one),
        None => move_many(&api, arguments),
    });
    moved.unwrap_or_else(|error| error.tell())
}

fn move_one(api: &Api, key: &str, one: &OneArguments) -> Result<Exit, ApiError> {
    let test = match (&one.check_login, &one.password_file) {
        (Some(user), Some(file)) => {
            Some(MoveTest { user: user.clone(), password: password(file)?.to_string() })
        }
        _ => None,
    };
    let moved = match &one.run {
        Some(command) => prepared(api, key, &one.host, command, test)?,
        None => {
            let order = MoveOrder { to: one.host.clone(), prepare: false, test };
            api.send_and_show(Method::POST, &format!("/v1/moves/{}", part(key)), Some(&order))?
        }
    };
    Ok(print(&format!("{}\n", sentence(&moved))))
}

fn sentence(moved: &MoveState) -> String {
    let MoveState { key, from, to, ended_sessions, .. } = moved;
    format!("{key}: moved from {from} to {to}; {ended_sessions} sessions ended")
}

/// Moves a key, and runs a command while its logins wait.
fn prepared(
    api: &Api,
    key: &str,
    to: &str,
    command: &str,
    test: Option<MoveTest>,
) -> Result<MoveState, ApiError> {
    let path = format!("/v1/moves/{}", part(key));
    let order = MoveOrder { to: to.to_owned(), prepare: true, test: None };
    let begun: MoveState = api.send_and_show(Method::POST, &path, Some(&order))?;
    let run = run(api, &path, command, &begun);
    if let Err(why) = run {
        let undone = api.send::<MoveState>(Method::DELETE, &path, None::<&()>);
        undone?;
        return Err(ApiError::Undone(format!("{}: undone, because {why}", begun.key)));
    }
    api.send_and_show(Method::POST, &format!("{path}/finish"), Some(&test.unwrap_or_default()))
}

/// Runs a command, and tells usher all the while that somebody is there.
fn run(api: &Api, path: &str, command: &str, begun: &MoveState) -> Result<(), String> {
    let mut child = Process::new("sh")
        .args(["-c", command])
        .env("USHER_KEY", &begun.key)
        .env("USHER_FROM", &begun.from)
        .env("USHER_TO", &begun.to)
        .spawn()
        .map_err(|error| format!("the command cannot be run: {error}"))?;
    let mut renewed = Instant::now();
    loop {
        if let Some(status) = ended(&mut child)? {
            return if status.success() { Ok(()) } else { Err(format!("the command failed: {status}")) };
        }
        if renewed.elapsed() >= RENEW {
            renewed = Instant::now();
            if let Err(error) = api.change(Method::POST, &format!("{path}/renew"), None::<&()>) {
                let _ = child.kill();
                return Err(error.to_string());
            }
        }
        std::thread::sleep(LOOK);
    }
}

fn ended(child: &mut Child) -> Result<Option<std::process::ExitStatus>, String> {
    child.try_wait().map_err(|error| format!("the command cannot be waited for: {error}"))
}

fn password(file: &Path) -> Result<Zeroizing<String>, ApiError> {
    let failed = |source| ApiError::File { path: file.to_owned(), source };
    let text = match file.as_os_str() == "-" {
        true => std::io::read_to_string(std::io::stdin()).map_err(failed)?,
        false => std::fs::read_to_string(file).map_err(failed)?,
    };
    let text = Zeroizing::new(text);
    Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn move_many(api: &Api, arguments: &Arguments) -> Result<Exit, ApiError> {
    let Arguments { from: Some(from), to: Some(to), .. } = arguments else {
        return Err(ApiError::WrongUse("name --from and --to".to_owned()));
    };
    if let Some(command) = &arguments.run {
        return move_each(api, from, to, command, arguments);
    }
    let (matching, rate) = (arguments.matching.clone(), Some(arguments.rate));
    let order = BulkMoveOrder { from: from.clone(), to: to.clone(), matching, rate, only_list: false };
    let begun: BulkMove = api.send_and_show(Method::POST, "/v1/moves", Some(&order))?;
    if !arguments.wait {
        return Ok(print(&format!("{} keys are being moved from {from} to {to}\n", begun.total)));
    }
    let bar = progress_bar(begun.total);
    loop {
        let Some(bulk) = api.get::<Moves>("/v1/moves")?.bulk else { continue };
        bar.set_position((bulk.moved + bulk.failed) as u64);
        if bulk.is_over {
            bar.finish_and_clear();
            return Ok(summed_up(&bulk));
        }
        std::thread::sleep(LOOK);
    }
}

fn summed_up(bulk: &BulkMove) -> Exit {
    bulk.failures.iter().for_each(|failure| complain(failure));
    let (left, done) =
        (bulk.total - bulk.moved - bulk.failed, if bulk.failed > 0 { Exit::Failed } else { Exit::Done });
    let said = print(&format!(
        "moved {} of {} keys from {} to {}; {} could not be moved, {left} were left\n",
        bulk.moved, bulk.total, bulk.from, bulk.to, bulk.failed
    ));
    if said == Exit::Done { done } else { said }
}

/// Moves keys one after another, and runs a command for each.
fn move_each(
    api: &Api,
    from: &str,
    to: &str,
    command: &str,
    arguments: &Arguments,
) -> Result<Exit, ApiError> {
    let (matching, only_list) = (arguments.matching.clone(), true);
    let order = BulkMoveOrder { from: from.to_owned(), to: to.to_owned(), matching, rate: None, only_list };
    let BulkMove { keys, .. } = api.send(Method::POST, "/v1/moves", Some(&order))?;
    let bar = progress_bar(keys.len());
    let pause = Duration::from_secs(1) / arguments.rate;
    let (from, to, total) = (from.to_owned(), to.to_owned(), keys.len());
    let mut bulk = BulkMove { from, to: to.clone(), total, is_over: true, ..BulkMove::default() };
    for key in keys {
        let begun = Instant::now();
        match prepared(api, &key, &to, command, None) {
            Ok(_) => bulk.moved += 1,
            Err(error @ ApiError::Unreachable { .. }) => return Err(error),
            Err(error) => {
                bulk.failed += 1;
                bar.suspend(|| complain(&error.to_string()));
            }
        }
        bar.inc(1);
        std::thread::sleep(pause.saturating_sub(begun.elapsed()));
    }
    bar.finish_and_clear();
    Ok(summed_up(&bulk))
}

/// A bar on standard error where that is a terminal; nothing otherwise.
fn progress_bar(total: usize) -> ProgressBar {
    let is_shown = std::io::stderr().is_terminal();
    let target = if is_shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template("moving [{wide_bar}] {pos}/{len} {eta}");
    let bar = ProgressBar::with_draw_target(Some(total as u64), target);
    style.map_or(bar.clone(), |style| bar.with_style(style))
}
