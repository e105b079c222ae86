//! Why a key is not moved.

use usher_backends::directory::DirectoryError;
use usher_backends::roster::FleetError;
use usher_policy::ArchiveKey;

/// Why a key is not moved; it is where it was, unless that is [`MoveError::Unsettled`].
#[derive(Debug, thiserror::Error)]
pub(crate) enum MoveError {
    #[error("{0} is not on any host")]
    Nowhere(ArchiveKey),
    #[error("{key} is on {host} already")]
    There { key: ArchiveKey, host: String },
    #[error(
        "the logins of {0} are held already: it is being moved, or an operator holds it (usher user release)"
    )]
    Held(ArchiveKey),
    #[error("{0} is not being moved")]
    NotMoving(ArchiveKey),
    #[error("there is no instance host {0:?}")]
    NoHost(String),
    #[error("{host} cannot take it: its {service} is {state}")]
    Unfit { host: String, service: &'static str, state: &'static str },
    #[error("{sessions} sessions do not end")]
    Sessions { sessions: usize },
    #[error("process {process}, which this one has succeeded, does not end its sessions")]
    Former { process: u32 },
    #[error("somebody else has put {key} on {}", .host.as_deref().unwrap_or("no host"))]
    Elsewhere { key: ArchiveKey, host: Option<String> },
    #[error("{by} says where {key} is, and is kept by others: move it there")]
    ReadOnly { key: ArchiveKey, by: &'static str },
    #[error("the directory has not taken the change of {0}, and has not said why")]
    Lost(ArchiveKey),
    #[error("{why}; the logins of {key} wait until that is known and kept, which is tried again and again")]
    Unsettled { key: ArchiveKey, why: String },
    #[error("the test login at {host} fails: {why}")]
    Login { host: String, why: String },
    #[error("another move from one host to another is under way")]
    Busy,
    #[error("the directory: {0}")]
    Directory(#[from] DirectoryError),
    #[error(transparent)]
    Fleet(#[from] FleetError),
}
