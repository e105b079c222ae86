//! The certificates from before the start, so that nobody is shown another one meanwhile.

use super::order::tell_if_unfit;
use super::store::{Files, Store};
use crate::tls::{Acquired, Loaded};
use usher_config::Snapshot;

/// Reads the certificates for the names of `snapshot`.
pub(crate) fn restore(snapshot: &Snapshot, acquired: &Acquired) {
    let Some(acme) = &snapshot.acme else { return };
    let store = Files::new(&snapshot.server.state_dir, &acme.directory);
    for name in snapshot.acme_names() {
        let path = store.path(&name);
        match store.certificate(&name) {
            Ok(None) => {}
            Ok(Some(pem)) => match Loaded::of_pem(&pem, &path) {
                // Even one that has expired is better than one that nobody has signed.
                Ok(loaded) if loaded.is_for(&name) => {
                    if let Some(what) = tell_if_unfit(&loaded, &name) {
                        tracing::warn!(certificate = %path.display(), "{what}");
                    }
                    acquired.put(&name, loaded);
                }
                Ok(_) => {
                    tracing::warn!(certificate = %path.display(), "the certificate is not for this name")
                }
                Err(error) => tracing::warn!(%error, "a kept certificate cannot be used"),
            },
            Err(error) => {
                tracing::warn!(certificate = %path.display(), %error, "a kept certificate cannot be read")
            }
        }
    }
}
