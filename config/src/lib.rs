//! Turns the operator's file into one immutable, checked [`Snapshot`].
//!
//! Pure: takes text, and returns a snapshot or every fault. Nothing here may open a socket, read another file or ask
//! for the time.

mod check;
mod raw;

mod certificate;
mod change;
pub mod fault;
pub mod health;
pub mod https;
pub mod named;
pub mod schema;
pub mod shown;
pub mod snapshot;
pub mod template;

pub use fault::Fault;
pub use snapshot::Snapshot;

use snapshot::InstanceHost;
use std::path::PathBuf;

/// Reads and checks the text of a configuration file.
///
/// # Errors
/// Every fault in the text, in the order of its lines; never an empty list.
pub fn load(text: &str) -> Result<Snapshot, Vec<Fault>> {
    check::check(text)
}

/// Reads and checks one `[[instance_host]]` section: a host that is added while the program runs.
///
/// # Errors
/// As [`load`].
pub fn load_host(text: &str) -> Result<InstanceHost, Vec<Fault>> {
    check::check_host(text)
}

/// The path of the admin API's socket, even if the file has faults elsewhere.
pub fn admin_socket(text: &str) -> Option<PathBuf> {
    let (document, _) = toml::de::DeTable::parse_recoverable(text);
    let of = |section: &str, key: &str| {
        let section = document.get_ref().get(section)?.get_ref().as_table()?;
        section.get(key)?.get_ref().as_str().map(PathBuf::from)
    };
    of("admin", "socket").or_else(|| of("server", "state_dir").map(|dir| dir.join(check::SOCKET)))
}
