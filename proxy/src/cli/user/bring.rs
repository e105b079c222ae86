//! `usher import`.

use super::asked::{Access, Asked, ask};
use super::formats::Format;
use super::{Arguments, Command, user};
use crate::cli::convert::convert;
use crate::cli::directory::runtime;
use crate::cli::{ConfigArgument, Exit, complain};
use clap::{Args, ValueEnum};
use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
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
    /// Users, in rows of PostgreSQL that `--query` asks for, such as those of Dovecot's or Perdition's tables. Instead of a file:
    /// postgresql://HOST/DATABASE.
    Postgres,
    /// Users, about each of whom the service is asked that nginx asks by `auth_http`. Instead of a file: http://HOST/auth.
    AuthHttp,
    /// Tenants, asked for at the management server of MailStore Service Provider Edition. Instead of a file: https://HOST:8474.
    Mailstore,
}

/// `usher import`: what other programs know of users, and how they are configured.
#[derive(Args)]
pub(in crate::cli) struct BringArguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// What is brought.
    what: What,
    /// The file; `-` for standard input. Or the address of whoever is asked.
    file: PathBuf,
    #[command(flatten)]
    access: Access,
    /// Move users that are on another host, and leave out lines that cannot be imported.
    #[arg(long)]
    replace: bool,
    /// Change nothing, but say what would be changed.
    #[arg(long)]
    dry_run: bool,
}

pub(in crate::cli) fn bring(arguments: BringArguments) -> Exit {
    let BringArguments { config, what, file, access, replace, dry_run } = arguments;
    let format = match what {
        What::Config => return convert(&file),
        What::Csv => Format::Csv,
        What::PasswdFile => Format::PasswdFile,
        What::Popmap => Format::Popmap,
        What::Ldif => Format::Ldif,
        What::Postgres => return list_of(Asked::Postgres, config, &file, &access, replace, dry_run),
        What::AuthHttp => return list_of(Asked::AuthHttp, config, &file, &access, replace, dry_run),
        What::Mailstore => return list_of(Asked::Mailstore, config, &file, &access, replace, dry_run),
    };
    user(&Arguments { config, command: Command::Bring { format, file, replace, dry_run } })
}

/// Brings what somebody at an address is asked for.
fn list_of(
    whom: Asked,
    config: ConfigArgument,
    url: &Path,
    access: &Access,
    replace: bool,
    dry_run: bool,
) -> Exit {
    let snapshot = match config.load() {
        Ok(loaded) => loaded.snapshot,
        Err(exit) => return exit,
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(exit) => return exit,
    };
    let asked = runtime.block_on(ask(whom, &url.to_string_lossy(), access, &snapshot));
    let written = asked.and_then(|list| {
        let mut file = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
        file.write_all(&list.lines).map_err(|error| error.to_string())?;
        Ok((file, list.left))
    });
    let (list, left) = match written {
        Ok(written) => written,
        Err(why) => {
            complain(&why);
            return Exit::Unavailable;
        }
    };
    left.tell();
    let (format, file) = (Format::Pairs, list.path().to_owned());
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
