//! Drives the state machines as the program does, with input in pieces of a given size.

use usher_wire::imap::capability::Privacy;
use usher_wire::imap::preauth::{CloseCause, Preauth, Step};
use usher_wire::imap::reply::Code;
use usher_wire::imap::tracker::{Fault, Out, Tracker, UNJUDGED_CAP};

/// What came of a conversation before login.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Conversation {
    said: Vec<u8>,
    claims: Vec<(Vec<u8>, Vec<u8>)>,
    closed: Option<CloseCause>,
    leftover: Vec<u8>,
}

/// Talks until the client closes; each claim is refused.
pub(super) fn converse(data: &[u8], piece: usize) -> Conversation {
    let mut preauth = Preauth::new(Privacy::Tls);
    let mut done = Conversation::default();
    let mut rest = data;
    loop {
        match preauth.step(&mut done.said) {
            Step::Answered => {}
            Step::Need => {
                assert!(preauth.room() > 0, "stuck: a command in the making fills all there is");
                let most = piece.min(preauth.room()).min(rest.len());
                if most == 0 {
                    break;
                }
                let (now, later) = rest.split_at(most);
                preauth.feed(now);
                rest = later;
            }
            Step::StartTls(_) => panic!("TLS within TLS"),
            Step::Claim(claim) => {
                let user = claim.credential.acting_user().to_vec();
                done.claims.push((user, claim.credential.password.reveal().to_vec()));
                preauth.refuse(&claim, Code::AuthenticationFailed, &mut done.said);
            }
            Step::Close(cause) => {
                done.closed = Some(cause);
                return done;
            }
        }
    }
    done.leftover = preauth.into_leftover().to_vec();
    done
}

/// What came of a relay, own answers apart: between which of the server's responses one stands is a matter
/// of time.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Relayed {
    to_backend: Vec<u8>,
    to_client: Vec<u8>,
    fault: Option<Fault>,
}

impl Relayed {
    /// No capability that leads around the routing in front of a client.
    pub(super) fn check(&self) {
        for line in self.to_client.split(|b| *b == b'\n') {
            let line = String::from_utf8_lossy(line).to_ascii_uppercase();
            if line.starts_with("* CAPABILITY ") && self.fault.is_none() && !self.to_client.contains(&b'{') {
                assert!(!line.contains(" UNAUTHENTICATE ") && !line.contains(" COMPRESS="), "{line}");
            }
        }
    }
}

/// Moves both directions in turn: chunks of the input that begin with `<` are the server's, others the
/// client's; chunks are set apart by NUL-free `|` marks.
pub(super) fn relay(data: &[u8], piece: usize) -> Relayed {
    let mut tracker = Tracker::new(b"IMAP4rev1 LITERAL+");
    let mut done = Relayed::default();
    let (mut from_client, mut from_server) = (Vec::new(), Vec::new());
    for chunk in data.split(|b| *b == b'|') {
        let (server, chunk) = match chunk.split_first() {
            Some((b'<', rest)) => (true, rest),
            _ => (false, chunk),
        };
        for piece in chunk.chunks(piece.clamp(1, chunk.len().max(1))) {
            if server {
                from_server.extend_from_slice(piece);
            } else {
                from_client.extend_from_slice(piece);
            }
            if let Err(fault) = settle(&mut tracker, &mut from_client, &mut from_server, &mut done) {
                done.fault = Some(fault);
                // What was said before a fault depends on how much of it came at once.
                done.to_backend.clear();
                done.to_client.clear();
                return done;
            }
        }
    }
    done
}

/// Moves whatever moves, server's side first, until nothing does.
fn settle(
    tracker: &mut Tracker,
    from_client: &mut Vec<u8>,
    from_server: &mut Vec<u8>,
    done: &mut Relayed,
) -> Result<(), Fault> {
    loop {
        let mut moved = false;
        tracker.take_answers();
        while let Some((taken, out)) = step(from_server, |input| tracker.server(input, false))? {
            from_server.drain(..taken);
            done.to_client.extend(out);
            tracker.take_answers();
            moved = true;
        }
        while let Some((taken, out)) = step(from_client, |input| tracker.client(input))? {
            from_client.drain(..taken);
            done.to_backend.extend(out);
            moved = true;
        }
        assert!(from_server.len() <= UNJUDGED_CAP + (64 << 10), "the server's side waits for ever more");
        if !moved {
            return Ok(());
        }
    }
}

fn step<'i>(
    input: &'i [u8],
    work: impl FnOnce(&'i [u8]) -> Result<usher_wire::imap::tracker::Moved<'i>, Fault>,
) -> Result<Option<(usize, Vec<u8>)>, Fault> {
    let moved = work(input)?;
    if moved.is_stuck() {
        return Ok(None);
    }
    let out = match moved.out {
        Out::Nothing => Vec::new(),
        Out::Forward(bytes) => bytes.to_vec(),
        Out::Insert(bytes) => bytes,
    };
    Ok(Some((moved.taken, out)))
}
