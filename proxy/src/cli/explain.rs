//! `usher explain` and `usher reload`.

use super::api::{Reach, painted, print_json, query};
use super::table::{date, span};
use super::{Exit, complain, print, upgrade};
use crate::admin::model::{Explanation, ReloadOrder, UpgradeOrder, Upgraded};
use crate::reload::Reloaded;
use clap::Args;
use hyper::Method;
use std::fmt::Write;
use std::net::IpAddr;
use usher_wire::printable::printable_lines;

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    reach: Reach,
    /// The name as typed.
    user: String,
    /// The client's address.
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// The listener's protocol.
    #[arg(long, value_name = "P")]
    protocol: Option<String>,
    /// usher's address that the client connects to.
    #[arg(long, value_name = "ADDRESS")]
    local: Option<String>,
    /// The name that the client asks for (SNI).
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct ReloadArguments {
    #[command(flatten)]
    reach: Reach,
    /// Your address, which the access rules must not lock out; by default the one that you have come from by SSH.
    #[arg(long, value_name = "ADDRESS")]
    from: Option<IpAddr>,
    /// Even if the access rules lock you out.
    #[arg(long)]
    force: bool,
    /// If the program on the disk is another one, start that instead, and let it take over.
    #[arg(long)]
    upgrade: bool,
}

pub(super) fn explain(arguments: &Arguments) -> Exit {
    let path = format!(
        "/v1/explain{}",
        query(&[
            ("user", Some(&arguments.user)),
            ("from", arguments.from.as_deref()),
            ("protocol", arguments.protocol.as_deref()),
            ("local", arguments.local.as_deref()),
            ("server_name", arguments.server_name.as_deref()),
        ])
    );
    let service = if arguments.protocol.as_deref() == Some("https") { "http" } else { "imap" };
    let shown = arguments.reach.api().and_then(|api| {
        if arguments.json { print_json(&api, &path) } else { Ok(print(&text(&api.get(&path)?, service))) }
    });
    shown.unwrap_or_else(|error| error.tell())
}

fn text(told: &Explanation, service: &str) -> String {
    let mut text = format!("typed      {}\n", told.typed);
    let nothing = "none".to_owned();
    let _ = writeln!(text, "key        {}", told.key.as_ref().unwrap_or(&nothing));
    let _ = writeln!(text, "domain     {}", told.domain.as_ref().unwrap_or(&nothing));
    let _ = writeln!(text, "listeners  {}", told.listeners.join(", "));
    let _ = match &told.entry {
        Some(entry) => {
            let age = span(told.age_seconds.and_then(|age| u64::try_from(age).ok()).unwrap_or(0));
            writeln!(
                text,
                "entry      {} on {}, set {} ({age} ago) by {}; source {}",
                entry.key,
                entry.host,
                date(entry.set_at),
                entry.set_by,
                told.source
            )
        }
        None => writeln!(text, "entry      none; source {}", told.source),
    };
    if let Some(hold) = &told.moving {
        let _ = writeln!(text, "held       since {} by {}: {}", date(hold.since), hold.by, hold.why);
    }
    if let Some(host) = &told.host {
        let found = host.services.iter().find(|known| known.service == service);
        let state = found.map(|service| painted(&service.state)).unwrap_or_default();
        let _ = writeln!(text, "host       {}, {state}, {} sessions", host.name, host.sessions);
    }
    let _ = writeln!(text, "rule       {}", told.rule);
    for line in &told.guessing {
        let _ = writeln!(text, "guessing   {line}");
    }
    let _ = writeln!(text, "outcome    {}", told.outcome);
    text
}

pub(super) fn reload(arguments: &ReloadArguments) -> Exit {
    if arguments.upgrade {
        let order = UpgradeOrder { wait_seconds: None, if_changed: true };
        match arguments.reach.api().and_then(|api| upgrade::ask(api, &order)) {
            Ok(Upgraded { process: None, why: None }) => {}
            Ok(upgraded) => return upgrade::tell(&upgraded),
            Err(error) => return error.tell(),
        }
    }
    let order = ReloadOrder { from: arguments.from.or_else(ssh_client), force: arguments.force };
    let asked = arguments.reach.api().and_then(|api| api.send(Method::POST, "/v1/reload", Some(&order)));
    let Reloaded { applied, faults, needs_restart, warnings } = match asked {
        Ok(reloaded) => reloaded,
        Err(error) => return error.tell(),
    };
    if !applied {
        eprintln!("{}", printable_lines(faults.unwrap_or_default().trim_end()));
        eprintln!(
            "usher: not reloaded; the previous configuration stays in force (asked via {})",
            arguments.reach.shown().display()
        );
        return Exit::Config;
    }
    warnings.iter().for_each(|warning| complain(warning));
    let mut said = "reloaded\n".to_owned();
    if !needs_restart.is_empty() {
        let _ = writeln!(said, "changed, but needs a restart: {}", needs_restart.join(", "));
    }
    print(&said)
}

/// Where whoever runs this has come from by SSH.
fn ssh_client() -> Option<IpAddr> {
    let told = ["SSH_CONNECTION", "SSH_CLIENT"].iter().find_map(|name| std::env::var(name).ok())?;
    // A link-local address comes with its interface.
    told.split([' ', '%']).next()?.parse().ok()
}
