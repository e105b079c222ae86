//! Whether backends are fit to be asked: probes at intervals, failures of real sessions, and agents.
//!
//! What is found out becomes holds in the roster; nothing here is asked by a session.

mod agent;

mod evaluate;
mod probe;
mod reports;
mod scheduler;
pub mod secret;
mod suspicion;
mod targets;

pub use crate::observer::Report;
pub use scheduler::Health;
pub use usher_policy::verdict::{Outcome, Turn, Verdict};
