//! Sends a routed request to a backend, and receives the head of its response.

use super::opened::Opened;
use super::route::Routed;
use super::validate::Validated;
use crate::active::ListenerContext;
use crate::https::client::Client;
use crate::https::message::fields;
use crate::https::message::interim::Inform;
use crate::https::message::refusal::Refusal;
use crate::https::record::RequestRecord;
use crate::https::upstream::{self, Manner, Outgoing, Unreached, UpstreamResponse, tunnel};
use http::header::{EXPECT, HeaderValue};
use http::{Request, StatusCode};
use std::time::Duration;
use usher_config::https::{Https, Identity};

/// A request for which the head of the response has come.
pub(super) struct Sent {
    pub(super) upstream: Box<UpstreamResponse>,
    /// The host that the client has asked for.
    pub(super) host: HeaderValue,
    /// Longest time without a byte from the backend.
    pub(super) timeout: Duration,
    /// The cookies that tie the client.
    pub(super) cookies: Vec<String>,
    /// The protocol that the backend has switched to.
    pub(super) switched: Option<HeaderValue>,
}

impl Routed {
    /// Sends it.
    pub(super) async fn send(
        self,
        record: &mut RequestRecord,
        at: &ListenerContext,
        inform: &impl Inform,
    ) -> Result<Box<Sent>, Unreached> {
        let Self { mut opened, destination, binding } = self;
        let client = record.client.clone();
        let https = &at.active.snapshot.https;
        let policy = https.policy(&opened.validated.path);
        let parts = &mut opened.validated.parts;
        let upgrade = tunnel::upgrade(parts, opened.body.is_empty(), policy);
        let expects = parts.headers.contains_key(EXPECT) && !opened.body.is_empty();
        let may_not_set = |name: &str| sets_identity(https, &client, name);
        let (version, id) = (parts.version, record.id);
        let (asked, teller) = (&opened.validated.asked, (&client.told, client.ends.client.ip()));
        let is_told = fields::to_backend(&mut parts.headers, teller, https, version, asked, id, may_not_set);
        record.begin_span(&mut parts.headers, is_told);
        record.is_patient = policy.is_some_and(|policy| policy.response_timeout.is_some());
        let untold = (!is_told).then(|| asked.clone());
        if expects {
            parts.headers.insert(EXPECT, HeaderValue::from_static("100-continue"));
        }
        if let Some(protocol) = &upgrade {
            tunnel::ask(&mut parts.headers, protocol);
        }
        parts.extensions.clear();
        let (host, timeout) = (asked.host.clone(), opened.timeout);
        let manner = Manner {
            host: host.clone(),
            untold,
            upgrades: upgrade.is_some(),
            expects,
            sends_trailers: opened.sends_trailers,
            timeout,
        };
        let connects = opened.connects;
        let Opened { validated: Validated { parts, .. }, body, .. } = *opened;
        let request = Box::new(Request::from_parts(parts, body));
        let outgoing = Outgoing { request, manner };
        let upstream = upstream::forward(record, at, &destination, outgoing, inform).await?;
        let status = upstream.response.status();
        let switched = switched(&upstream, upgrade)?;
        // The client would take any success for an open tunnel (RFC 8441 section 5).
        if connects && status.is_success() {
            return Err(Refusal::new(StatusCode::BAD_GATEWAY, "no-switch").into());
        }
        let held = record.held.as_ref();
        let cookies = binding.cookies(&record.client, &destination, held, https.cookie_age, status);
        Ok(Box::new(Sent { upstream, host, timeout, cookies, switched }))
    }
}

/// The protocol that the backend has switched to, if it was asked to.
fn switched(
    upstream: &UpstreamResponse,
    upgrade: Option<HeaderValue>,
) -> Result<Option<HeaderValue>, Refusal> {
    if upstream.response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(None);
    }
    let agreed = upgrade.filter(|protocol| tunnel::has_switched_to(protocol, upstream.response.headers()));
    agreed.map(Some).ok_or(Refusal::new(StatusCode::BAD_GATEWAY, "unasked-switch"))
}

/// Whether a field of this name claims an identity and this client may not set it.
fn sets_identity(https: &Https, client: &Client, name: &str) -> bool {
    https.identities.iter().any(|identity| match identity {
        Identity::Header { name: known, senders, .. } => {
            known == name && !fields::is_in(client.ends.client.ip(), senders)
        }
        _ => false,
    })
}
