//! `usher status` and `usher hosts`.

use super::api::{Reach, painted, part, print_json};
use super::table::{Table, date, span};
use super::{Exit, complete, machine, print};
use crate::admin::model::{Backend, Hold, Status};
use clap::Args;
use std::collections::HashMap;
use std::fmt::Write;

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    reach: Reach,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct HostsArguments {
    #[command(flatten)]
    reach: Reach,
    /// Only those of this name.
    #[arg(add = complete::hosts())]
    name: Option<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn status(arguments: &Arguments) -> Exit {
    let shown = arguments.reach.api().and_then(|api| {
        if arguments.json {
            return print_json(&api, "/v1/status");
        }
        let status: Status = api.get("/v1/status")?;
        Ok(print(&format!("{}\n{}", headline(&status), overview(&status.backends))))
    });
    shown.unwrap_or_else(|error| error.tell())
}

/// A summary of usher in a few lines.
pub(super) fn headline(status: &Status) -> String {
    let state = if status.stopping { "stopping" } else { "serving" };
    let mut text = format!(
        "{} ({}) has been {state} for {}\n{} connections, {} sessions, {} logins held\n",
        status.name,
        status.version,
        span(status.uptime_seconds),
        status.connections,
        status.sessions,
        status.held_logins
    );
    if status.checker_suspected {
        text.push_str(
            "most hosts time out at once: the last good state is kept; check this machine's network\n",
        );
    }
    for former in &status.former {
        let left = former.drain.as_ref().map(|drain| drain.deadline_seconds - drain.passed_seconds);
        let _ = writeln!(
            text,
            "of these, {} connections and {} sessions are with the former process {} ({}), which ends within {}",
            former.connections,
            former.sessions,
            former.process,
            former.version,
            span(left.unwrap_or_default().max(0.0) as u64)
        );
    }
    for source in status.sources.iter().filter(|source| source.error.is_some()) {
        let since = source.down_since.map(|since| format!(" since {}", date(since as i64)));
        let _ = writeln!(
            text,
            "the directory's source {} is out{}: {}; former answers are used",
            source.name,
            since.unwrap_or_default(),
            source.error.as_deref().unwrap_or_default()
        );
    }
    for hold in &status.moving {
        let _ = writeln!(text, "{} is held by {}: {}", hold.key, hold.by, hold.why);
    }
    text
}

/// A line for each service.
pub(super) fn overview(backends: &[Backend]) -> String {
    overview_with(backends, None)
}

/// The same, with what each does in a second, where that is known.
pub(super) fn overview_with(backends: &[Backend], rates: Option<&HashMap<String, f64>>) -> String {
    let mut columns = vec!["host", "service", "state", "sessions"];
    columns.extend(rates.map(|_| "per second"));
    columns.push("why");
    let mut table = Table::new(&columns);
    for backend in backends {
        for service in &backend.services {
            let state = if service.state == "returning" {
                format!("{} {:.0}%", painted(&service.state), service.share * 100.0)
            } else {
                painted(&service.state)
            };
            let count = sessions(backend, service.sessions.unwrap_or(backend.sessions));
            let mut row = vec![full_name(backend), service.service.clone(), state, count];
            row.extend(rates.map(|rates| rate(rates, &backend.name)));
            row.push(why(backend, &service.service));
            table.row(row);
        }
    }
    table.to_string()
}

fn rate(rates: &HashMap<String, f64>, name: &str) -> String {
    rates.get(name).map_or_else(String::new, |rate| format!("{rate:.1}"))
}

pub(super) fn full_name(backend: &Backend) -> String {
    match &backend.array {
        Some(array) => format!("{array}/{}", backend.name),
        None => backend.name.clone(),
    }
}

/// The number of sessions of a service, and what limits them.
fn sessions(backend: &Backend, count: u32) -> String {
    match (&backend.drain, backend.max_sessions) {
        (Some(drain), _) if drain.left > 0 => {
            let eta =
                drain.estimate_seconds.map_or(String::new(), |left| format!(", {} to go", span(left as u64)));
            format!("{count}; {} of the host's {} sessions left{eta}", drain.left, drain.began_with)
        }
        (_, Some(most)) => format!("{count} (at most {most})"),
        (_, None) => count.to_string(),
    }
}

/// What holds this service: holds on the whole machine, and health's on this service alone.
fn why(backend: &Backend, service: &str) -> String {
    let holds = backend.holds.iter().filter(|hold| hold.hold != "health" || hold.kind == service);
    holds.map(hold).collect::<Vec<_>>().join("; ")
}

fn hold(hold: &Hold) -> String {
    let mut text = format!("{} {}", hold.hold, hold.kind);
    if let Some(by) = &hold.by {
        let _ = write!(text, " by {by}");
    }
    if let Some(since) = hold.since {
        let _ = write!(text, " since {}", date(since));
    }
    if let Some(why) = hold.why.as_ref().filter(|why| !why.is_empty()) {
        let _ = write!(text, ": {why}");
    }
    text
}

pub(super) fn hosts(arguments: &HostsArguments) -> Exit {
    let shown = arguments.reach.api().and_then(|api| {
        let path = arguments
            .name
            .as_ref()
            .map_or("/v1/hosts".to_owned(), |name| format!("/v1/hosts/{}", part(machine(name))));
        if arguments.json {
            return print_json(&api, &path);
        }
        let found: Vec<Backend> = api.get(&path)?;
        Ok(print(&found.iter().map(details).collect::<Vec<_>>().join("\n")))
    });
    shown.unwrap_or_else(|error| error.tell())
}

/// Everything that is known of a backend.
fn details(backend: &Backend) -> String {
    let mut text = format!("{} ({})\n", full_name(backend), backend.origin);
    let _ = writeln!(text, "  sessions: {}", sessions(backend, backend.sessions));
    for hold in &backend.holds {
        let _ = writeln!(text, "  held: {}", self::hold(hold));
    }
    for pin in &backend.fingerprints {
        let _ = writeln!(text, "  pin: {pin}");
    }
    for service in &backend.services {
        let _ = writeln!(text, "  {} at {}: {}", service.service, service.address, painted(&service.state));
        if let (Some(at), Some(took)) = (service.checked_at, service.check_seconds) {
            let result = service.fault.as_deref().unwrap_or("good");
            let _ = writeln!(text, "    checked {} in {:.1} ms: {result}", date(at), took * 1e3);
        }
        if let Some(capabilities) = &service.capabilities {
            let _ = writeln!(text, "    capabilities: {capabilities}");
        }
        if let Some(ends) = service.certificate_ends {
            let _ = writeln!(text, "    its certificate expires {}", date(ends));
        }
    }
    text
}
