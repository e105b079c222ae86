//! usher: the front door of a pool of mail-archive servers.
//!
//! Arguments and exit codes. Everything is built and joined in [`run`].

mod cli;
mod drain;
mod imap;
mod listen;
mod log;
mod prepare;
mod relay;
mod run;
mod session;
mod shared;
mod spawn;
mod tls;

fn main() -> std::process::ExitCode {
    cli::main()
}
