//! The live sessions, what they can be told, and what is written down when they end.

mod close;
mod sweep;
mod table;

pub(crate) use close::{By, Cause, Record, Stage};
pub(crate) use sweep::sweep;
pub(crate) use table::{Entry, Order, Session, Table};
