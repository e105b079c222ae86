//! What is said to a client before its login is decided, and what it answers.

use super::inbox::Inbox;
use crate::session::{By, Cause, Ended, Stage};
use crate::tls::ClientStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use usher_wire::imap::preauth::Answer;
use zeroize::Zeroizing;

/// Why a client has said no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GaveUp {
    /// It has cancelled the login, or said what is no message.
    Cancelled,
    /// It was silent for too long.
    Silent,
}

/// The side of whoever tries the login.
pub(super) struct Voice {
    challenges: mpsc::Sender<Vec<u8>>,
    answers: tokio::sync::Mutex<mpsc::Receiver<Answer>>,
    /// How long to wait for an answer.
    patience: Duration,
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    has_spoken: bool,
    answered: Option<Instant>,
    gave_up: Option<GaveUp>,
    /// How long the client has taken to answer.
    waited: Duration,
    /// What a host has said first is nothing that a client could answer.
    is_rejected: bool,
    /// The host has begun.
    has_begun: bool,
    /// It was too late: somebody else has begun in its place.
    is_late: bool,
    is_held: bool,
}

/// The side of the client's connection.
pub(super) struct Ear {
    challenges: mpsc::Receiver<Vec<u8>>,
    answers: mpsc::Sender<Answer>,
    /// The client has been asked, and has not answered yet.
    is_asked: bool,
}

/// Both sides of a conversation, in which `patience` is how long a client may take to answer.
pub(super) fn pair(patience: Duration) -> (Voice, Ear) {
    let (challenges, asked) = mpsc::channel(1);
    let (answers, heard) = mpsc::channel(1);
    let progress = Mutex::default();
    let voice = Voice { challenges, answers: tokio::sync::Mutex::new(heard), patience, progress };
    (voice, Ear { challenges: asked, answers, is_asked: false })
}

impl Voice {
    /// Says `message`, and returns what the client answers; `None`: nothing more comes.
    pub(super) async fn say(&self, message: Vec<u8>) -> Option<Zeroizing<Vec<u8>>> {
        self.progress().has_spoken = true;
        let mut answers = self.answers.lock().await;
        self.challenges.send(message).await.ok()?;
        let asked = Instant::now();
        let heard = timeout(self.patience, answers.recv()).await;
        self.progress().waited += asked.elapsed();
        let gave_up = match heard {
            Ok(Some(Answer::Said(answer))) => {
                self.progress().answered = Some(Instant::now());
                return Some(answer);
            }
            Ok(Some(Answer::GivenUp | Answer::Broken) | None) => GaveUp::Cancelled,
            Err(_) => GaveUp::Silent,
        };
        self.progress().gave_up = Some(gave_up);
        None
    }

    /// Whether the client has heard anything: it could not begin again with another host.
    pub(super) fn has_spoken(&self) -> bool {
        self.progress().has_spoken
    }

    /// How long the client has taken to answer.
    pub(super) fn waited(&self) -> Duration {
        self.progress().waited
    }

    /// Says nothing of what the host has said.
    pub(super) fn reject(&self) {
        self.progress().is_rejected = true;
    }

    /// Whether what the host has said was nothing to pass on.
    pub(super) fn is_rejected(&self) -> bool {
        self.progress().is_rejected
    }

    /// Notes that the host has begun. `false`: too late, since somebody else has begun in its place.
    pub(super) fn begin(&self) -> bool {
        let mut progress = self.progress();
        progress.has_begun = true;
        progress.is_late = progress.is_held;
        !progress.is_held
    }

    /// Begins in the place of the host. `false`: it has begun itself.
    pub(super) fn hold(&self) -> bool {
        let mut progress = self.progress();
        progress.is_held = !progress.has_begun;
        progress.is_held
    }

    /// Whether the host has begun after somebody else had done so in its place.
    pub(super) fn is_late(&self) -> bool {
        self.progress().is_late
    }

    /// When the client has answered last.
    pub(super) fn answered(&self) -> Option<Instant> {
        self.progress().answered
    }

    /// Why the client says no more.
    pub(super) fn gave_up(&self) -> Option<GaveUp> {
        self.progress().gave_up
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ear {
    /// Passes on what the client has answered, if it was asked.
    pub(super) fn listen(&mut self, inbox: &mut impl Inbox) {
        if !self.is_asked {
            return;
        }
        if let Some(answer) = inbox.answer() {
            self.is_asked = false;
            // Whoever tries the login may have stopped.
            let _ = self.answers.try_send(answer);
        }
    }

    /// What the client is to be told.
    pub(super) async fn challenge(&mut self) -> Option<Vec<u8>> {
        self.challenges.recv().await
    }

    /// Tells the client.
    pub(super) async fn tell<I: Inbox>(
        &mut self,
        stream: &mut ClientStream,
        message: &[u8],
        patience: Duration,
    ) -> Result<(), Ended> {
        let mut out = Vec::new();
        I::challenge(message, &mut out);
        self.is_asked = true;
        let sending = async {
            stream.write_all(&out).await?;
            stream.flush().await
        };
        match timeout(patience, sending).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Ended::broken(Stage::Login, &error)),
            Err(_) => Err(Ended::new(By::Usher, Stage::Login, Cause::Stalled)),
        }
    }
}
