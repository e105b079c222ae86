//! The directory for data that outlives usher: readable by its owner only, and used by one usher at a time.

use rustix::fs::{Mode, OFlags};
use rustix::process::{geteuid, umask};
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Do not follow symbolic links.
const NO_LINK: i32 = OFlags::NOFOLLOW.bits().cast_signed();

/// The file whose lock reserves the directory for one usher.
const LOCK: &str = "usher.lock";

/// Why the directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// Another usher serves from it.
    #[error("{dir}: another usher{} is using this state_dir; stop it, or give this one its own", whose(.process))]
    Taken {
        /// The directory.
        dir: PathBuf,
        /// The other one's process, as far as it is known.
        process: Option<u32>,
    },
    /// Something there belongs to somebody else.
    #[error(
        "{path}: belongs to user {owner}, so usher, which runs as user {own}, cannot write to it; \
             to change the owner: chown -R {own} {dir}"
    )]
    Foreign {
        /// What.
        path: PathBuf,
        /// Whose.
        owner: u32,
        /// Who usher is.
        own: u32,
        /// The directory.
        dir: PathBuf,
    },
    /// It is not the directory of the usher that is to be succeeded.
    #[error(
        "{dir}: [server] state_dir is another one than that of the usher that runs; that needs a restart"
    )]
    Another {
        /// The directory.
        dir: PathBuf,
    },
    /// The system reported an error.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn whose(process: &Option<u32>) -> String {
    process.map_or_else(String::new, |process| format!(" (process {process})"))
}

/// Exclusive use of the directory for as long as this exists, here or at a successor that has been given it.
pub struct StateDir {
    lock: File,
}

impl StateDir {
    /// Reserves the directory for an usher that is going to serve. With `socket_inside`, members of the owner's group
    /// may traverse it to reach the admin socket.
    ///
    /// # Errors
    /// [`StateDirError`]: another usher has it, or something in it cannot be written.
    pub fn take(dir: &Path, socket_inside: bool) -> Result<(Self, Vec<PathBuf>), StateDirError> {
        let tightened = prepare(dir, socket_inside)?;
        let path = dir.join(LOCK);
        let opened =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let lock = opened.map_err(|error| foreign(dir, &path, error))?;
        Self::locked(lock, dir).map(|reserved| (reserved, tightened))
    }

    /// The same with the lock of a predecessor, who has it for the same directory.
    ///
    /// # Errors
    /// [`StateDirError`]: it is another directory's, or something in it cannot be written.
    pub fn take_over(
        dir: &Path,
        socket_inside: bool,
        lock: File,
    ) -> Result<(Self, Vec<PathBuf>), StateDirError> {
        let tightened = prepare(dir, socket_inside)?;
        let path = dir.join(LOCK);
        let io = |source| StateDirError::Io { path: path.clone(), source };
        let (ours, theirs) = (fs::metadata(&path).map_err(io)?, lock.metadata().map_err(io)?);
        if (ours.dev(), ours.ino()) != (theirs.dev(), theirs.ino()) {
            return Err(StateDirError::Another { dir: dir.to_owned() });
        }
        Self::locked(lock, dir).map(|reserved| (reserved, tightened))
    }

    /// The lock, for a successor.
    pub fn lock(&self) -> &File {
        &self.lock
    }

    /// Reserves the directory by its lock file.
    fn locked(mut lock: File, dir: &Path) -> Result<Self, StateDirError> {
        let path = dir.join(LOCK);
        let io = |source| StateDirError::Io { path: path.clone(), source };
        // Where a predecessor has it, it is this file's already.
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let _ = lock.read_to_string(&mut text);
                return Err(StateDirError::Taken { dir: dir.to_owned(), process: text.trim().parse().ok() });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        lock.set_len(0).and_then(|()| lock.seek(SeekFrom::Start(0))).map_err(io)?;
        writeln!(lock, "{}", std::process::id()).map_err(io)?;
        for entry in files(dir)? {
            // Found out now rather than when the first change is to be saved.
            if let Err(error) = OpenOptions::new().append(true).open(&entry) {
                return Err(foreign(dir, &entry, error));
            }
        }
        Ok(Self { lock })
    }
}

/// Creates the directory if it does not exist, and makes sure that only its owner can read what is in it. Returns what
/// was open to others until now.
///
/// # Errors
/// [`StateDirError`], when it cannot be made or read.
pub fn prepare(dir: &Path, socket_inside: bool) -> Result<Vec<PathBuf>, StateDirError> {
    // Whatever is created from here on, by SQLite too, is accessible to its owner only.
    umask(Mode::from_raw_mode(0o077));
    let io = |source| StateDirError::Io { path: dir.to_owned(), source };
    let mode = if socket_inside { 0o710 } else { 0o700 };
    let is_new = !dir.exists();
    fs::create_dir_all(dir).map_err(io)?;
    let there = fs::metadata(dir).map_err(io)?;
    if !there.is_dir() {
        return Err(io(ErrorKind::NotADirectory.into()));
    }
    let mut tightened = Vec::new();
    if is_new {
        fs::set_permissions(dir, Permissions::from_mode(mode)).map_err(io)?;
    } else if there.mode() & 0o777 & !mode != 0 {
        tighten(dir, there.mode() & mode, &mut tightened);
    }
    for path in files(dir)? {
        if let Ok(there) = fs::symlink_metadata(&path)
            && there.mode() & 0o077 != 0
        {
            tighten(&path, there.mode() & 0o700, &mut tightened);
        }
    }
    Ok(tightened)
}

/// Permissions of other users' files cannot be changed; whether they are usable is checked elsewhere.
fn tighten(path: &Path, mode: u32, tightened: &mut Vec<PathBuf>) {
    if fs::set_permissions(path, Permissions::from_mode(mode)).is_ok() {
        tightened.push(path.to_owned());
    }
}

/// Gives files that root has just created in the directory to its owner, so that usher can write them.
///
/// # Errors
/// [`StateDirError`], when the directory cannot be read or a file cannot be given away.
pub fn give_to_owner(dir: &Path) -> Result<(), StateDirError> {
    let io = |path: &Path, source| StateDirError::Io { path: path.to_owned(), source };
    let owner = fs::metadata(dir).map_err(|source| io(dir, source))?;
    if !geteuid().is_root() || owner.uid() == 0 {
        return Ok(());
    }
    for path in files(dir)? {
        // By descriptor, and nothing that has another hard link: that might be somebody else's.
        let Ok(file) = OpenOptions::new().read(true).custom_flags(NO_LINK).open(&path) else {
            continue;
        };
        if file.metadata().is_ok_and(|there| there.is_file() && there.uid() == 0 && there.nlink() == 1) {
            std::os::unix::fs::fchown(&file, Some(owner.uid()), Some(owner.gid()))
                .map_err(|source| io(&path, source))?;
        }
    }
    Ok(())
}

/// The plain files in the directory.
fn files(dir: &Path) -> Result<Vec<PathBuf>, StateDirError> {
    let io = |source| StateDirError::Io { path: dir.to_owned(), source };
    let entries = fs::read_dir(dir).map_err(|error| foreign(dir, dir, error))?;
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(io)?;
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            files.push(entry.path());
        }
    }
    Ok(files)
}

fn foreign(dir: &Path, path: &Path, source: io::Error) -> StateDirError {
    let owner = fs::symlink_metadata(path).or_else(|_| fs::metadata(dir)).map(|there| there.uid());
    match (source.kind(), owner) {
        (ErrorKind::PermissionDenied, Ok(owner)) => StateDirError::Foreign {
            path: path.to_owned(),
            owner,
            own: geteuid().as_raw(),
            dir: dir.to_owned(),
        },
        _ => StateDirError::Io { path: path.to_owned(), source },
    }
}
