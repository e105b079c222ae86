//! Hears of changes: by notifications, and by reading what has been missed whenever the connection was lost. A
//! notification alone proves nothing: nobody is told of those that were sent while nobody listened.

use super::connect::Place;
use super::news;
use super::{Tell, failed};
use crate::directory::key_of;
use crate::sources::engine::News;
use crate::sources::fault::SourceFault;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_postgres::Client;
use tokio_postgres::config::TargetSessionAttrs;

/// Time between two attempts to listen.
const AGAIN: Duration = Duration::from_millis(500);
/// Time between two looks at what may have been missed, which also try the connection; and for the answer.
const LOOK: Duration = Duration::from_secs(2);
/// Changes that are told one by one; of more, everything may have changed.
const ONE_BY_ONE: i64 = 10_000;

/// Follows usher's own tables.
pub(super) async fn shipped(place: Arc<Place>, tell: Tell) {
    let mut followed = Followed::default();
    loop {
        let listening = listen(&place, "usher_change", Some(&mut followed), news::shipped, &tell);
        told(Box::pin(listening).await);
        sleep(AGAIN).await;
    }
}

/// Follows a channel of the site's own.
pub(super) async fn own(place: Arc<Place>, channel: String, tell: Tell) {
    loop {
        told(Box::pin(listen(&place, &channel, None, news::own, &tell)).await);
        sleep(AGAIN).await;
    }
}

fn told(listened: Result<(), SourceFault>) {
    if let Err(fault) = listened {
        tracing::debug!(source = "postgres", %fault, "changes cannot be listened to");
    }
}

/// Listens until the connection is lost.
async fn listen(
    place: &Place,
    channel: &str,
    mut followed: Option<&mut Followed>,
    says: fn(&str) -> News,
    tell: &Tell,
) -> Result<(), SourceFault> {
    let (client, mut notified) = Box::pin(place.listen(TargetSessionAttrs::ReadWrite)).await?;
    let quoted = channel.replace('"', "\"\"");
    let listening = format!("LISTEN \"{quoted}\"");
    timeout(LOOK, client.batch_execute(&listening)).await.map_err(SourceFault::out)?.map_err(failed)?;
    // After that: what is committed from here on is notified of.
    if followed.is_none() {
        tell(News::Doubt);
    }
    loop {
        let looking = async {
            match &mut followed {
                Some(followed) => catch_up(&client, followed, tell).await,
                None => client.batch_execute("").await.map_err(failed),
            }
        };
        timeout(LOOK, looking).await.map_err(SourceFault::out)??;
        let until = Instant::now() + LOOK;
        while let Ok(notification) = timeout_at(until, notified.recv()).await {
            let lost = || SourceFault::out("the connection is lost");
            tell(says(notification.ok_or_else(lost)?.payload()));
        }
    }
}

/// How far changes have been followed.
#[derive(Default)]
pub(super) struct Followed {
    /// The oldest transaction that was under way when this was read last: numbers of changes would not do, because they are
    /// not committed in their order.
    since: Option<u64>,
    /// The changes since then that have been told.
    told: BTreeSet<i64>,
}

/// Tells of what has been committed since the last time.
async fn catch_up(client: &Client, followed: &mut Followed, tell: &Tell) -> Result<(), SourceFault> {
    let now =
        "SELECT pg_snapshot_xmin(pg_current_snapshot())::text, pg_snapshot_xmax(pg_current_snapshot())::text";
    let now = client.query_one(now, &[]).await.map_err(failed)?;
    let number = |at| {
        let text: String = now.try_get(at).map_err(failed)?;
        text.parse::<u64>().map_err(SourceFault::out)
    };
    let (oldest, next) = (number(0)?, number(1)?);
    let Some(since) = followed.since.filter(|since| *since <= oldest) else {
        // The first time, or another server, which counts in its own way.
        *followed = Followed { since: Some(oldest), told: BTreeSet::new() };
        tell(News::Doubt);
        return Ok(());
    };
    // A dump that was read in has numbers of another server, perhaps higher than any here.
    let sql = "SELECT id, kind, key FROM usher.change WHERE xid >= $1::text::xid8 AND xid < $2::text::xid8 \
         ORDER BY id DESC LIMIT $3";
    let changes =
        client.query(sql, &[&since.to_string(), &next.to_string(), &ONE_BY_ONE]).await.map_err(failed)?;
    let is_all = (changes.len() as i64) < ONE_BY_ONE;
    let mut seen = BTreeSet::new();
    for change in changes {
        let id: i64 = change.try_get(0).map_err(failed)?;
        seen.insert(id);
        if followed.told.contains(&id) {
            continue;
        }
        let kind: Option<i16> = change.try_get(1).map_err(failed)?;
        let key: Option<String> = change.try_get(2).map_err(failed)?;
        match kind.and_then(|kind| u8::try_from(kind).ok()).zip(key) {
            Some((kind, key)) if is_all => tell(News::Of(key_of(kind, key))),
            Some(_) | None => {
                tell(News::Everything);
                break;
            }
        }
    }
    // While a long transaction is under way, the same ones are read again and again.
    followed.told.append(&mut seen);
    let cap = 2 * ONE_BY_ONE as usize;
    while followed.told.len() > cap {
        followed.told.pop_first();
    }
    followed.since = Some(oldest);
    Ok(())
}
