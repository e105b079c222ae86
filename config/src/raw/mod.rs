//! The file as tables of values with their positions, nothing more.
//!
//! Not serde structs: serde stops at the first fault, and operators want to see all of them at once.

mod section;
mod shape;
mod value;

pub(crate) use section::{Item, Section};
pub(crate) use shape::Trace;
pub use shape::{Kind, Shape};
pub(crate) use value::{Count, Located, Octets, Rate, Wait};
