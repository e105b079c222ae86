//! The one line that log watchers match, whatever kind of login it was.

use crate::id::Id;
use std::net::SocketAddr;
use usher_wire::imap::reply::Code;

/// Most characters of a name that are shown in it.
const SHOWN: usize = 320;

/// Logs that a login was refused. The address comes before anything that the client chose.
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
