//! `usher init`.

mod answers;
mod file;
mod wizard;

use super::{Exit, colour, complain};
use clap::Args;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use usher_config::fault::render;
use usher_config::template::TEMPLATE;

#[derive(Args)]
pub(super) struct Arguments {
    /// The file to write, which must not exist; `-` for standard output.
    #[arg(value_name = "FILE", default_value = "usher.toml")]
    file: PathBuf,
    /// Ask five questions, look at the servers, and write a file that serves.
    #[arg(long)]
    wizard: bool,
    /// Replace the file if it exists; what it had is kept as FILE.old.
    #[arg(long)]
    replace: bool,
}

pub(super) fn init(arguments: &Arguments) -> Exit {
    let path = &arguments.file;
    if !arguments.wizard {
        return write(
            arguments,
            path,
            TEMPLATE,
            &format!("edit it, then: usher check --config {}", path.display()),
        );
    }
    match wizard::ask() {
        Ok(answers) => write(arguments, path, &file::text(&answers), &file::next_steps(&answers, path)),
        Err(why) => {
            complain(&why);
            Exit::Failed
        }
    }
}

fn write(arguments: &Arguments, path: &Path, text: &str, next: &str) -> Exit {
    if let Err(faults) = usher_config::load(text) {
        eprintln!("{}", render("what would be written", text, &faults, colour()));
        return Exit::Config;
    }
    if path.as_os_str() == "-" {
        print!("{text}");
        return Exit::Done;
    }
    let written = match arguments.replace && path.exists() {
        true => replace(path, text),
        false => File::create_new(path).and_then(|mut file| file.write_all(text.as_bytes())),
    };
    match written {
        Ok(()) => {
            println!("wrote {}; {next}", path.display());
            Exit::Done
        }
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            Exit::Failed
        }
    }
}

/// Writes `text` in place of what `path` has, for the same user and group to read, and keeps that beside it.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let about = std::fs::metadata(path)?;
    let next = path.with_added_extension("next");
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
    file.write_all(text.as_bytes())?;
    std::os::unix::fs::fchown(&file, Some(about.uid()), Some(about.gid()))?;
    file.set_permissions(about.permissions())?;
    file.sync_all()?;
    // The first free one: a second run must not lose what the first has kept.
    let kept = (1..).map(|number| match number {
        1 => path.with_added_extension("old"),
        _ => path.with_added_extension(format!("old{number}")),
    });
    if let Some(kept) = kept.take(1000).find(|kept| !kept.exists()) {
        // Not every file system has links.
        std::fs::hard_link(path, &kept).or_else(|_| std::fs::copy(path, &kept).map(drop))?;
    }
    std::fs::rename(next, path)
}
