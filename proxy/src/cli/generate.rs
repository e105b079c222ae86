//! Shell completions and man pages, generated from the command line's definition.

use super::{Cli, Exit};
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use std::path::PathBuf;

#[derive(Args)]
pub(super) struct CompletionArguments {
    /// The shell.
    shell: Shell,
}

#[derive(Args)]
pub(super) struct ManArguments {
    /// The directory to write the pages to, one per command.
    directory: PathBuf,
}

pub(super) fn completions(arguments: &CompletionArguments) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "usher", &mut text);
    super::print(&String::from_utf8_lossy(&text))
}

pub(super) fn man(arguments: &ManArguments) -> Exit {
    let made = std::fs::create_dir_all(&arguments.directory)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), &arguments.directory));
    match made {
        Ok(_) => Exit::Done,
        Err(error) => {
            eprintln!("usher: {}: {error}", arguments.directory.display());
            Exit::Failed
        }
    }
}
