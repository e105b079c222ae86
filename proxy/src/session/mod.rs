//! The live sessions, what they can be told, and what is logged when they end.

mod close;
mod order;
mod table;

pub(crate) use close::{By, Cause, Ended, Record, Stage};
pub(crate) use order::{Order, Urgency, Why};
pub(crate) use table::{About, Doing, Entry, Session, Table};
