//! The audit log: each change, by whom and from where. Every log line has a timestamp already.

use super::guard::Caller;
use crate::log::AUDIT;
use crate::unix_http::OPERATOR;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use std::convert::Infallible;
use std::net::IpAddr;

/// Longest name that is recorded, in characters.
const NAME_CAP: usize = 64;

/// Who makes a change.
pub(super) struct Author {
    /// Their name, as far as it is known.
    pub(super) name: String,
    /// Their address, if they have come over TCP.
    pub(super) address: Option<IpAddr>,
    from: String,
    /// It is the process that has succeeded this one, which has written the change already.
    pub(super) is_successor: bool,
}

impl Author {
    /// Records a change.
    pub(super) fn did(&self, what: &str, on: &str, why: &str) {
        tracing::info!(
            target: AUDIT,
            audit = true,
            by = self.name.as_str(),
            from = self.from.as_str(),
            what,
            on,
            why,
            "change"
        );
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Author {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let caller = parts.extensions.get::<Caller>();
        let claimed = parts.headers.get(OPERATOR).and_then(|name| name.to_str().ok());
        // Over TCP everybody is just the holder of the token; the name that they claim is recorded as such.
        let name = match (caller, claimed) {
            (Some(Caller::Socket { uid, .. }), Some(name)) => {
                format!("{} (uid {uid})", name.chars().take(NAME_CAP).collect::<String>())
            }
            (Some(Caller::Socket { uid, .. }), None) => format!("uid {uid}"),
            // As they have been called there.
            (Some(Caller::Successor), name) => name.unwrap_or_default().to_owned(),
            (_, Some(name)) => format!("token ({})", name.chars().take(NAME_CAP).collect::<String>()),
            (_, None) => "token".to_owned(),
        };
        let is_successor = matches!(caller, Some(Caller::Successor));
        let address = match caller {
            Some(Caller::Tcp { peer, .. }) => Some(peer.ip()),
            Some(Caller::Socket { .. } | Caller::Successor) | None => None,
        };
        Ok(Self { name, address, from: caller.map(ToString::to_string).unwrap_or_default(), is_successor })
    }
}
