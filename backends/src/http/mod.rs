//! Requests to backends' web services: connections, those that wait for the next request, and what a backend
//! may answer.
//!
//! Knows no client and no routing: whoever holds a lease of a backend asks here.

mod judged;
mod link;
mod pool;

pub use crate::connect::Bound;
pub use link::{Link, SendFault};
pub use pool::Pool;
