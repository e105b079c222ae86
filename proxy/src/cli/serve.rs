//! `usher serve`.

use super::{ConfigArgument, Exit, complain, tell};
use crate::app::{self, RunError};
use crate::load::Config;
use crate::log;
use crate::takeover::Successor;
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
    let successor = Successor::of_environment();
    let config = match Config::load(&arguments.config.config) {
        Ok(config) => config,
        Err(error) => {
            successor.iter().for_each(|successor| successor.failed(&error.to_string()));
            return tell(&error);
        }
    };
    log::init(&config.snapshot.log);
    match app::run(config, arguments.watch, successor) {
        Ok(()) => Exit::Done,
        Err(RunError::Config(error)) => tell(&error),
        // It is the configuration that cannot be had, by this program or on this machine.
        Err(error @ RunError::Tracing(_)) => {
            complain(&error.to_string());
            Exit::Config
        }
        Err(error) => {
            complain(&error.to_string());
            Exit::Unavailable
        }
    }
}
