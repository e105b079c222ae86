//! `usher config`: what is in force, and what another file would change.

mod differences;

use super::api::{ApiError, Reach, print_json};
use super::{Exit, print};
use clap::{Args, Subcommand};
use differences::differences;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use usher_config::fault::render;

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    reach: Reach,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show the configuration that is in force, as it was read.
    Show {
        /// All settings with their values, those that are not written down too, as JSON.
        #[arg(long)]
        effective: bool,
    },
    /// Show what differs between the configuration that is in force and a file.
    Diff {
        /// The file; by default the configuration file as it is now.
        #[arg(value_name = "NEXT.toml")]
        next: Option<PathBuf>,
    },
}

pub(super) fn config(arguments: &Arguments) -> Exit {
    let shown = match &arguments.command {
        Command::Show { effective } => show(&arguments.reach, *effective),
        Command::Diff { next } => {
            let next = next.clone().unwrap_or_else(|| arguments.reach.file().to_owned());
            diff(&arguments.reach, &next)
        }
    };
    shown.unwrap_or_else(|error| error.tell())
}

fn show(reach: &Reach, effective: bool) -> Result<Exit, ApiError> {
    let api = reach.api()?;
    if effective {
        return print_json(&api, "/v1/config");
    }
    Ok(print(&api.text("/v1/config/text")?))
}

fn diff(reach: &Reach, next: &Path) -> Result<Exit, ApiError> {
    let running = reach.api()?.text("/v1/config/text")?;
    let text =
        std::fs::read_to_string(next).map_err(|source| ApiError::File { path: next.to_owned(), source })?;
    let mut snapshot = match usher_config::load(&text) {
        Ok(snapshot) => snapshot,
        Err(faults) => {
            eprintln!("{}", render(&next.display().to_string(), &text, &faults, super::colour()));
            return Ok(Exit::Config);
        }
    };
    let mut out = String::new();
    for difference in differences(&running, &text) {
        // Writing to a string does not fail.
        let _ = writeln!(out, "{difference}");
    }
    if out.is_empty() {
        out.push_str("no difference\n");
    }
    // What is in force was accepted once.
    if let Ok(running) = usher_config::load(&running) {
        for setting in snapshot.keep_what_needs_a_restart(&running) {
            let _ = writeln!(out, "needs a restart: {setting}");
        }
    }
    Ok(print(&out))
}
