//! Requests to backends' web services: connections, the pool of idle ones, and what a backend may answer.
//!
//! Knows no client and no routing: callers hold a lease of a backend.

mod judged;
mod link;
mod pool;

pub use crate::connect::Bound;
pub use link::{Link, SendFault};
pub use pool::Pool;
