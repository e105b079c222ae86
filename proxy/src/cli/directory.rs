//! `usher directory`: what is done to a directory as a whole.

use super::{ConfigArgument, Exit, complain, print};
use clap::{Args, Subcommand};
use tokio::runtime::{Builder, Runtime};
use usher_backends::sources;
use usher_config::snapshot::Source;

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make usher's tables in the database of [directory.postgres], unless they are there.
    Init,
}

pub(super) fn directory(arguments: &Arguments) -> Exit {
    let Command::Init = arguments.command;
    let config = match arguments.config.load() {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let directory = &config.snapshot.directory;
    let postgres = directory.sources.iter().find_map(|source| match source {
        Source::Postgres(postgres) => Some(postgres),
        _ => None,
    });
    let Some(postgres) = postgres.filter(|postgres| postgres.query.is_none()) else {
        complain(
            "[directory] has no source \"postgres\" whose tables are usher's, which it is without `query`",
        );
        return Exit::Failed;
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(exit) => return exit,
    };
    match sources::init(postgres, directory.deadline, runtime.handle()) {
        Ok(true) => print("the tables are made; put users there with: usher user set, usher import\n"),
        Ok(false) => print("the tables are there already\n"),
        Err(error) => {
            complain(&error.to_string());
            Exit::Unavailable
        }
    }
}

/// What asks a directory that is elsewhere.
pub(super) fn runtime() -> Result<Runtime, Exit> {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(|error| {
        complain(&error.to_string());
        Exit::Unavailable
    })
}
