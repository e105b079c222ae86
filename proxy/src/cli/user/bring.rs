//! `usher import`.

use super::formats::Format;
use super::{Arguments, Command, user};
use crate::cli::{ConfigArgument, Exit};
use clap::Args;
use std::collections::HashMap;
use std::path::PathBuf;
use usher_backends::roster::Service;
use usher_config::Snapshot;

/// `usher import`: what other programs know of users.
#[derive(Args)]
pub(in crate::cli) struct BringArguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// How the list is written.
    format: Format,
    /// The list; `-` for standard input.
    file: PathBuf,
    /// Move users that are on another host, and leave out lines that cannot be imported.
    #[arg(long)]
    replace: bool,
    /// Change nothing, but say what would be changed.
    #[arg(long)]
    dry_run: bool,
}

pub(in crate::cli) fn bring(arguments: BringArguments) -> Exit {
    let BringArguments { config, format, file, replace, dry_run } = arguments;
    user(&Arguments { config, command: Command::Bring { format, file, replace, dry_run } })
}

/// The hosts of the configuration by the names and addresses at which they are reached.
pub(super) fn places(snapshot: &Snapshot) -> HashMap<String, Option<String>> {
    let mut places: HashMap<String, Option<String>> = HashMap::new();
    for host in &snapshot.hosts {
        let Some(endpoint) = host.services.mail(Service::Imap) else { continue };
        let place = endpoint.address.rsplit_once(':').map_or(&*endpoint.address, |(place, _)| place);
        let place = place.trim_matches(['[', ']']).to_ascii_lowercase();
        let is_new = !places.contains_key(&place);
        places.insert(place, is_new.then(|| host.name.clone()));
    }
    places
}
