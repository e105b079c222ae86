//! A client that waits for its login: its input is kept for later, and when it leaves, the login ends.

use super::PreLogin;
use super::tried::Try;
use crate::session::{By, Cause, Ended, Session, Stage, Why};
use crate::tls::ClientStream;
use usher_backends::connect::read_once;

/// Keeps what a client sends after its login.
pub(crate) trait Inbox {
    /// How many bytes may be fed now.
    fn room(&self) -> usize;

    /// Takes what came.
    fn feed(&mut self, bytes: &[u8]);
}

/// Runs `work` while watching the client: its input is kept for later. If the client leaves, the work ends, as it does
/// when the session is ended or usher stops.
pub(super) async fn attended(
    prelogin: &PreLogin,
    session: &Session,
    stream: &mut ClientStream,
    inbox: &mut impl Inbox,
    mut work: impl Future<Output = Try> + Unpin,
) -> Result<Try, Ended> {
    loop {
        let most = inbox.room();
        let read = tokio::select! {
            biased;
            done = &mut work => return Ok(done),
            () = prelogin.server.shutdown.stopped() => return Ok(Try::Ended(Why::Stopping)),
            order = session.ordered() => return Ok(Try::Ended(order.why)),
            read = read_once(stream, most, |bytes| inbox.feed(bytes)), if most > 0 => read,
        };
        match read {
            Ok(0) => return Err(Ended::new(By::Client, Stage::Login, Cause::Closed)),
            Ok(_) => {}
            Err(error) => return Err(Ended::broken(Stage::Login, &error)),
        }
    }
}
