//! `usher rules`: what the access rules are, what they say of a login, and what other rules would have said of the logins
//! of the last day.

use super::api::{ApiError, Reach, print_json};
use super::table::{Table, date};
use super::{Exit, print};
use crate::admin::model::{ReplayedLogin, RuleReplay, RuleReplayed, RuleTest, RuleTested, Rules, ShownRule};
use clap::{Args, Subcommand};
use hyper::Method;
use std::fmt::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    reach: Reach,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the rules in order, and how often each has denied something since it was loaded.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Say what the rules would do with a login, and which of them match it; nobody is logged in.
    Test(TestArguments),
    /// Say who of those who have logged in lately would be refused by the rules of another file, and who let in.
    Replay {
        /// The configuration with these rules.
        next: PathBuf,
        /// At most so many logins are listed of each.
        #[arg(long, default_value_t = 20)]
        limit: usize,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
struct TestArguments {
    /// The name as typed; without it, a client that names nobody.
    #[arg(long)]
    user: Option<String>,
    /// The client's address.
    #[arg(long)]
    address: IpAddr,
    /// The client's port.
    #[arg(long)]
    port: Option<u16>,
    /// What is spoken: imap, imaps, https or tcp.
    #[arg(long, default_value = "imaps")]
    protocol: String,
    /// How the client logs in, or where its request names the user; by default plain, and basic for https.
    #[arg(long)]
    mechanism: Option<String>,
    /// The client shows a certificate that is trusted.
    #[arg(long)]
    certificate: bool,
    /// When, in seconds since 1970; by default now.
    #[arg(long, value_name = "SECONDS")]
    at: Option<i64>,
    /// usher's address that the client connects to.
    #[arg(long)]
    local: Option<IpAddr>,
    /// The name that the client asks for (SNI).
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// Ask the rules of this file instead of those in force.
    #[arg(long, value_name = "FILE")]
    next: Option<PathBuf>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn rules(arguments: &Arguments) -> Exit {
    let reach = &arguments.reach;
    let done = match &arguments.command {
        Command::List { json } => list(reach, *json),
        Command::Test(login) => test(reach, login),
        Command::Replay { next, limit, json } => replay(reach, next, *limit, *json),
    };
    done.unwrap_or_else(|error| error.tell())
}

fn list(reach: &Reach, json: bool) -> Result<Exit, ApiError> {
    let api = reach.api()?;
    if json {
        return print_json(&api, "/v1/rules");
    }
    let Rules { rules } = api.get("/v1/rules")?;
    if rules.is_empty() {
        return Ok(print("no access rules: everybody may log in\n"));
    }
    let mut text = String::new();
    for rule in &rules {
        let disabled = if rule.enabled { "" } else { ", disabled" };
        let live = if rule.apply_to_live { ", applies to live sessions" } else { "" };
        let denied = if rule.action == "deny" { format!(", {} denied", rule.denied) } else { String::new() };
        let _ = writeln!(text, "{}{disabled}{live}{denied}", titled(rule));
        for line in rule.conditions.iter().chain(&rule.exceptions) {
            let _ = writeln!(text, "    {line}");
        }
    }
    Ok(print(&text))
}

fn titled(rule: &ShownRule) -> String {
    format!("{}. {} \"{}\"", rule.place, rule.action, rule.name)
}

fn test(reach: &Reach, login: &TestArguments) -> Result<Exit, ApiError> {
    let next = login.next.as_deref().map(read).transpose()?;
    let asked = RuleTest {
        user: login.user.clone(),
        address: login.address,
        port: login.port,
        protocol: login.protocol.clone(),
        mechanism: login.mechanism.clone(),
        certificate: login.certificate,
        at: login.at,
        local: login.local,
        server_name: login.server_name.clone(),
        next,
        file: login.next.as_ref().map(|file| file.display().to_string()),
    };
    let api = reach.api()?;
    if login.json {
        return api.print_sent("/v1/rules/test", &asked);
    }
    let told: RuleTested = api.send_and_show(Method::POST, "/v1/rules/test", Some(&asked))?;
    let mut text = format!("key        {}\n", told.key.as_deref().unwrap_or("none"));
    for rule in &told.matching {
        let _ = writeln!(text, "matches    {}", titled(rule));
    }
    let by = told.by.as_ref().map_or_else(|| "no rule matches".to_owned(), |by| format!("by \"{by}\""));
    let by = if told.verdict == "allow" && !told.matching.is_empty() { "by the first of these" } else { &by };
    let _ = writeln!(text, "verdict    {}, {by}", told.verdict);
    let _ = writeln!(text, "client     {}", told.told);
    Ok(print(&text))
}

fn replay(reach: &Reach, next: &Path, limit: usize, json: bool) -> Result<Exit, ApiError> {
    let asked = RuleReplay { next: read(next)?, file: Some(next.display().to_string()), limit: Some(limit) };
    let api = reach.api()?;
    if json {
        return api.print_sent("/v1/rules/replay", &asked);
    }
    let told: RuleReplayed = api.send_and_show(Method::POST, "/v1/rules/replay", Some(&asked))?;
    let mut text = format!("{} logins are remembered\n", told.logins);
    for (what, those) in [("refused", &told.refused), ("let in", &told.admitted)] {
        let _ = writeln!(text, "{} would be {what}", those.count);
        for (rule, count) in &those.by_rule {
            let _ = writeln!(text, "    {count} by \"{rule}\"");
        }
        let mut table = Table::new(&["user", "address", "protocol", "mechanism", "times", "last", "rule"]);
        for login in &those.logins {
            let ReplayedLogin { user, client, protocol, mechanism, last, count, rule } = login.clone();
            table.row(vec![user, client, protocol, mechanism, count.to_string(), date(last), rule]);
        }
        if !those.logins.is_empty() {
            let _ = write!(text, "{table}");
        }
    }
    if told.unsure > 0 {
        let _ =
            writeln!(text, "{} cannot be decided: only digests of their names are remembered", told.unsure);
    }
    Ok(print(&text))
}

/// The text of a configuration that is not in force.
pub(super) fn read(path: &Path) -> Result<String, ApiError> {
    std::fs::read_to_string(path).map_err(|source| ApiError::File { path: path.to_owned(), source })
}
