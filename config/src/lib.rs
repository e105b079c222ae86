//! The operator's file, checked into one immutable [`Snapshot`].
//!
//! Pure: text goes in, a snapshot or every fault comes out. Nothing here may open a socket, read another
//! file or ask for the time.

mod check;
mod raw;

pub mod archive_key;
pub mod domains;
pub mod fault;
pub mod snapshot;
pub mod template;

pub use archive_key::ArchiveKey;
pub use fault::Fault;
pub use snapshot::Snapshot;

/// Reads and checks the text of a configuration file.
///
/// # Errors
/// Every fault that the text has, in the order of its lines; never an empty list.
pub fn load(text: &str) -> Result<Snapshot, Vec<Fault>> {
    check::check(text)
}
