//! Conversations by SCRAM: the host's own, passed on as they are, and one that usher makes up where the host does not talk, so
//! that nobody learns from it who has an account, and of which kind.

use super::case::Case;
use super::conversations::Conversations;
use super::voice::Voice;
use crate::guessing::Attempt;
use std::time::Duration;
use tokio::time::Instant;
use usher_backends::connect::Conversation;
use usher_wire::imap::sasl::Mechanism;
use usher_wire::imap::scram::{ServerFirst, client_nonce};
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
    pub(super) attempt: Option<&'r Attempt>,
}

impl Conversation for Relayed<'_> {
    async fn ask(&self, challenge: Vec<u8>) -> Option<Zeroizing<Vec<u8>>> {
        if !self.voice.has_spoken() {
            let nonce = client_nonce(self.client_first).unwrap_or_default();
            let first = ServerFirst::parse(&challenge);
            if first.is_none_or(|first| first.of_server(nonce).is_none()) {
                // Such as an error, which would say what the host knows.
                self.voice.reject();
                return None;
            }
            self.known.shapes.learn(self.host, self.mechanism, (self.client_first, nonce), &challenge);
            self.known.firsts.real(self.host, self.begun).await;
        }
        let answer = self.voice.say(challenge).await;
        if answer.is_some() {
            self.attempt.into_iter().for_each(Attempt::expose);
        }
        answer
    }
}

/// Says first what a host could have said, to somebody who has begun at `begun`. `refused_by`: the host that has refused
/// to. Returns when the client has given its proof, and whose host it seems to be; `None`: it says no more.
pub(super) async fn make_up(
    case: &Case<'_>,
    voice: &Voice,
    begun: Instant,
    refused_by: Option<&str>,
) -> Option<(Instant, Option<String>)> {
    let known = &case.prelogin.server.conversations;
    let (credential, mechanism) = (&case.claim.credential, case.claim.mechanism);
    // By the name whose password is asked for, as it is typed: however it is routed.
    let typed = String::from_utf8_lossy(&credential.user).to_lowercase();
    let host = refused_by.map(str::to_owned).or_else(|| known.shapes.host_of(typed.as_bytes(), mechanism));
    let delayed = |host: &str| format!("{host}/delayed");
    match (refused_by, &host) {
        // Of a host that delays its refusals, some names that nobody has are as late.
        (Some(host), _) if begun.elapsed() > DELAYED => known.firsts.real(&delayed(host), begun).await,
        (Some(host), _) => known.firsts.real(host, begun).await,
        (None, Some(host)) => {
            known.firsts.made_up_as([host.clone(), delayed(host)], typed.as_bytes(), begun).await
        }
        (None, None) => known.firsts.made_up(typed.as_bytes(), begun).await,
    }
    let shape = host.as_deref().and_then(|host| known.shapes.of(host, mechanism)).unwrap_or_default();
    let digester = case.prelogin.server.guessing.digester();
    let salt = |part: u8| digester.digest(&[b"salt", mechanism.name().as_bytes(), typed.as_bytes(), &[part]]);
    let nonce = client_nonce(credential.password.reveal()).unwrap_or_default();
    voice.say(shape.make_up(nonce, salt)).await?;
    Some((voice.answered()?, host))
}
