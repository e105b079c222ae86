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
        if let Some(kept) = kept(&store, &name) {
            acquired.put(&name, kept);
        }
    }
}

/// The certificate for `name` that is kept, if it can be used.
pub(super) fn kept(store: &dyn Store, name: &str) -> Option<Loaded> {
    let path = store.path(name);
    let certificate = path.display();
    let pem = store.certificate(name).inspect_err(|error| {
        tracing::warn!(%certificate, %error, "a kept certificate cannot be read");
    });
    let loaded = Loaded::of_pem(&pem.ok()??, &path).inspect_err(|error| {
        tracing::warn!(%error, "a kept certificate cannot be used");
    });
    let loaded = loaded.ok()?;
    // Even one that has expired is better than one that nobody has signed.
    if let Some(what) = tell_if_unfit(&loaded, name) {
        tracing::warn!(%certificate, "{what}");
    }
    loaded.is_for(name).then_some(loaded)
}
