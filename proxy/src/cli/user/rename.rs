//! `usher user rename`.

use super::{Audit, UserError};
use crate::admin::model::Changed;
use crate::cli::{Exit, complain, print, who};
use usher_backends::directory::{Ledger, Renamed};
use usher_policy::ArchiveKey;

pub(super) fn rename(
    directory: &dyn Ledger,
    from: &ArchiveKey,
    to: &ArchiveKey,
    changed: &Audit<'_>,
) -> Result<Exit, UserError> {
    match directory.rename(from, to, &who())? {
        Renamed::Done(host) => {
            changed(Changed::RenameUser, &from.to_string(), &to.to_string());
            Ok(print(&format!("{to}: {host}, previously {from}\n")))
        }
        Renamed::Nobody => {
            complain(&format!("{from} is not on any host"));
            Ok(Exit::Failed)
        }
        Renamed::Taken(host) => {
            complain(&format!("{to} is there already, on {host}; remove one of the two first"));
            Ok(Exit::Failed)
        }
    }
}
