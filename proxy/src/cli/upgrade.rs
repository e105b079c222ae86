//! `usher upgrade`.

use super::api::{Api, ApiError, Reach};
use super::{Exit, complain, print};
use crate::admin::model::{UpgradeOrder, Upgraded};
use clap::Args;
use hyper::{Method, StatusCode};

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
    match arguments.reach.api().and_then(|api| ask(&api, &order)) {
        Ok(upgraded) => tell(&upgraded),
        Err(error) => error.tell(),
    }
}

/// Lets another process take over.
pub(super) fn ask(api: &Api, order: &UpgradeOrder) -> Result<Upgraded, ApiError> {
    api.send_or(StatusCode::CONFLICT, Method::POST, "/v1/upgrade", Some(order))
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
