//! From the name that somebody types, or that a request shows, to the key of an archive.

mod archive_key;
mod domains;
mod templates;

pub use archive_key::{ArchiveKey, KEY_CAP, NORMALISATION};
pub use domains::{Arrival, DefaultFor, Domains};
pub use templates::{HostTemplate, Naming, PathTemplate};
