//! `usher serve`.

use super::{ConfigArgument, Exit, complain, tell};
use crate::app::{self, RunError};
use crate::log;
use clap::Args;

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// Reload when the content of the configuration file or of a certificate changes.
    #[arg(long)]
    watch: bool,
}

pub(super) fn serve(arguments: &Arguments) -> Exit {
    let config = match arguments.config.load() {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    log::init(config.snapshot.log);
    match app::run(config, arguments.watch) {
        Ok(()) => Exit::Done,
        Err(RunError::Config(error)) => tell(&error),
        Err(error) => {
            complain(&error.to_string());
            Exit::Unavailable
        }
    }
}
