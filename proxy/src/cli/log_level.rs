//! `usher log-level`.

use super::api::{ApiError, Reach};
use super::time::time;
use super::{Exit, complete, print};
use crate::admin::model::{LogLevel, LogLevelOrder};
use clap::{Args, ValueEnum};
use hyper::Method;
use std::net::IpAddr;
use std::time::Duration;

/// What the API is asked at.
const PATH: &str = "/v1/log-level";

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    reach: Reach,
    /// What to log; without it, what is logged more than usually is shown.
    level: Option<Level>,
    /// For how long, such as 10m; at most 24h.
    #[arg(long = "for", value_name = "TIME", default_value = "10m", value_parser = time)]
    lasts: Duration,
    /// Only the way of this user.
    #[arg(long)]
    user: Option<String>,
    /// Only of clients at this address.
    #[arg(long, value_name = "ADDRESS")]
    client: Option<IpAddr>,
    /// Only what is about this host.
    #[arg(long, add = complete::hosts())]
    host: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Level {
    /// What is usual.
    Usual,
    /// Each step of each login and request.
    Debug,
    /// Everything.
    Trace,
}

pub(super) fn log_level(arguments: &Arguments) -> Exit {
    ask(arguments).unwrap_or_else(|error| error.tell())
}

fn ask(arguments: &Arguments) -> Result<Exit, ApiError> {
    let api = arguments.reach.api()?;
    let level = match arguments.level {
        None => return Ok(print(&told(&api.get(PATH)?))),
        Some(Level::Usual) => {
            api.change(Method::DELETE, PATH, None::<&()>)?;
            return Ok(print("the log is as usual\n"));
        }
        Some(Level::Debug) => "debug",
        Some(Level::Trace) => "trace",
    };
    let order = LogLevelOrder {
        level: level.to_owned(),
        seconds: arguments.lasts.as_secs(),
        user: arguments.user.clone(),
        client: arguments.client,
        host: arguments.host.clone(),
    };
    api.change(Method::POST, PATH, Some(&order))?;
    Ok(print(&told(&api.get(PATH)?)))
}

fn told(shown: &LogLevel) -> String {
    let Some(level) = &shown.level else { return "the log is as usual\n".to_owned() };
    let of = [
        shown.user.as_ref().map(|user| format!(" of the user {user}")),
        shown.client.map(|client| format!(" of clients at {client}")),
        shown.host.as_ref().map(|host| format!(" of the host {host}")),
    ];
    let of: String = of.into_iter().flatten().collect();
    format!("{level}{of} for {} s; it ends sooner with `usher log-level usual`\n", shown.seconds)
}
