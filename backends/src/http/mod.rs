//! Requests to backends' web services: connections, the pool of idle ones, and what a backend may answer.
//!
//! Knows no client and no routing: callers hold a lease of a backend.

mod coding;
mod encode;
mod http1;
mod http2;
mod link;
mod pool;
mod received;

pub use crate::connect::Bound;
pub use coding::{Coding, write_field};
pub use link::{Answer, Link, SendFault};
pub use pool::Pool;
pub use received::{Received, headers, lists};
