//! Shell completions and man pages, generated from the command line's definition and the commented configuration.

use super::{Cli, Exit};
use crate::version::VERSION;
use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use clap_complete::env::Shells;
use clap_mangen::Man;
use std::io;
use std::path::{Path, PathBuf};
use usher_config::template::TEMPLATE;

/// The section of the manual for what administrators run.
const COMMANDS: &str = "8";

#[derive(Args)]
pub(super) struct CompletionArguments {
    /// The shell.
    shell: Shell,
}

#[derive(Args)]
pub(super) struct ManArguments {
    /// The directory to write to: `man8` in it gets a page for each command, `man5` that of the configuration.
    directory: PathBuf,
}

/// By what the shells' scripts ask for completions.
pub(super) const VARIABLE: &str = "USHER_COMPLETE";

pub(super) fn completions(arguments: &CompletionArguments) -> Exit {
    let mut text = Vec::new();
    let shells = Shells::builtins();
    let written = match shells.completer(&arguments.shell.to_string()) {
        Some(shell) => shell.write_registration(VARIABLE, "usher", "usher", "usher", &mut text),
        None => Err(io::Error::other("no completions for this shell")),
    };
    match written {
        Ok(()) => super::print(&String::from_utf8_lossy(&text)),
        Err(error) => {
            super::complain(&error.to_string());
            Exit::Failed
        }
    }
}

pub(super) fn man(arguments: &ManArguments) -> Exit {
    match pages(&arguments.directory) {
        Ok(()) => Exit::Done,
        Err(error) => {
            eprintln!("usher: {}: {error}", arguments.directory.display());
            Exit::Failed
        }
    }
}

fn pages(directory: &Path) -> io::Result<()> {
    let (commands, files) = (directory.join("man8"), directory.join("man5"));
    std::fs::create_dir_all(&commands)?;
    std::fs::create_dir_all(&files)?;
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    write(&command, &commands)?;
    std::fs::write(files.join("usher.toml.5"), configuration())
}

/// A page for `command`, and one for each below it.
fn write(command: &Command, directory: &Path) -> io::Result<()> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        write(below, directory)?;
    }
    Man::new(command.clone()).section(COMMANDS).manual("usher").generate_to(directory).map(|_| ())
}

/// The page of the configuration: the commented file, a section at a time.
fn configuration() -> String {
    let version = VERSION;
    let mut page = format!(
        ".TH usher.toml 5 \"\" \"usher {version}\" \"usher\"\n.SH NAME\nusher.toml \\- the configuration of usher\n\
         .SH SYNOPSIS\n/etc/usher/usher.toml\n.SH DESCRIPTION\n\
         One file in TOML. \\fBusher check\\fR tells every fault with its line, and what to write instead. \
         \\fBusher reload\\fR puts a changed file in force, as a whole or not at all.\n\
         .PP\nWhat is commented out below shows the default, or an example where there is none.\n"
    );
    let mut prose: Vec<&str> = Vec::new();
    let mut is_open = false;
    let close = |page: &mut String, is_open: &mut bool| {
        if std::mem::take(is_open) {
            page.push_str(".EE\n");
        }
    };
    for line in TEMPLATE.lines() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        if bare.starts_with('[') && bare.trim_end().ends_with(']') {
            close(&mut page, &mut is_open);
            page.push_str(&format!(".SH \"{}\"\n", escaped(bare.trim_end())));
            for line in prose.drain(..) {
                page.push_str(&format!("{}\n", escaped(line)));
            }
            page.push_str(".PP\n.EX\n");
            is_open = true;
        } else if line.is_empty() {
            // What stands before it is about what follows, or about the file.
            prose.clear();
            close(&mut page, &mut is_open);
        } else if is_open {
            page.push_str(&format!("{}\n", escaped(line)));
        } else {
            prose.push(bare);
        }
    }
    close(&mut page, &mut is_open);
    page.push_str(".SH \"SEE ALSO\"\n.BR usher (8)\n");
    page
}

/// As roff has to be given text.
fn escaped(line: &str) -> String {
    let line = line.replace('\\', "\\e").replace('-', "\\-");
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
}
