//! The audit log: each change, by whom and from where. Every log line has a timestamp already.

use super::Context;
use super::caller::Caller;
use super::keys::Visitor;
use crate::log::AUDIT;
use crate::unix_http::OPERATOR;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

/// Longest name that is recorded, in characters.
const NAME_CAP: usize = 64;

/// Who makes a change.
pub(super) struct Author {
    /// Their name, as far as it is known.
    pub(super) name: String,
    /// Their address, if they have come over TCP.
    pub(super) address: Option<IpAddr>,
    from: String,
    context: Arc<Context>,
    /// It is the process that has succeeded this one, which has written the change already.
    pub(super) is_successor: bool,
}

impl Author {
    /// Records a change.
    pub(super) fn did(&self, what: &str, on: &str, why: &str) {
        self.context.changes.note(&self.name, &self.from, what, on, why);
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

impl FromRequestParts<Arc<Context>> for Author {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, context: &Arc<Context>) -> Result<Self, Infallible> {
        let caller = parts.extensions.get::<Caller>();
        let claimed = parts.headers.get(OPERATOR).and_then(|name| name.to_str().ok());
        let proxied = parts.extensions.get::<Visitor>().and_then(|visitor| visitor.name.as_deref());
        let short = |name: &str| name.chars().take(NAME_CAP).collect::<String>();
        let name = match (caller, proxied, claimed) {
            (Some(Caller::Socket { uid, .. }), _, Some(name)) => format!("{} (uid {uid})", short(name)),
            (Some(Caller::Socket { uid, .. }), _, None) => format!("uid {uid}"),
            // As they have been called there.
            (Some(Caller::Successor), _, name) => name.unwrap_or_default().to_owned(),
            (_, Some(name), _) => format!("{} (proxy)", short(name)),
            // Whoever has the token is just that; the name that they claim is recorded as such.
            (_, None, Some(name)) => format!("token ({})", short(name)),
            (_, None, None) => "token".to_owned(),
        };
        let is_successor = matches!(caller, Some(Caller::Successor));
        let address = match caller {
            Some(Caller::Tcp { peer, .. }) => Some(peer.ip()),
            Some(Caller::Socket { .. } | Caller::Successor) | None => None,
        };
        Ok(Self {
            name,
            address,
            from: caller.map(ToString::to_string).unwrap_or_default(),
            context: context.clone(),
            is_successor,
        })
    }
}
