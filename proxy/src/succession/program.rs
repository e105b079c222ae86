//! Which program a successor runs.

use crate::service_manager;
use std::ffi::OsString;
use std::fs::Metadata;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

/// The variable that tells a process that its standard input leads to a predecessor.
pub(crate) const SUCCEEDS: &str = "USHER_SUCCEEDS";

/// The program that this process was started as, and its arguments.
pub(crate) struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
}

impl Program {
    /// As this process was called: a symbolic link may lead to another version by the time that it is followed again.
    pub(crate) fn of_this_process() -> Self {
        let mut arguments = std::env::args_os();
        let called = arguments.next().map(PathBuf::from);
        let path = called.and_then(|called| found(&called)).or_else(|| std::env::current_exe().ok());
        Self { path: path.unwrap_or_else(|| PathBuf::from("usher")), arguments: arguments.collect() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether what is there now is not what this process runs.
    pub(crate) fn is_another(&self) -> bool {
        let identity = |there: Metadata| (there.dev(), there.ino());
        let ours = std::fs::metadata("/proc/self/exe").map(identity);
        let theirs = std::fs::metadata(&self.path).map(identity);
        matches!((ours, theirs), (Ok(ours), Ok(theirs)) if ours != theirs)
    }

    /// Starts it with `channel` to this process.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn start(&self, channel: OwnedFd) -> std::io::Result<Child> {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).env(SUCCEEDS, "1").stdin(channel);
        for variable in service_manager::OF_ONE_PROCESS {
            command.env_remove(variable);
        }
        command.spawn()
    }
}

/// The file that a program is started from that is called like this.
fn found(called: &Path) -> Option<PathBuf> {
    if called.components().count() > 1 {
        return std::path::absolute(called).ok();
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(called)).find(|path| path.is_file())
}
