//! The file as tables of values with their places, nothing more.
//!
//! Not serde structs: those stop at the first fault, and an operator wants all of them at once.

mod section;
mod value;

pub(crate) use section::{Item, Section};
pub(crate) use value::{Octets, Place, Rate};
