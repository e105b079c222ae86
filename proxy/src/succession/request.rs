//! Who wants another process to take over.

use std::time::Duration;
use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, oneshot};

/// Somebody who wants a successor and waits for it.
pub(crate) struct Request {
    /// How long it may take to be ready.
    pub(crate) patience: Option<Duration>,
    pub(crate) answer: oneshot::Sender<Upgraded>,
}

/// The number of the process that has taken over, or why none has.
pub(crate) type Upgraded = Result<u32, String>;

/// Looks for a successor at each signal; the result is logged.
pub(crate) async fn follow_signal(mut signals: Signal, requests: mpsc::Sender<Request>) {
    while signals.recv().await.is_some() {
        let (answer, _) = oneshot::channel();
        if requests.send(Request { patience: None, answer }).await.is_err() {
            return;
        }
    }
}
