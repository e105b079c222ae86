//! Who holds what, who is fit to be asked, and how to reach them.
//!
//! Knows no client, no listener and no metric: what happens here is told to an [`Observer`], which the
//! program gives.

mod backend;
pub mod bans;
pub mod connect;
pub mod directory;
mod fault;
pub mod health;
mod hold;
pub mod http;
mod learnt;
pub mod observer;
pub mod peers;
pub mod roster;
pub mod sources;
pub mod state;
pub mod state_dir;
pub mod store;

pub use observer::Observer;
