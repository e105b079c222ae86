//! Requests to backends' web services: connections, the pool of idle ones, and what a backend may answer.
//!
//! Knows no client and no routing: callers hold a lease of a backend.

mod encode;
mod http1;
mod http2;
mod link;
mod pool;
mod received;
mod tunnel;

pub use crate::connect::Bound;
pub use link::{Answer, Link, SendFault};
pub use pool::Pool;
pub use received::{Received, headers};
pub use tunnel::Switched;
