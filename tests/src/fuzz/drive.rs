//! Drives the state machines as the program does, with input in pieces of a given size.

use usher_wire::imap::capability::{Offer, Privacy};
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
    let mut preauth = Preauth::new(Privacy::Tls, Offer::passwords());
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
                preauth.refuse(&claim, Code::AuthenticationFailed, None, &mut done.said);
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

/// A line that ends in a brace announces a literal in the one way that all servers read alike, or has no brace outside
/// of quotes that could open one.
fn check_literals(mut sent: &[u8]) {
    while let Some(lf) = sent.iter().position(|b| *b == b'\n') {
        let (line, rest) = sent.split_at(lf + 1);
        let line = line.strip_suffix(b"\r\n").expect("no line ends in a bare LF");
        sent = rest;
        let (mut is_quoted, mut is_escaped, mut opened) = (false, false, None);
        for (at, octet) in line.iter().enumerate() {
            match (is_quoted, is_escaped, octet) {
                (true, true, _) => is_escaped = false,
                (true, false, b'\\') => is_escaped = true,
                (_, _, b'"') => is_quoted = !is_quoted,
                (false, _, b'{') => opened = Some(at),
                _ => {}
            }
        }
        let Some(from) = opened.filter(|_| line.ends_with(b"}")) else { continue };
        let digits = std::str::from_utf8(&line[from + 1..line.len() - 1]).expect("digits");
        assert!(digits.bytes().all(|b| b.is_ascii_digit()), "{digits:?}");
        let size: usize = digits.parse().expect("a size");
        let Some(after) = sent.get(size..) else { return };
        sent = after;
    }
}

/// Moves both directions in turn: chunks of the input that begin with `<` are the server's, others the
/// client's, with `|` between them. The pieces of a chunk arrive before the other side moves again, since
/// what a side says next may well depend on how much it has heard.
pub(super) fn relay(data: &[u8], piece: usize) -> Relayed {
    let mut done = Relayed::default();
    let outcome = try_relay(data, piece, &mut done);
    // A backend that answers in place of a continuation ends a command in the middle of it.
    let only_continues = |chunk: &[u8]| !chunk.starts_with(b"<") || chunk == b"<+ ok\r\n";
    if outcome.is_ok() && data.split(|b| *b == b'|').all(only_continues) {
        check_literals(&done.to_backend);
    }
    if let Err(fault) = outcome {
        // What was said before a fault depends on how much of it came at once.
        done = Relayed { fault: Some(fault), ..Relayed::default() };
    }
    done
}

fn try_relay(data: &[u8], piece: usize, done: &mut Relayed) -> Result<(), Fault> {
    let mut tracker = Tracker::default();
    let (mut from_client, mut from_server) = (Vec::new(), Vec::new());
    for chunk in data.split(|b| *b == b'|') {
        let (server, chunk) = match chunk.split_first() {
            Some((b'<', rest)) => (true, rest),
            _ => (false, chunk),
        };
        for piece in chunk.chunks(piece.clamp(1, chunk.len().max(1))) {
            if server {
                from_server.extend_from_slice(piece);
                move_server(&mut tracker, &mut from_server, done)?;
            } else {
                from_client.extend_from_slice(piece);
                move_client(&mut tracker, &mut from_client, done)?;
            }
            assert!(from_server.len() <= UNJUDGED_CAP + chunk.len(), "the server's side waits for ever more");
        }
        while move_server(&mut tracker, &mut from_server, done)?
            | move_client(&mut tracker, &mut from_client, done)?
        {}
    }
    Ok(())
}

fn move_server(tracker: &mut Tracker, input: &mut Vec<u8>, done: &mut Relayed) -> Result<bool, Fault> {
    let mut moved = !tracker.take_answers().is_empty();
    while let Some((taken, out)) = step(input, |input| tracker.server(input, false))? {
        input.drain(..taken);
        done.to_client.extend(out);
        tracker.take_answers();
        moved = true;
    }
    Ok(moved)
}

fn move_client(tracker: &mut Tracker, input: &mut Vec<u8>, done: &mut Relayed) -> Result<bool, Fault> {
    let mut moved = false;
    while let Some((taken, out)) = step(input, |input| tracker.client(input))? {
        input.drain(..taken);
        done.to_backend.extend(out);
        moved = true;
    }
    Ok(moved)
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
