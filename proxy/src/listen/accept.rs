//! The loop that accepts. No error ends it.

use super::reserve::Reserve;
use crate::imap;
use crate::shared::Shared;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

/// After an error of the system's, before the next try.
const BACK_OFF: Duration = Duration::from_millis(50);
/// Between two alarms.
const ALARM_EVERY: Duration = Duration::from_secs(10);

/// Accepts connections of the listener at position `listener` of the configuration until usher stops.
pub(crate) async fn accept(shared: Arc<Shared>, listener: usize, socket: TcpListener) {
    let mut reserve = Reserve::take();
    let mut last_alarm: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            biased;
            () = shared.stopped() => return,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((tcp, peer)) => {
                // Counted before it is started: whoever stops usher misses none.
                let place = imap::Place::take(&shared.doors);
                shared.spawner.session(imap::serve(shared.clone(), listener, tcp, peer, place));
            }
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                if last_alarm.is_none_or(|last| last.elapsed() > ALARM_EVERY) {
                    last_alarm = Some(Instant::now());
                    tracing::error!(%error, "connections cannot be accepted; those that wait are closed");
                }
                reserve.shed(&socket);
                sleep(BACK_OFF).await;
            }
        }
    }
}

/// Errors of a connection that was gone before it was accepted.
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(error.kind(), K::ConnectionAborted | K::ConnectionReset | K::Interrupted | K::PermissionDenied)
}
