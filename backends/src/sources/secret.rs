//! The passwords that sources ask for.

use super::fault::SourceFault;
use crate::health::secret::read;
use crate::roster::HostOrigin;
use std::path::PathBuf;
use usher_config::snapshot::SourceAccess;
use usher_wire::secret::Secret;

/// The password of a source, read each time that it is connected to: it may have changed.
pub(super) async fn password(access: &SourceAccess) -> Result<Option<Secret>, SourceFault> {
    let Some(path) = access.password_file.clone() else { return Ok(None) };
    let reading = move |path: PathBuf| read(&path, &HostOrigin::File, None);
    let read = tokio::task::spawn_blocking(move || reading(path)).await.map_err(SourceFault::out)?;
    read.map(Some).map_err(SourceFault::out)
}

/// The same as text.
pub(super) fn text(secret: &Secret) -> Result<&str, SourceFault> {
    std::str::from_utf8(secret.reveal()).map_err(|_| SourceFault::out("the password is not UTF-8"))
}
