//! Guessing: how often logins have failed, by where they come from and by whom they name, and how long the next one has
//! to wait. Pure: whoever asks says what time it is.

mod record;
mod source;
mod table;

pub use record::{Moment, Record, Rules, Turn};
pub use source::{Mark, Source, home};
pub use table::Table;
