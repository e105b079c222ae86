//! Conversations by SCRAM: the host's own, passed on as they are, and one that usher makes up where the host does not talk, so
//! that nobody learns from it who has an account, and of which kind.

use super::case::Case;
use super::conversations::Conversations;
use super::voice::Voice;
use std::time::Duration;
use tokio::time::Instant;
use usher_backends::connect::Conversation;
use usher_wire::imap::sasl::Mechanism;
use usher_wire::imap::scram::client_nonce;
use zeroize::Zeroizing;

/// A refusal that takes longer than this is one that the host delays; first messages never are.
const DELAYED: Duration = Duration::from_millis(500);

/// A conversation of a client with `host`, which began at `begun`.
pub(super) struct Relayed<'r> {
    pub(super) known: &'r Conversations,
    pub(super) voice: &'r Voice,
    pub(super) host: &'r str,
    pub(super) mechanism: Mechanism,
    pub(super) client_first: &'r [u8],
    pub(super) begun: Instant,
}

impl Conversation for Relayed<'_> {
    async fn ask(&self, challenge: Vec<u8>) -> Option<Zeroizing<Vec<u8>>> {
        if !self.voice.has_spoken() {
            let nonce = client_nonce(self.client_first).unwrap_or_default();
            self.known.shapes.learn(self.host, self.mechanism, nonce, &challenge);
            self.known.firsts.real(self.host, self.begun).await;
        }
        self.voice.say(challenge).await
    }
}

/// Says first what a host could have said, to somebody who has begun at `begun`. `refused_by`: the host that has refused
/// to. Returns when the client has given its proof; `None`: it says no more.
pub(super) async fn make_up(
    case: &Case<'_>,
    voice: &Voice,
    begun: Instant,
    refused_by: Option<&str>,
) -> Option<Instant> {
    let known = &case.prelogin.server.conversations;
    let (whose, mechanism) = (case.whose(), case.claim.mechanism);
    match refused_by {
        // Of a host that delays its refusals, some names that nobody has are as late.
        Some(host) if begun.elapsed() > DELAYED => known.firsts.real(&format!("{host}/delayed"), begun).await,
        Some(host) => known.firsts.real(host, begun).await,
        None => known.firsts.made_up(whose.as_bytes(), begun).await,
    }
    let digester = case.prelogin.server.guessing.digester();
    let salt = digester.digest(&[b"salt", mechanism.name().as_bytes(), whose.as_bytes()]);
    let nonce = client_nonce(case.claim.credential.password.reveal()).unwrap_or_default();
    voice.say(known.shapes.of(whose.as_bytes(), mechanism).make_up(nonce, &salt)).await?;
    voice.answered()
}
