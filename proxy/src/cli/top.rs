//! `usher top`: the fleet as it is, every second.

use super::api::{Api, ApiError, Reach};
use super::status::{full_name, headline, overview, overview_with};
use super::{Exit, print};
use crate::admin::model::{Backend, Status};
use clap::{Args, ValueEnum};
use console::{Key, Term, measure_text_width, truncate_str};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Interval between two refreshes.
const LOOK: Duration = Duration::from_secs(1);
const KEYS: &str =
    "order by n name, s sessions, p per second, t trouble; r reverse; up, down, home: scroll; q quit";

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    reach: Reach,
    /// What comes first.
    #[arg(long, value_enum, default_value_t = Order::Name)]
    sort: Order,
    /// The other way round.
    #[arg(long)]
    reverse: bool,
}

/// In which order hosts are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Order {
    /// By name.
    Name,
    /// Those with most sessions first.
    Sessions,
    /// Those with most logins and requests a second first.
    PerSecond,
    /// Those that take nobody new first.
    Trouble,
}

/// What is counted, to show its rate of growth.
struct Counted {
    at: Instant,
    logins: f64,
    requests: f64,
    octets: f64,
    of_hosts: HashMap<String, f64>,
}

/// What somebody looks at.
struct View {
    order: Order,
    is_reversed: bool,
    /// Lines that have been scrolled past.
    from: usize,
}

pub(super) fn top(arguments: &Arguments) -> Exit {
    let view = View { order: arguments.sort, is_reversed: arguments.reverse, from: 0 };
    match arguments.reach.api().and_then(|api| watch(&api, view)) {
        Ok(exit) => exit,
        Err(error) => error.tell(),
    }
}

/// The terminal as it was, which it is again however this ends: a thread that waits for a key has changed it.
struct Restored(Option<Termios>);

impl Restored {
    fn new() -> Self {
        Self(tcgetattr(std::io::stdin()).ok())
    }
}

impl Drop for Restored {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        }
    }
}

fn watch(api: &Api, mut view: View) -> Result<Exit, ApiError> {
    let term = Term::stdout();
    let _restored = Restored::new();
    let mut status: Status = api.get("/v1/status")?;
    if !term.is_term() {
        view.sort(&mut status.backends, &HashMap::new());
        return Ok(print(&format!("{}\n{}", headline(&status), overview(&status.backends))));
    }
    let keys = keys();
    let mut last = None;
    let mut rates = HashMap::new();
    loop {
        let page = api.text("/metrics")?;
        let told = compare(&page, &mut last, &mut rates);
        status = api.get("/v1/status")?;
        let next = Instant::now() + LOOK;
        // A key is answered at once, from what is known.
        loop {
            view.sort(&mut status.backends, &rates);
            let lines = overview_with(&status.backends, Some(&rates));
            let (rows, columns) = term.size();
            let above = format!("{}{told}\n", headline(&status));
            // The head of the table, the keys, and the line that the cursor is in.
            let around = height(&above, columns) + height(KEYS, columns) + 2;
            let shown = view.window(&lines, usize::from(rows).saturating_sub(around), columns);
            // Written in one piece, so that nothing flickers.
            let _ = term.clear_screen();
            let _ = term.write_str(&format!("{above}{shown}\n{KEYS}\n"));
            match keys.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(Key::Char('q') | Key::Escape) => return Ok(Exit::Done),
                Ok(key) => view.press(&key),
                Err(RecvTimeoutError::Timeout) => break,
                // Nobody types there.
                Err(RecvTimeoutError::Disconnected) => {
                    std::thread::sleep(next.saturating_duration_since(Instant::now()));
                    break;
                }
            }
        }
    }
}

/// How many lines of a terminal of so many columns a text takes.
fn height(text: &str, columns: u16) -> usize {
    let width = usize::from(columns).max(1);
    text.lines().map(|line| measure_text_width(line).div_ceil(width).max(1)).sum()
}

/// The keys that are pressed, from a thread that waits for them.
fn keys() -> Receiver<Key> {
    let (sender, keys) = channel();
    std::thread::spawn(move || {
        let term = Term::stdout();
        while let Ok(key) = term.read_key() {
            let is_last = matches!(key, Key::Char('q') | Key::Escape);
            if sender.send(key).is_err() || is_last {
                return;
            }
        }
    });
    keys
}

impl View {
    fn press(&mut self, key: &Key) {
        let order = match key {
            Key::Char('n') => Order::Name,
            Key::Char('s') => Order::Sessions,
            Key::Char('p') => Order::PerSecond,
            Key::Char('t') => Order::Trouble,
            Key::Char('r') => {
                self.is_reversed = !self.is_reversed;
                return;
            }
            Key::ArrowDown => return self.from += 1,
            Key::ArrowUp => return self.from = self.from.saturating_sub(1),
            Key::Home => return self.from = 0,
            _ => return,
        };
        (self.order, self.from) = (order, 0);
    }

    fn sort(&self, backends: &mut [Backend], rates: &HashMap<String, f64>) {
        let name = full_name;
        match self.order {
            Order::Name => backends.sort_by_key(name),
            Order::Sessions => backends.sort_by_key(|one| (Reverse(one.sessions), name(one))),
            Order::PerSecond => backends.sort_by(|one, other| {
                let rate = |backend: &Backend| rates.get(&backend.name).copied().unwrap_or_default();
                rate(other).total_cmp(&rate(one)).then_with(|| name(one).cmp(&name(other)))
            }),
            Order::Trouble => backends.sort_by_key(|one| (is_well(one), name(one))),
        }
        if self.is_reversed {
            backends.reverse();
        }
    }

    /// As many of the `lines` as there is `room` for, under their head; each is cut to so many columns.
    fn window(&mut self, lines: &str, room: usize, columns: u16) -> String {
        let cut = |line: &str| truncate_str(line, usize::from(columns), "…").into_owned();
        let (head, rest) = lines.split_once('\n').unwrap_or((lines, ""));
        let rest: Vec<_> = rest.lines().collect();
        let room = room.max(1);
        self.from = self.from.min(rest.len().saturating_sub(room));
        let shown = rest.iter().skip(self.from).take(room);
        std::iter::once(&head).chain(shown).map(|line| cut(line)).collect::<Vec<_>>().join("\n")
    }
}

/// Whether it takes everybody new.
fn is_well(backend: &Backend) -> bool {
    backend.holds.is_empty() && backend.services.iter().all(|service| service.state == "up")
}

/// What has grown since the last time: all in one line, and each host's.
fn compare(page: &str, last: &mut Option<Counted>, rates: &mut HashMap<String, f64>) -> String {
    let now = Counted {
        at: Instant::now(),
        logins: sum(page, "usher_logins_total{", "result=\"ok\""),
        requests: sum(page, "usher_http_requests_total{", ""),
        octets: sum(page, "usher_bytes_total{", ""),
        of_hosts: of_hosts(page),
    };
    let Some(before) = last.take() else {
        *last = Some(now);
        return String::new();
    };
    let seconds = now.at.duration_since(before.at).as_secs_f64().max(0.001);
    *rates = now
        .of_hosts
        .iter()
        .map(|(host, count)| {
            let former = before.of_hosts.get(host).copied().unwrap_or_default();
            (host.clone(), (count - former).max(0.0) / seconds)
        })
        .collect();
    let logins = (now.logins - before.logins) / seconds;
    let requests = (now.requests - before.requests) / seconds;
    let mebibytes = (now.octets - before.octets) / seconds / 1_048_576.0;
    *last = Some(now);
    format!("{logins:.1} logins/s, {requests:.1} requests/s, {mebibytes:.1} MiB/s\n")
}

/// The sum of all samples whose line begins with `name` and holds `label`.
fn sum(page: &str, name: &str, label: &str) -> f64 {
    let lines = page.lines().filter(|line| line.starts_with(name) && line.contains(label));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

/// Logins and requests that each host has had.
fn of_hosts(page: &str) -> HashMap<String, f64> {
    const COUNTS: [&str; 2] = [
        "usher_host_login_duration_seconds_count{host=\"",
        "usher_host_request_duration_seconds_count{host=\"",
    ];
    let mut counts = HashMap::new();
    for line in page.lines() {
        let Some(rest) = COUNTS.iter().find_map(|name| line.strip_prefix(name)) else { continue };
        if let Some((host, count)) = rest.split_once("\"} ") {
            *counts.entry(host.to_owned()).or_default() += count.parse::<f64>().unwrap_or_default();
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_shows_what_has_room() {
        let mut view = View { order: Order::Name, is_reversed: false, from: 0 };
        let lines = "head\none\ntwo\nthree\n";
        assert_eq!(view.window(lines, 2, 80), "head\none\ntwo");
        view.press(&Key::ArrowDown);
        view.press(&Key::ArrowDown);
        assert_eq!(view.window(lines, 2, 80), "head\ntwo\nthree");
        assert_eq!(view.window(lines, 0, 3), "he…\ntwo");
        assert_eq!(height("one two\n\nthree", 4), 2 + 1 + 2);
        view.press(&Key::Char('s'));
        assert_eq!(view.window(lines, 100, 80), "head\none\ntwo\nthree");
        assert_eq!(view.order, Order::Sessions);
    }

    #[test]
    fn rates_are_what_has_grown() {
        let page = |count: u32| {
            format!(
                "usher_host_login_duration_seconds_count{{host=\"ih1\"}} {count}\n\
                 usher_host_request_duration_seconds_count{{host=\"ih1\"}} 5\n"
            )
        };
        let (mut last, mut rates) = (None, HashMap::new());
        assert_eq!(compare(&page(5), &mut last, &mut rates), "");
        assert!(rates.is_empty());
        assert!(compare(&page(15), &mut last, &mut rates).contains("logins/s"));
        assert!(rates["ih1"] > 0.0);
    }
}
