//! `usher top`: the fleet as it is, every second.

use super::api::{Api, ApiError, Reach};
use super::status::{headline, overview};
use super::{Exit, print};
use crate::admin::model::Status;
use clap::Args;
use console::Term;
use std::time::{Duration, Instant};

/// Interval between two refreshes.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    reach: Reach,
}

/// What is counted, to show its rate of growth.
#[derive(Clone, Copy)]
struct Counted {
    at: Instant,
    logins: f64,
    octets: f64,
}

pub(super) fn top(arguments: &Arguments) -> Exit {
    match arguments.reach.api().and_then(|api| watch(&api)) {
        Ok(exit) => exit,
        Err(error) => error.tell(),
    }
}

fn watch(api: &Api) -> Result<Exit, ApiError> {
    let term = Term::stdout();
    let mut last = None;
    loop {
        let text = picture(api, &mut last)?;
        if !term.is_term() {
            return Ok(print(&text));
        }
        // Written in one piece, so that nothing flickers. No terminal settings are changed that Ctrl-C would have to
        // restore.
        let _ = term.clear_screen();
        let _ = term.write_str(&format!("{text}\nCtrl-C: quit\n"));
        std::thread::sleep(LOOK);
    }
}

fn picture(api: &Api, last: &mut Option<Counted>) -> Result<String, ApiError> {
    let status: Status = api.get("/v1/status")?;
    let page = api.text("/metrics")?;
    let now = Counted {
        at: Instant::now(),
        logins: sum(&page, "usher_logins_total{", "result=\"ok\""),
        octets: sum(&page, "usher_bytes_total{", ""),
    };
    let rates = last.replace(now).map_or_else(String::new, |before| {
        let seconds = now.at.duration_since(before.at).as_secs_f64().max(0.001);
        let logins = (now.logins - before.logins) / seconds;
        let mebibytes = (now.octets - before.octets) / seconds / 1_048_576.0;
        format!("{logins:.1} logins/s, {mebibytes:.1} MiB/s\n")
    });
    Ok(format!("{}{rates}\n{}", headline(&status), overview(&status.backends)))
}

/// The sum of all samples whose line begins with `name` and holds `label`.
fn sum(page: &str, name: &str, label: &str) -> f64 {
    let lines = page.lines().filter(|line| line.starts_with(name) && line.contains(label));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}
