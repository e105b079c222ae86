//! `usher serve`.

use super::{ConfigArgument, Exit, colour, tell};
use crate::log;
use crate::run::{self, RunError};

pub(super) fn serve(argument: &ConfigArgument) -> Exit {
    let config = match argument.load() {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    log::init(config.snapshot.log);
    match run::run(config, colour()) {
        Ok(()) => Exit::Done,
        Err(RunError::Config(error)) => tell(&error),
        Err(error) => {
            eprintln!("usher: {error}");
            Exit::Unavailable
        }
    }
}
