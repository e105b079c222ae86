//! `usher init`.

mod answers;
mod file;
mod wizard;

use super::{Exit, complain};
use clap::Args;
use std::io::Write;
use std::path::{Path, PathBuf};
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
    if path.as_os_str() == "-" {
        print!("{text}");
        return Exit::Done;
    }
    let old = path.with_added_extension("old");
    let kept = if arguments.replace && path.exists() { std::fs::rename(path, old) } else { Ok(()) };
    let written = kept
        .and_then(|()| std::fs::File::create_new(path))
        .and_then(|mut file| file.write_all(text.as_bytes()));
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
