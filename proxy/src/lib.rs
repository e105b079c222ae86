//! usher: the front door of a pool of mail-archive servers.
//!
//! A library only so that it can be tested; the program is [`main`]. Everything is built and connected in `app`.

mod accepted;
mod access;
mod acme;
mod active;
mod admin;
mod app;
mod boxed;
mod cli;
mod countries;
mod digester;
mod drain;
mod enforce;
mod guessing;
mod https;
mod id;
mod imap;
mod json;
mod kept;
mod listen;
mod load;
mod log;
mod login;
mod lookup;
mod memory;
mod metrics;
mod moves;
mod parts;
mod peers;
mod pending;
mod refusals;
mod relay;
mod reload;
mod remembered;
mod route;
mod rule_book;
mod service_manager;
mod session;
mod shutdown;
mod slot;
mod spans;
mod succession;
mod takeover;
mod tcp;
mod tls;
mod unix_http;
mod unread;
mod version;
mod whole_file;
mod workers;
#[cfg(test)]
mod world;

pub use cli::main;
