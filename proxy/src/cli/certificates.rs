//! `usher certificates`.

use super::api::{Reach, print_json};
use super::table::{Table, date};
use super::{Exit, print};
use crate::admin::model::Certificates;
use clap::Args;

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    reach: Reach,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn list(arguments: &Arguments) -> Exit {
    let shown = arguments.reach.api().and_then(|api| {
        if arguments.json {
            return print_json(&api, "/v1/certificates");
        }
        let Certificates { certificates } = api.get("/v1/certificates")?;
        let mut table = Table::new(&["ordered for", "ends", "replaced", "last order", "chain"]);
        for it in certificates {
            let at = |time: Option<i64>| time.map_or_else(|| "-".to_owned(), date);
            let last = match (&it.error, it.again_at) {
                (Some(error), Some(again)) => {
                    format!("{} failed, again {}: {error}", it.failures, date(again))
                }
                _ => "-".to_owned(),
            };
            let (name, chain) = (it.name.unwrap_or_else(|| "-".to_owned()), it.chain);
            table.row(vec![
                name,
                at(it.not_after),
                at(it.replaced_at),
                last,
                chain.unwrap_or_else(|| "none yet".to_owned()),
            ]);
        }
        Ok(print(&table.to_string()))
    });
    shown.unwrap_or_else(|error| error.tell())
}
