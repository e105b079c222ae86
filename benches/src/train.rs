//! `make profile`: usher at its daily work, while it counts what it calls.

use crate::contest::Contest;
use crate::table::Table;
use crate::{Outcome, bulk, https, mechanisms, sessions};

/// The argument that asks for it.
pub(crate) const WORD: &str = "train";

/// Lets usher do everything that it is measured at. Each usher ends by itself: one that is killed leaves no counts.
pub(crate) fn run() -> Outcome {
    https::train()?;
    let contest = Contest::start()?;
    if let Some(usher) = contest.contestants.first() {
        sessions::train(usher)?;
        bulk::train(usher)?;
    }
    contest.end();
    mechanisms::measure(&mut Table::default())
}
