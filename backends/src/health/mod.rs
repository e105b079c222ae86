//! Whether backends are fit to be asked: probes at intervals, failures of real sessions, and agents.
//!
//! What is found out becomes holds in the roster; nothing here is asked by a session.

mod agent;
mod board;
mod probe;
mod rounds;
pub mod secret;
mod suspicion;
mod verdict;
mod watched;
mod weigh;

pub use board::Report;
pub use rounds::Health;
pub use verdict::{Outcome, Turn, Verdict};
