//! `usher drain`, `usher stop` and `usher start`.

use super::api::{Api, ApiError, Reach, part};
use super::table::span;
use super::time::time;
use super::{Exit, complete, machine, print};
use crate::admin::model::{Drain, Reason, Started};
use clap::Args;
use hyper::Method;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;

/// Interval at which the progress is checked.
const LOOK: Duration = Duration::from_millis(200);

#[derive(Args)]
pub(super) struct StopArguments {
    #[command(flatten)]
    reach: Reach,
    /// The host or member.
    #[arg(add = complete::hosts())]
    host: String,
    /// The reason, for others to see.
    #[arg(long, default_value = "")]
    why: String,
    /// Wait until no session is left, and show the progress.
    #[arg(long)]
    wait: bool,
}

#[derive(Args)]
pub(super) struct DrainArguments {
    #[command(flatten)]
    stop: StopArguments,
    /// Time after which the remaining sessions are ended, such as 10m; by default drain_deadline.
    #[arg(long, value_name = "TIME", value_parser = time)]
    deadline: Option<Duration>,
}

#[derive(Args)]
pub(super) struct StartArguments {
    #[command(flatten)]
    reach: Reach,
    /// The host or member.
    #[arg(add = complete::hosts())]
    host: String,
}

pub(super) fn drain(arguments: &DrainArguments) -> Exit {
    hold(&arguments.stop, "drain", arguments.deadline)
}

pub(super) fn stop(arguments: &StopArguments) -> Exit {
    hold(arguments, "stop", None)
}

fn hold(arguments: &StopArguments, verb: &'static str, deadline: Option<Duration>) -> Exit {
    let deadline_seconds = deadline.map(|deadline| deadline.as_secs());
    let reason = Reason { why: arguments.why.clone(), deadline_seconds };
    let path = format!("/v1/hosts/{}/{verb}", part(machine(&arguments.host)));
    let done = arguments.reach.api().and_then(|api| {
        api.change(Method::POST, &path, Some(&reason))?;
        if arguments.wait { wait(&api, machine(&arguments.host)) } else { Ok(None) }
    });
    match done {
        Ok(None) => print(&format!("{}: {verb} started; usher status shows its progress\n", arguments.host)),
        Ok(Some(drain)) if drain.left == 0 => {
            let took = span(drain.passed_seconds as u64);
            print(&format!("{}: {} sessions ended in {took}\n", arguments.host, drain.began_with))
        }
        Ok(Some(drain)) => {
            eprintln!("usher: {}: {}, {} sessions are left", arguments.host, drain.phase, drain.left);
            Exit::Failed
        }
        Err(error) => error.tell(),
    }
}

fn wait(api: &Api, host: &str) -> Result<Option<Drain>, ApiError> {
    let bar = progress_bar();
    loop {
        let found = api.backends(host)?;
        // Somebody has started it again, and its drain is gone.
        let Some(drain) = found.into_iter().find_map(|backend| backend.drain) else {
            bar.finish_and_clear();
            return Err(ApiError::Failed(format!("{host} has been started again")));
        };
        bar.set_length(u64::from(drain.began_with));
        bar.set_position(u64::from(drain.began_with.saturating_sub(drain.left)));
        let estimate = drain.estimate_seconds.map_or_else(|| "?".to_owned(), |left| span(left as u64));
        bar.set_message(format!("{} left, about {estimate}", drain.left));
        if matches!(drain.phase.as_str(), "done" | "cancelled") {
            bar.finish_and_clear();
            return Ok(Some(drain));
        }
        std::thread::sleep(LOOK);
    }
}

/// A bar on standard error where that is a terminal; nothing otherwise.
fn progress_bar() -> ProgressBar {
    let shown = std::io::stderr().is_terminal();
    let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(0), target);
    let style = ProgressStyle::with_template("[{wide_bar}] {pos}/{len} {msg}");
    style.map_or(bar.clone(), |style| bar.with_style(style))
}

pub(super) fn start(arguments: &StartArguments) -> Exit {
    let host = machine(&arguments.host);
    let path = format!("/v1/hosts/{}/start", part(host));
    match arguments.reach.api().and_then(|api| api.send(Method::POST, &path, None::<&()>)) {
        Ok(Started { still_held_by }) if still_held_by.is_empty() => print(&format!("{host}: started\n")),
        Ok(Started { still_held_by }) => {
            print(&format!("{host}: started; still held by {}\n", still_held_by.join(" and ")))
        }
        Err(error) => error.tell(),
    }
}
