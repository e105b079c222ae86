//! `usher import`.

use super::formats::Format;
use super::{Arguments, Command, user};
use crate::cli::convert::convert;
use crate::cli::{ConfigArgument, Exit};
use clap::{Args, ValueEnum};
use std::collections::HashMap;
use std::path::PathBuf;
use usher_backends::roster::Service;
use usher_config::Snapshot;

/// What another program has.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    /// The configuration of nginx (its `mail` block), HAProxy or Dovecot: prints a first one for usher.
    Config,
    /// Users, in lines of `user,host`.
    Csv,
    /// Users, in Dovecot's passwd-file, with `host=` in its extra fields.
    PasswdFile,
    /// Users, in Perdition's popmap: `user:host:port`.
    Popmap,
    /// Users, in LDIF with `mailHost` or `zimbraMailHost`, as `slapcat` writes it.
    Ldif,
}

/// `usher import`: what other programs know of users, and how they are configured.
#[derive(Args)]
pub(in crate::cli) struct BringArguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// What is brought.
    what: What,
    /// The file; `-` for standard input.
    file: PathBuf,
    /// Move users that are on another host, and leave out lines that cannot be imported.
    #[arg(long)]
    replace: bool,
    /// Change nothing, but say what would be changed.
    #[arg(long)]
    dry_run: bool,
}

pub(in crate::cli) fn bring(arguments: BringArguments) -> Exit {
    let BringArguments { config, what, file, replace, dry_run } = arguments;
    let format = match what {
        What::Config => return convert(&file),
        What::Csv => Format::Csv,
        What::PasswdFile => Format::PasswdFile,
        What::Popmap => Format::Popmap,
        What::Ldif => Format::Ldif,
    };
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
