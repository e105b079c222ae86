//! What proves usher from outside: a sample archive, certificates, a scripted client and a scripted backend,
//! and usher itself as a process of its own.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)] // a harness that cannot go on says so
#![allow(missing_docs)] // names of a harness that only tests read

pub mod address;
pub mod apache;
pub mod archive;
pub mod authority;
pub mod browser;
pub mod certificate;
pub mod client;
pub mod collector;
pub mod cyrus;
pub mod deadline;
pub mod dovecot;
pub mod faults;
pub mod frames;
pub mod fuzz;
pub mod haproxy;
pub mod http;
pub mod introspection;
pub mod nginx;
pub mod runtime;
pub mod scram;
pub mod scripted;
pub mod store;
pub mod storm;
pub mod swarm;
pub mod usher;
pub mod web;
