//! `usher check`: the file, and the certificates it names.

use super::{ConfigArgument, Exit, colour, tell};
use crate::log;

pub(super) fn check(argument: &ConfigArgument) -> Exit {
    let config = match argument.load() {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    log::init(config.snapshot.log);
    if let Err(error) = config.certificates(None, colour()) {
        return tell(&error);
    }
    let snapshot = &config.snapshot;
    println!(
        "{}: no faults; {} listeners, {} instance hosts",
        argument.config.display(),
        snapshot.listeners.len(),
        snapshot.hosts.len()
    );
    Exit::Done
}
