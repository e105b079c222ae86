//! Hears of changes: by notifications, and by reading what has been missed whenever the connection was lost. A
//! notification alone proves nothing: nobody is told of those that were sent while nobody listened.

use super::connect::Place;
use super::news;
use super::{Tell, failed};
use crate::directory::key_of;
use crate::sources::engine::News;
use crate::sources::fault::SourceFault;
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
    let mut read_to = None;
    loop {
        let listening = listen(&place, "usher_change", Some(&mut read_to), news::shipped, &tell);
        let _ = Box::pin(listening).await;
        sleep(AGAIN).await;
    }
}

/// Follows a channel of the site's own.
pub(super) async fn own(place: Arc<Place>, channel: String, tell: Tell) {
    loop {
        let _ = Box::pin(listen(&place, &channel, None, news::own, &tell)).await;
        sleep(AGAIN).await;
    }
}

/// Listens until the connection is lost.
async fn listen(
    place: &Place,
    channel: &str,
    mut read_to: Option<&mut Option<String>>,
    says: fn(&str) -> News,
    tell: &Tell,
) -> Result<(), SourceFault> {
    let (client, mut notified) = Box::pin(place.listen(TargetSessionAttrs::Any)).await?;
    let quoted = channel.replace('"', "\"\"");
    client.batch_execute(&format!("LISTEN \"{quoted}\"")).await.map_err(failed)?;
    // After that: what is committed from here on is notified of.
    if read_to.is_none() {
        tell(News::Doubt);
    }
    loop {
        let looking = async {
            match &mut read_to {
                Some(read_to) => catch_up(&client, read_to, tell).await,
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

/// Tells of what was committed since `read_to`: the oldest transaction that was under way when this was read last.
/// Numbers of changes would not do, because they are not committed in their order.
async fn catch_up(client: &Client, read_to: &mut Option<String>, tell: &Tell) -> Result<(), SourceFault> {
    let now = client.query_one("SELECT pg_snapshot_xmin(pg_current_snapshot())::text", &[]).await;
    let now: String = now.map_err(failed)?.try_get(0).map_err(failed)?;
    let Some(since) = read_to.as_ref() else {
        *read_to = Some(now);
        tell(News::Doubt);
        return Ok(());
    };
    let sql = "SELECT kind, key FROM usher.change WHERE xid >= $1::text::xid8 LIMIT $2";
    let changes = client.query(sql, &[since, &ONE_BY_ONE]).await.map_err(failed)?;
    if changes.len() as i64 == ONE_BY_ONE {
        tell(News::Everything);
    } else {
        for change in changes {
            let kind: Option<i16> = change.try_get(0).map_err(failed)?;
            let key: Option<String> = change.try_get(1).map_err(failed)?;
            tell(match kind.and_then(|kind| u8::try_from(kind).ok()).zip(key) {
                Some((kind, key)) => News::Of(key_of(kind, key)),
                None => News::Everything,
            });
        }
    }
    *read_to = Some(now);
    Ok(())
}
