//! usher: the front door of a pool of mail-archive servers.
//!
//! Arguments and exit codes. Everything is built and joined in [`run`].

mod accepted;
mod admin;
mod cli;
mod drain;
mod https;
mod imap;
mod kept;
mod listen;
mod log;
mod meter;
mod prepare;
mod pressure;
mod progress;
mod refusals;
mod relay;
mod reload;
mod report;
mod run;
mod session;
mod shared;
mod spawn;
mod tcp;
mod tls;

/// Also of what is written in C: TLS and SQLite. How long it keeps what is free is set in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    cli::main()
}
