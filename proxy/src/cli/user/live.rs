//! What live sessions say of a directory that has just been filled.

use super::SHOWN;
use crate::admin::model::Sessions;
use crate::cli::api::Reach;
use std::collections::BTreeSet;
use usher_backends::directory::Ledger;
use usher_policy::identity::Domains;
use usher_wire::printable::printable;

/// Most sessions that are looked at.
const MOST: usize = 100_000;

/// Tells which users are at another host now than the directory says. Without a running usher there is nothing to tell.
pub(super) fn compare(reach: &Reach, directory: &dyn Ledger, domains: &Domains) {
    let path = format!("/v1/sessions?limit={MOST}");
    let Ok(found) = reach.api().and_then(|api| api.get::<Sessions>(&path)) else { return };
    let users: BTreeSet<_> =
        found.sessions.into_iter().filter_map(|session| Some((session.user, session.host?))).collect();
    let mut different = 0;
    for (user, host) in users {
        let Some(key) = domains.written(&user) else { continue };
        let placed = directory.look_up(&key).ok().flatten().map(|placement| placement.host);
        if placed.as_deref().is_some_and(|placed| placed != host) {
            different += 1;
            if different <= SHOWN {
                let placed = placed.unwrap_or_default();
                eprintln!("{} has a session at {host}, and is on {placed}", printable(&user));
            }
        }
    }
    if different > SHOWN {
        eprintln!("and {} more", different - SHOWN);
    }
}
