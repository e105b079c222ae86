//! A client that waits for its login: its input is kept for later, and when it leaves, the login ends.

use super::PreLogin;
use super::inbox::Inbox;
use super::tried::Try;
use super::voice::Ear;
use crate::session::{By, Cause, Ended, Session, Stage};
use crate::tls::ClientStream;
use usher_backends::connect::read_once;

/// Runs `work` while watching the client: its input is kept for later, or passed on where there is an `ear`. If the client
/// leaves, the work ends, as it does when the session is ended or usher stops.
pub(super) async fn attended<I: Inbox>(
    prelogin: &PreLogin,
    session: &Session,
    stream: &mut ClientStream,
    inbox: &mut I,
    mut ear: Option<Ear>,
    mut work: impl Future<Output = Try> + Unpin,
) -> Result<Try, Ended> {
    loop {
        if let Some(ear) = &mut ear {
            ear.listen(inbox);
        }
        let most = inbox.room();
        let read = tokio::select! {
            biased;
            done = &mut work => return Ok(done),
            why = session.called_off(&prelogin.server.shutdown) => return Ok(Try::Ended(why)),
            message = challenge(&mut ear) => {
                if let Some(ear) = &mut ear {
                    ear.tell::<I>(stream, &message, prelogin.snapshot().limits.farewell).await?;
                }
                continue;
            }
            read = read_once(stream, most, |bytes| inbox.feed(bytes)), if most > 0 => read,
        };
        match read {
            Ok(0) => return Err(Ended::new(By::Client, Stage::Login, Cause::Closed)),
            Ok(_) => {}
            Err(error) => return Err(Ended::broken(Stage::Login, &error)),
        }
    }
}

/// What a client is to be told; never, if its login is no conversation.
async fn challenge(ear: &mut Option<Ear>) -> Vec<u8> {
    if let Some(ear) = ear
        && let Some(message) = ear.challenge().await
    {
        return message;
    }
    std::future::pending().await
}
