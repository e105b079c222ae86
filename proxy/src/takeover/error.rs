//! Why no other process has taken over.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// Why no other process has taken over. This one goes on serving as if nobody had asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTakenOver {
    #[error("{program}: {source}")]
    Start { program: PathBuf, source: io::Error },
    #[error("process 1 of a container or a machine cannot be succeeded: start another one beside it instead")]
    First,
    #[error("the new process cannot serve: {0}")]
    Failed(String),
    #[error("the new process ended before it was ready: {0}")]
    Ended(ExitStatus),
    #[error("the new process was not ready within {} s, and has been killed", .0.as_secs_f64())]
    Late(Duration),
    #[error("somebody else is changing something, and is not done within {} s", .0.as_secs_f64())]
    Busy(Duration),
    #[error("usher is stopping")]
    Stopping,
    #[error("{0}")]
    System(#[from] io::Error),
}
