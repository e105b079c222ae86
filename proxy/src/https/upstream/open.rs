//! Connections to web services: an idle one, or a new one.

use crate::active::ListenerContext;
use crate::boxed::boxed;
use crate::https::message::body::RequestBody;
use crate::https::record::{Held, RequestRecord};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use usher_backends::connect::{Cause, ConnectFault, Deadlines, HttpTarget, OnBehalf, Stage};
use usher_backends::http::Link;
use usher_backends::roster::Service;
use usher_config::snapshot::HttpVersion;

/// Least time for connecting to a member.
const LEAST: Duration = Duration::from_millis(50);

/// What a connection must be.
pub(super) struct Wanted {
    pub(super) version: HttpVersion,
    /// Opened after this: a connection as old as the one that failed is probably as bad.
    pub(super) younger: Option<Instant>,
    /// It is to be switched to another protocol.
    pub(super) upgrades: bool,
    pub(super) until: Instant,
}

impl Wanted {
    fn is_met_by(&self, link: &Link<RequestBody>) -> bool {
        self.younger.is_none_or(|younger| link.opened > younger)
    }
}

/// A connection to `target`, within the limit that the operator has set.
pub(super) async fn link(
    record: &RequestRecord,
    at: &ListenerContext,
    target: &Arc<HttpTarget>,
    wanted: &Wanted,
) -> Result<Link<RequestBody>, ConnectFault> {
    let client = &record.client;
    let server = &client.server;
    let Some(bound) = &target.bound else {
        return open(record, at, target, wanted).await;
    };
    let full = || ConnectFault { stage: Stage::Dial, cause: Cause::Full };
    let slot = bound.slot(wanted.until).await.ok_or_else(full)?;
    if (wanted.younger.is_some() || wanted.upgrades || client.has_own(target)) && bound.is_full() {
        // An idle connection makes room for a new one.
        drop(server.web.pool(target).and_then(|pool| pool.evict(target)));
    }
    let mut link = open(record, at, target, wanted).await?;
    link.occupy(bound, slot);
    Ok(link)
}

/// A connection to `target`: an idle one, or a new one.
async fn open(
    record: &RequestRecord,
    at: &ListenerContext,
    target: &Arc<HttpTarget>,
    wanted: &Wanted,
) -> Result<Link<RequestBody>, ConnectFault> {
    let client = &record.client;
    let server = &client.server;
    let own = client.has_own(target);
    let &Wanted { version, younger, upgrades, until } = wanted;
    // A connection that is to be switched must speak HTTP/1.1, and is not returned afterwards.
    let pools = version == target.endpoint.version && !upgrades;
    if younger.is_none()
        && own
        && !upgrades
        && let Some(link) = client.take_own(target, version)
    {
        return Ok(link);
    }
    if (younger.is_none() || version == HttpVersion::Two)
        && pools
        && !target.is_private()
        && let Some(link) =
            server.web.pool(target).and_then(|pool| pool.take(target)).filter(|link| wanted.is_met_by(link))
    {
        return Ok(link);
    }
    // If several requests want a shared connection at the same time, one of them opens it.
    let mut turn = None;
    if let Some(pool) = server.web.pool(target).filter(|_| pools && !own && version == HttpVersion::Two) {
        turn = timeout_at(until, pool.turn(target)).await.ok();
        if let Some(link) = pool.take(target).filter(|link| wanted.is_met_by(link)) {
            return Ok(link);
        }
    }
    let begun = Instant::now();
    let mut deadlines = Deadlines::from(&at.active.snapshot.limits);
    if record.held.as_ref().is_some_and(|held| matches!(held, Held::Member(_))) {
        // Half of the remaining time, so that a member that does not answer leaves time for another.
        deadlines.connect = (until.saturating_duration_since(begun) / 2).max(LEAST);
    }
    let id = record.id.to_string();
    let on_behalf = OnBehalf {
        source: client.ends.client,
        destination: client.ends.local,
        session: &id,
        certificate: None,
    };
    // Rare, and large: boxed, so that a request that finds a connection is no larger for it.
    let opened = boxed(|| Link::open(target, version, on_behalf, &deadlines)).await;
    if let Some(held) = &record.held {
        server.health.note_session(held.id(), Service::Http, opened.as_ref().map(|_| ()));
    }
    let link = opened?;
    server.observer.connected(&target.name, begun.elapsed());
    let link = match server.web.pool(target).filter(|_| pools && !own) {
        Some(pool) => pool.lend(target, link),
        None => link,
    };
    // Those who wait find it in the pool.
    drop(turn);
    Ok(link)
}
