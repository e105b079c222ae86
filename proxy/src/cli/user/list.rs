//! `usher user list`.

use super::{Exit, UserError};
use crate::admin::model::{Duplicate, Duplicates};
use crate::cli::api::Reach;
use crate::cli::print;
use crate::cli::table::{Table, date};
use clap::Args;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{self, Write};
use usher_backends::directory::{Entry, Ledger};
use usher_wire::printable::printable;

#[derive(Args)]
pub(super) struct Arguments {
    /// Only those on this host.
    #[arg(long, add = crate::cli::complete::hosts())]
    host: Option<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
    /// Only how many there are on each host.
    #[arg(long)]
    counts: bool,
}

pub(super) fn list(directory: &dyn Ledger, arguments: &Arguments) -> Result<Exit, UserError> {
    let host = arguments.host.as_ref().map(|host| host.to_ascii_lowercase());
    if arguments.counts {
        return counts(directory, host.as_deref(), arguments.json);
    }
    let mut out = io::BufWriter::new(io::stdout().lock());
    let (mut written, mut before) = (Ok(()), "[");
    directory.scan(host.as_deref(), &mut |entry| {
        // As they come: there may be millions.
        written = match arguments.json {
            true => write!(out, "{}\n{}", std::mem::replace(&mut before, ","), object(&entry)),
            false => line(&mut out, &entry),
        };
        written.is_ok()
    })?;
    written?;
    if arguments.json {
        writeln!(out, "{}\n]", if before == "[" { before } else { "" })?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

fn line(out: &mut impl Write, entry: &Entry) -> io::Result<()> {
    let (key, by) = (printable(&entry.key.to_string()).to_string(), printable(&entry.set_by).to_string());
    writeln!(out, "{key}\t{}\t{}\t{by}", entry.host, date(entry.set_at))
}

fn object(entry: &Entry) -> serde_json::Value {
    json!({
        "user": entry.key.to_string(),
        "host": entry.host,
        "set_at": entry.set_at,
        "set_by": entry.set_by,
        "attributes": entry.attributes,
    })
}

fn counts(directory: &dyn Ledger, host: Option<&str>, json: bool) -> Result<Exit, UserError> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    directory.scan(host, &mut |entry| {
        *counts.entry(entry.host).or_default() += 1;
        true
    })?;
    if json {
        return Ok(print(&format!("{}\n", json!(counts))));
    }
    let mut table = Table::new(&["host", "users"]);
    for (host, count) in counts {
        table.row(vec![host, count.to_string()]);
    }
    Ok(print(&table.to_string()))
}

/// `usher user duplicates`.
pub(super) fn duplicates(reach: &Reach) -> Exit {
    let shown = reach.api().and_then(|api| {
        let Duplicates { users } = api.get("/v1/duplicates")?;
        let lines: String =
            users.iter().map(|Duplicate { user, hosts }| format!("{user}: {}\n", hosts.join(", "))).collect();
        Ok(print(if lines.is_empty() {
            "no user is on several hosts, as far as usher has asked\n"
        } else {
            &lines
        }))
    });
    shown.unwrap_or_else(|error| error.tell())
}
