//! The command line: one file a subcommand.
//!
//! Exit codes: 0 done; 1 failed; 2 wrong use; 69 something that is needed is not available; 78 the
//! configuration is at fault.

mod check;
mod init;
mod serve;
mod user;

use crate::prepare::{Config, ConfigError};
use clap::{Args, Parser, Subcommand};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

/// The front door of a pool of mail-archive servers.
#[derive(Parser)]
#[command(name = "usher", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM; a second one ends at once.
    Serve(serve::Arguments),
    /// Tell every fault of a configuration file.
    Check(ConfigArgument),
    /// Write a commented configuration file to start from.
    Init(init::Arguments),
    /// Say whose archive is where.
    User(user::Arguments),
}

#[derive(Args)]
struct ConfigArgument {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "/etc/usher/usher.toml", global = true)]
    config: PathBuf,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    Done = 0,
    Failed = 1,
    Unavailable = 69,
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Runs the command that the arguments name.
pub(crate) fn main() -> ExitCode {
    let exit = match Cli::parse().command {
        Command::Serve(argument) => serve::serve(&argument),
        Command::Check(argument) => check::check(&argument),
        Command::Init(arguments) => init::init(&arguments),
        Command::User(arguments) => user::user(&arguments),
    };
    exit.into()
}

impl ConfigArgument {
    /// Loads the file, or tells what is wrong with it.
    fn load(&self) -> Result<Config, Exit> {
        Config::load(&self.config, colour()).map_err(|error| tell(&error))
    }
}

fn tell(error: &ConfigError) -> Exit {
    eprintln!("{error}");
    Exit::Config
}

fn colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
