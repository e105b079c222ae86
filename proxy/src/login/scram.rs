//! Conversations by SCRAM: the host's own, passed on as they are, and one that usher makes up where the host does not talk, so
//! that nobody learns from it who has an account, and of which kind.

use super::case::Case;
use super::conversations::Conversations;
use super::tried::Try;
use super::voice::{GaveUp, Voice};
use crate::guessing::Attempt;
use tokio::time::Instant;
use usher_backends::connect::Conversation;
use usher_wire::imap::sasl::Mechanism;
use usher_wire::imap::scram::{ServerFirst, client_nonce};
use xxhash_rust::xxh3::xxh3_64_with_seed;
use zeroize::Zeroizing;

/// A conversation of a client with `host`, which began at `begun`.
pub(super) struct Relayed<'r> {
    pub(super) known: &'r Conversations,
    pub(super) voice: &'r Voice,
    pub(super) host: &'r str,
    pub(super) mechanism: Mechanism,
    pub(super) client_first: &'r [u8],
    pub(super) begun: Instant,
    pub(super) attempt: Option<&'r Attempt>,
}

impl Conversation for Relayed<'_> {
    async fn ask(&self, challenge: Vec<u8>) -> Option<Zeroizing<Vec<u8>>> {
        let nonce = client_nonce(self.client_first).unwrap_or_default();
        let is_first = self.voice.answered().is_none();
        if is_first {
            let first = ServerFirst::parse(&challenge);
            if first.is_none_or(|first| first.of_server(nonce).is_none()) {
                // Such as an error, which would say what the host knows.
                self.voice.reject();
                return None;
            }
            self.known.talkers.insert(talker(self.client_first, self.mechanism), ());
            self.known.shapes.learn(self.host, self.mechanism, (self.client_first, nonce), &challenge);
            if !self.voice.begin() {
                return None;
            }
            self.known.firsts.real(self.host, self.begun).await;
        }
        let answer = self.voice.say(challenge).await;
        if answer.is_some() {
            self.attempt.into_iter().for_each(Attempt::expose);
        }
        answer
    }
}

/// Whom a first message names, by a digest.
fn talker(client_first: &[u8], mechanism: Mechanism) -> u64 {
    let user = client_first.split(|b| *b == b',').nth(2).unwrap_or_default();
    xxh3_64_with_seed(&user.to_ascii_lowercase(), mechanism as u64)
}

/// What comes of the `conversation` with `host` that began at `begun`. Whoever has never talked there before is answered in the
/// host's place if that has not begun by when hosts have: a host may take its time to say that it does not. `Err`: what has
/// come of that.
pub(super) async fn in_time<T>(
    case: &Case<'_>,
    voice: &Voice,
    host: &str,
    begun: Instant,
    conversation: impl Future<Output = T>,
) -> Result<T, Try> {
    let known = &case.prelogin.server.conversations;
    let first = case.claim.credential.password.reveal();
    tokio::pin!(conversation);
    if known.talkers.get(&talker(first, case.claim.mechanism)).is_some() {
        return Ok(conversation.await);
    }
    tokio::select! {
        biased;
        done = &mut conversation => return Ok(done),
        () = known.firsts.made_up_by(host, begun) => {}
    }
    if !voice.hold() {
        return Ok(conversation.await);
    }
    let talked = async {
        let answered = say_first(case, voice, host).await?;
        case.expose();
        known.finals.made_up_by(host, answered).await;
        Some(())
    };
    tokio::pin!(talked);
    let talked = tokio::select! {
        talked = &mut talked => talked,
        // It has refused, or is too late; in either case the client is answered when it would be.
        _ = &mut conversation => talked.await,
    };
    Err(match talked {
        None => Try::GaveUp(voice.gave_up().unwrap_or(GaveUp::Cancelled)),
        // The proof was none of this host's, so nothing can be said of the password.
        Some(()) if voice.is_late() => Try::Hopeless,
        Some(()) => Try::AnsweredFor,
    })
}

/// Talks to somebody who has begun at `begun`, as a host would that refuses the proof. `refused_by`: the host that has refused
/// to begin. `None`: the client says no more.
pub(super) async fn make_up(
    case: &Case<'_>,
    voice: &Voice,
    begun: Instant,
    refused_by: Option<&str>,
) -> Option<()> {
    let known = &case.prelogin.server.conversations;
    let by_name = || known.shapes.host_of(typed(case).as_bytes(), case.claim.mechanism);
    let host = refused_by.map(str::to_owned).or_else(by_name).unwrap_or_default();
    known.firsts.made_up_by(&host, begun).await;
    let answered = say_first(case, voice, &host).await?;
    case.expose();
    known.finals.made_up_by(&host, answered).await;
    Some(())
}

/// The name whose password is asked for, as it is typed: however it is routed.
fn typed(case: &Case<'_>) -> String {
    String::from_utf8_lossy(&case.claim.credential.user).to_lowercase()
}

/// Says first what `host` could have said. Returns when the client has given its proof.
async fn say_first(case: &Case<'_>, voice: &Voice, host: &str) -> Option<Instant> {
    let (credential, mechanism) = (&case.claim.credential, case.claim.mechanism);
    let known = &case.prelogin.server.conversations;
    let shape = known.shapes.of(host, mechanism).unwrap_or_default();
    let (digester, typed) = (case.prelogin.server.guessing.digester(), typed(case));
    let salt = |part: u8| digester.digest(&[b"salt", mechanism.name().as_bytes(), typed.as_bytes(), &[part]]);
    let nonce = client_nonce(credential.password.reveal()).unwrap_or_default();
    voice.say(shape.make_up(nonce, salt)).await?;
    voice.answered()
}
