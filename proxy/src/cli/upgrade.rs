//! `usher upgrade`.

use super::api::{Api, ApiError, Reach};
use super::{Exit, complain, print};
use crate::admin::model::{UpgradeOrder, Upgraded};
use clap::Args;
use hyper::{Method, StatusCode};
use std::time::Duration;

/// How long the new process may take, unless it is said.
const STARTING: Duration = Duration::from_secs(30);
/// Time for changes under way.
const CHANGES: Duration = Duration::from_secs(60);

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    reach: Reach,
    /// How long the new process may take to be ready.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    wait: Option<u64>,
}

pub(super) fn upgrade(arguments: &Arguments) -> Exit {
    let order = UpgradeOrder { wait_seconds: arguments.wait, if_changed: false };
    match arguments.reach.api().and_then(|api| ask(api, &order)) {
        Ok(upgraded) => tell(&upgraded),
        Err(error) => error.tell(),
    }
}

/// Lets another process take over.
pub(super) fn ask(api: Api, order: &UpgradeOrder) -> Result<Upgraded, ApiError> {
    // Whatever changes has to come to an end first, and two answers are waited for.
    let patience = order.wait_seconds.map_or(STARTING, Duration::from_secs) * 3 + CHANGES;
    api.waiting(patience).send_or(StatusCode::CONFLICT, Method::POST, "/v1/upgrade", Some(order))
}

/// Says what has come of it.
pub(super) fn tell(upgraded: &Upgraded) -> Exit {
    match (upgraded.process, &upgraded.why) {
        (Some(process), _) => print(&format!("process {process} has taken over\n")),
        (None, why) => {
            complain(why.as_deref().unwrap_or("nothing has been done").trim_end());
            complain("the former process goes on serving");
            Exit::Failed
        }
    }
}
