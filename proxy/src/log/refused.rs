//! The one line that log watchers match, whatever a login came by.

use crate::id::Id;
use std::net::SocketAddr;
use usher_wire::imap::reply::Code;

/// Most characters of a name in it.
const SHOWN: usize = 320;

/// Writes that a login was refused: the address stands before anything that the client chose.
pub(crate) fn login_refused(client: SocketAddr, session: Id, code: Code, mechanism: &str, user: &str) {
    let shown: String = user.chars().take(SHOWN).collect();
    tracing::warn!(
        client = %client,
        session = %session,
        code = code.atom(),
        mechanism,
        user = shown.as_str(),
        "login refused"
    );
}
