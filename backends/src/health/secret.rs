//! The password that a probe logs in with.

use crate::roster::HostOrigin;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use usher_wire::secret::Secret;

/// Longest file of a password, in bytes.
const CAP: u64 = 4096;

/// Why there is no password.
#[derive(Debug, thiserror::Error)]
pub enum SecretFault {
    /// The system reported an error.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is a directory, a pipe, or something else that does not hold passwords.
    #[error("{0}: not a regular file")]
    Irregular(PathBuf),
    /// It is too long for a password.
    #[error("{0}: longer than {CAP} bytes")]
    TooLong(PathBuf),
    /// The file may not be read for a host that was added at run time.
    #[error("{0}: the password_file of a host added at run time must be in [admin] secrets_dir")]
    Outside(PathBuf),
}

/// Reads the password in `path` for a host of this `origin`. Whoever adds a host chooses the path, and could have any
/// file sent to it: for such a host, only files in `secrets_dir` are read.
///
/// # Errors
/// [`SecretFault`]. Waits for the disk.
pub fn read(path: &Path, origin: &HostOrigin, secrets_dir: Option<&Path>) -> Result<Secret, SecretFault> {
    let mut file = open(path, origin, secrets_dir)?;
    let mut text = zeroize::Zeroizing::new(Vec::with_capacity(CAP as usize + 1));
    let io = |source| SecretFault::Io { path: path.to_owned(), source };
    (&mut file).take(CAP + 1).read_to_end(&mut text).map_err(io)?;
    if text.len() as u64 > CAP {
        return Err(SecretFault::TooLong(path.to_owned()));
    }
    let end = text.iter().rposition(|b| !matches!(b, b'\n' | b'\r')).map_or(0, |last| last + 1);
    Ok(Secret::copy_of(text.get(..end).unwrap_or_default()))
}

/// Opens the file, unless it may not be read.
fn open(path: &Path, origin: &HostOrigin, secrets_dir: Option<&Path>) -> Result<File, SecretFault> {
    let io = |source| SecretFault::Io { path: path.to_owned(), source };
    let real = match origin {
        HostOrigin::File => path.to_owned(),
        // Its real location, whatever links lead there.
        HostOrigin::Added { .. } => {
            let outside = || SecretFault::Outside(path.to_owned());
            let dir = secrets_dir.and_then(|dir| dir.canonicalize().ok()).ok_or_else(outside)?;
            // Checked before the file is looked for, so that the answer does not reveal which files exist elsewhere.
            let parent = path.parent().and_then(|parent| parent.canonicalize().ok()).ok_or_else(outside)?;
            if !parent.starts_with(&dir) {
                return Err(outside());
            }
            let real = path.canonicalize().map_err(io)?;
            if !real.starts_with(&dir) {
                return Err(outside());
            }
            real
        }
    };
    // Does not block on a pipe that nobody writes to.
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(&real).map_err(io)?;
    if !file.metadata().map_err(io)?.is_file() {
        return Err(SecretFault::Irregular(path.to_owned()));
    }
    Ok(file)
}
