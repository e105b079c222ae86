//! Whether backends are healthy: periodic probes, failures of real sessions, and agents.
//!
//! The results become holds in the roster; sessions ask nothing here.

mod agent;

mod evaluate;
mod probe;
mod reports;
mod scheduler;
pub mod secret;
mod shared;
mod suspicion;
mod targets;

pub use crate::observer::Report;
pub use scheduler::Health;
pub use shared::Shared;
pub use usher_policy::verdict::{Outcome, Turn, Verdict};
