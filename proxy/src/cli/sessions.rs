//! `usher sessions` and `usher kick`.

use super::api::{Reach, print_json, query};
use super::table::{Table, span};
use super::{Exit, complete, machine, print};
use crate::admin::model::{Count, Sessions};
use clap::Args;
use hyper::Method;

#[derive(Args)]
#[group(skip)]
pub(super) struct Which {
    /// Only those of this user.
    #[arg(long)]
    user: Option<String>,
    /// Only those on this host or member.
    #[arg(long, add = complete::hosts())]
    host: Option<String>,
    /// Only the one with this id.
    #[arg(long)]
    id: Option<String>,
    /// Only those from this address or network.
    #[arg(long, value_name = "ADDRESS")]
    client: Option<String>,
    /// Only those of this protocol: `imap`, `imaps`, `https` or `tcp`.
    #[arg(long)]
    protocol: Option<String>,
}

impl Which {
    fn query(&self, limit: Option<&str>, all: bool) -> String {
        query(&[
            ("all", all.then_some("true")),
            ("user", self.user.as_deref()),
            ("host", self.host.as_deref().map(machine)),
            ("id", self.id.as_deref()),
            ("client", self.client.as_deref()),
            ("protocol", self.protocol.as_deref()),
            ("limit", limit),
        ])
    }
}

#[derive(Args)]
pub(super) struct ListArguments {
    #[command(flatten)]
    reach: Reach,
    #[command(flatten)]
    which: Which,
    /// Show at most this many.
    #[arg(long, default_value = "1000")]
    limit: usize,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct KickArguments {
    #[command(flatten)]
    reach: Reach,
    #[command(flatten)]
    which: Which,
    /// Also logins that wait for their host.
    #[arg(long)]
    all: bool,
}

pub(super) fn list(arguments: &ListArguments) -> Exit {
    let limit = arguments.limit.to_string();
    let path = format!("/v1/sessions{}", arguments.which.query(Some(&limit), false));
    let shown = arguments.reach.api().and_then(|api| {
        if arguments.json { print_json(&api, &path) } else { Ok(print(&table(&api.get(&path)?))) }
    });
    shown.unwrap_or_else(|error| error.tell())
}

fn table(found: &Sessions) -> String {
    let mut table =
        Table::new(&["id", "user", "host", "client", "protocol", "tls", "doing", "since", "quiet for"]);
    for session in &found.sessions {
        table.row(vec![
            session.id.clone(),
            session.user.clone(),
            session.host.clone().unwrap_or_default(),
            session.client.clone(),
            session.protocol.clone(),
            session.tls.clone(),
            session.doing.clone(),
            span(u64::from(session.seconds)),
            span(u64::from(session.idle_seconds)),
        ]);
    }
    let more = found.matching - found.sessions.len();
    let rest = if more > 0 { format!("and {more} more; see --limit\n") } else { String::new() };
    format!("{table}{rest}")
}

pub(super) fn kick(arguments: &KickArguments) -> Exit {
    let path = format!("/v1/sessions{}", arguments.which.query(None, arguments.all));
    match arguments.reach.api().and_then(|api| api.send(Method::DELETE, &path, None::<&()>)) {
        Ok(Count { count }) => print(&format!("{count} sessions told to end\n")),
        Err(error) => error.tell(),
    }
}
