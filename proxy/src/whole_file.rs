//! A file that is replaced as a whole or not at all, and that its owner alone may read.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Replaces what `file` has by `octets`.
///
/// # Errors
/// The system's; then it has what it had.
pub(crate) fn replace(file: &Path, octets: &[u8]) -> std::io::Result<()> {
    let next = file.with_extension("next");
    let mut options = std::fs::OpenOptions::new();
    let mut out = options.write(true).create(true).truncate(true).mode(0o600).open(&next)?;
    out.write_all(octets)?;
    out.sync_all()?;
    std::fs::rename(next, file)
}
