//! `usher init`.

use super::Exit;
use clap::Args;
use std::io::Write;
use std::path::PathBuf;
use usher_config::template::TEMPLATE;

#[derive(Args)]
pub(super) struct Arguments {
    /// The file to write, which must not exist; `-` for standard output.
    #[arg(value_name = "FILE", default_value = "usher.toml")]
    file: PathBuf,
}

pub(super) fn init(arguments: &Arguments) -> Exit {
    let path = &arguments.file;
    if path.as_os_str() == "-" {
        print!("{TEMPLATE}");
        return Exit::Done;
    }
    let written = std::fs::File::create_new(path).and_then(|mut file| file.write_all(TEMPLATE.as_bytes()));
    match written {
        Ok(()) => {
            println!("wrote {0}; edit it, then: usher check --config {0}", path.display());
            Exit::Done
        }
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            Exit::Failed
        }
    }
}
