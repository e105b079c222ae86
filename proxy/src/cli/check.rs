//! `usher check`: the file, and what it names.

use super::{ConfigArgument, Exit, colour, complain};
use crate::load::inspect::inspect;
use clap::Args;
use usher_config::fault::{render, render_warnings};

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// Treat warnings as faults.
    #[arg(long)]
    strict: bool,
}

pub(super) fn check(arguments: &Arguments) -> Exit {
    let path = &arguments.config.config;
    let shown = path.display().to_string();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            complain(&format!("{shown}: {error}"));
            return Exit::Config;
        }
    };
    let (snapshot, mut faults) = match usher_config::load(&text) {
        Ok(snapshot) => (Some(snapshot), Vec::new()),
        Err(faults) => (None, faults),
    };
    let found = inspect(&text, snapshot.as_ref());
    faults.extend(found.faults);
    let (mut warnings, strict) = (found.warnings, arguments.strict);
    if strict {
        faults.append(&mut warnings);
    }
    faults.sort_by_key(|fault| fault.span.start);
    if !warnings.is_empty() {
        eprintln!("{}", render_warnings(&shown, &text, &warnings, colour()));
    }
    if !faults.is_empty() {
        eprintln!("{}", render(&shown, &text, &faults, colour()));
        return Exit::Config;
    }
    let Some(snapshot) = snapshot else { return Exit::Config };
    let warned = match warnings.len() {
        0 => String::new(),
        1 => ", 1 warning".to_owned(),
        many => format!(", {many} warnings"),
    };
    println!(
        "{shown}: no faults{warned}; {} listeners, {} instance hosts",
        snapshot.listeners.len(),
        snapshot.hosts.len()
    );
    Exit::Done
}
